"""Presets, files and options: what is given is what is run, and what does not exist is refused."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict, replace
from pathlib import Path

import pytest

from toy.config import PRESETS, ToyConfig, differing_fields, from_mapping, preset, read_config, read_yaml
from toy.networks.model import build
from toy.networks.tasks import table
from toy.run.errors import InputError


def test_the_default_is_fast() -> None:
    assert PRESETS["fast"] == ToyConfig()
    assert (ToyConfig().learning_rate, ToyConfig().weight_decay, ToyConfig().beta2) == (1e-2, 2.0, 0.98)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_network_and_a_task(name: str) -> None:
    config = replace(preset(name), d_model=8, d_mlp=8, n_heads=2)
    network, rows = build(config), table(config.task, config.modulus)
    assert network(rows.operands[:3]).shape == (3, config.modulus + config.equals_logit)
    with pytest.raises(FrozenInstanceError):
        config.steps = 1  # type: ignore[misc]


def test_the_published_sizes() -> None:
    assert sum(weight.numel() for weight in build(preset("published-004")).parameters()) == 226_688
    assert sum(weight.numel() for weight in build(preset("nanda")).parameters()) == 226_688 + 128


def test_a_file_and_what_it_starts_from(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("preset: nanda\nmodulus: 59\nlearning_rate: 0.002\n", encoding="utf-8")
    assert read_yaml(path, preset("fast")) == replace(preset("nanda"), modulus=59, learning_rate=0.002)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modulo: 7", "'modulo', which is no field"),
        ("modulus: seven", "modulus to 'seven': give int"),
        ("modulus: true", "modulus to True: give int"),
        ("schedule: foo", "schedule to 'foo': choose from constant, after_grokking, cosine"),
        ("preset: quick", "unknown preset 'quick'"),
        ("- 7", "no mapping"),
        ("a: [", "cannot read"),
    ],
)
def test_a_wrong_file(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        read_yaml(path, preset("fast"))
    assert "\n" not in str(caught.value)


def test_a_resolved_configuration_reads_back(tmp_path: Path) -> None:
    config = replace(preset("published-003"), batch_size=None, seed=9)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(asdict(config)), encoding="utf-8")
    assert read_config(path) == config
    assert from_mapping({"batch_size": 64}, config, "x").batch_size == 64


def test_what_makes_another_run() -> None:
    config = ToyConfig()
    assert differing_fields(config, replace(config, steps=9, device="cpu", forward="plain")) == []
    assert differing_fields(config, replace(config, modulus=7, weight_decay=1.0)) == ["modulus", "weight_decay"]
    cosine = replace(config, schedule="cosine")
    assert differing_fields(cosine, replace(cosine, steps=9)) == ["steps"]  # its rate depends on the end
