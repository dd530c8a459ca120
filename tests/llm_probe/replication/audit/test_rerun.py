"""Published claims on tiny random models: the published recipe done the slow way, and the verdicts of a probe run."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from llm_probe.models import loading as models
from llm_probe.models.loading import LoadedModel, wrap
from llm_probe.replication.audit import magnitude_networks
from llm_probe.replication.audit.claims import COLUMNS, PublishedClaim, read_claims
from llm_probe.replication.audit.random_networks import COLUMNS as TABLE_COLUMNS
from llm_probe.replication.audit.rerun import (
    METRICS,
    RERUNS,
    RerunRow,
    calibrated_verdicts,
    rerun,
    terminal,
    why_not,
)
from llm_probe.replication.experiments.grids import GRIDS, Grid, arithmetic, class_means, labels_of, prompt_rows
from llm_probe.run.table import columns_of
from tests.root import ROOT
from toy.run.errors import InputError

CLAIMS = ROOT / "results" / "published" / "claims.csv"
CLAIM = PublishedClaim(
    source="a file",
    model="Qwen/Qwen3-tiny",
    experiment="prime_generalization_top10",
    domain='modular_addition "{a} + {b} mod {p} ="',
    modulus=7,
    layer=1,
    dim=3,
    frequency=2,
    metric="fourier_r2_residue_means",
    value=0.9,
    line=2,
)


DAYS = replace(CLAIM, domain='days_of_week "{day} + {offset} days = "', experiment="cyclic_domains_best")
OTHER = replace(CLAIM, model="a model of numbers")


@pytest.fixture
def loaded(tiny, tokenizer) -> LoadedModel:
    return wrap(tiny("qwen3"), tokenizer, name="tiny")


@torch.inference_mode()
def slow_means(loaded: LoadedModel, grid: Grid, layer: int) -> np.ndarray:
    """hidden_states[layer + 1] at the last token, one prompt a forward, averaged over each residue."""
    seen: dict[int, list[np.ndarray]] = {}
    for prompt in grid.prompts():
        ids = torch.tensor([loaded.tokenizer(prompt.text)["input_ids"]])
        states = loaded.model(input_ids=ids, output_hidden_states=True).hidden_states
        seen.setdefault(prompt.label, []).append(states[layer + 1][0, -1].double().numpy())
    return np.stack([np.mean(seen[label], axis=0) for label in range(grid.period)])


def slow_r2(means: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """R² of every dimension by least squares with a constant."""
    design = np.column_stack([columns, np.ones(len(means))])
    left = means - design @ np.linalg.lstsq(design, means, rcond=None)[0]
    return 1 - (left**2).sum(axis=0) / ((means - means.mean(axis=0)) ** 2).sum(axis=0)


def slow_waves(means: np.ndarray) -> np.ndarray:
    """R² of every frequency and dimension; the sine of k = n/2 is left out, as `lstsq` does for a null column."""
    n = len(means)
    angles = [2 * np.pi * k * np.arange(n) / n for k in range(1, n // 2 + 1)]
    return np.stack([slow_r2(means, np.column_stack([np.cos(a), np.round(np.sin(a), 12)])) for a in angles])


@pytest.mark.parametrize("layer", [1, 3])  # of four blocks: the last one is read after the final norm
def test_a_fourier_claim_is_the_published_recipe(loaded: LoadedModel, layer: int) -> None:
    waves = slow_waves(slow_means(loaded, arithmetic(7), layer))
    rows = rerun(loaded, [replace(CLAIM, layer=layer), replace(CLAIM, layer=layer, frequency=None)], {})
    assert [entry.reason for entry in rows] == ["", ""]
    assert rows[0].reproduced == pytest.approx(waves[1, 3], abs=1e-5)
    assert rows[1].reproduced == pytest.approx(waves[:, 3].max(), abs=1e-5)
    for entry in rows:
        assert entry.reproduced_frequency == waves[:, 3].argmax() + 1
        assert entry.reproduced_best_dim == waves.max(axis=0).argmax()
        assert entry.reproduced_best_r2 == pytest.approx(waves.max(), abs=1e-5)
        assert entry.rank == 1 + (waves.max(axis=0) > waves[:, 3].max()).sum()
        assert entry.n_prompts == 49


def test_an_even_modulus_has_its_alternating_frequency(loaded: LoadedModel) -> None:
    waves = slow_waves(slow_means(loaded, arithmetic(10), 1))
    row = rerun(loaded, [replace(CLAIM, modulus=10, frequency=5)], {})[0]
    assert row.reproduced == pytest.approx(waves[4, 3], abs=1e-5)


def test_polynomials_and_named_domains(loaded: LoadedModel) -> None:
    means = slow_means(loaded, GRIDS["days"], 2)
    s = np.arange(7)
    claims = [replace(CLAIM, domain='days_of_week "{day} + {offset} days = "', layer=2)]
    claims += [replace(claims[0], metric=f"{name}_r2_residue_means") for name in ("linear", "quadratic", "cubic")]
    rows = rerun(loaded, claims, {})
    assert rows[0].reproduced == pytest.approx(slow_waves(means)[1, 3], abs=1e-5)
    for degree, entry in enumerate(rows[1:], start=1):
        r2 = slow_r2(means, np.column_stack([s**power for power in range(1, degree + 1)]))
        assert entry.reproduced == pytest.approx(r2[3], abs=1e-5)
        assert entry.reproduced_best_dim == r2.argmax()
        assert entry.reproduced_frequency is None


def test_a_mean_over_moduli_and_one_pass_a_grid(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_probe.replication.audit.rerun.SCANNED", {"mean_r2_primes_5_35": (5, 7)})
    mean = replace(CLAIM, metric="mean_r2_primes_5_35", modulus=None, frequency=None)
    read: list[tuple[str, int]] = []
    rows = rerun(loaded, [mean, CLAIM, CLAIM], {}, on_grid=lambda grid, claims: read.append((grid.name, claims)))
    assert read == [("mod 5", 1), ("mod 7", 3)]
    parts = [slow_waves(slow_means(loaded, arithmetic(p), 1))[:, 3].max() for p in (5, 7)]
    assert rows[0].reproduced == pytest.approx(sum(parts) / 2, abs=1e-5)
    assert rows[0].reproduced_frequency is None
    assert rows[0].n_prompts == 25 + 49


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "OneLayerTransformer p=113"}, "not asked in words"),
        ({"model": "Qwen/Qwen3-0.6B"}, "is 1024 wide and tiny 16"),
        ({"experiment": "sae_layer7_features"}, "sparse autoencoder"),
        ({"metric": "gini_2d_fft_incl_dc"}, "not an R²"),
        ({"domain": "tides"}, "no published prompts are known for the domain 'tides'"),
        ({"layer": 14}, "layer 14 does not exist"),
        ({"layer": None}, "names no layer"),
        ({"dim": 867}, "dimension 867 does not exist: tiny is 16 wide"),
        ({"frequency": 9}, "frequency 9 does not exist: 3 do"),
        ({"modulus": None}, "no published prompts"),
    ],
)
def test_what_cannot_be_run_again_says_why(loaded: LoadedModel, change: dict, reason: str) -> None:
    rows = rerun(loaded, [replace(CLAIM, **change), CLAIM], {})
    assert reason in rows[0].reason
    assert (rows[0].reproduced, rows[0].reproduced_best_dim, rows[0].reproduced_best_r2) == (None, None, None)
    assert rows[1].reason == ""


def test_every_published_claim_finds_its_prompts(loaded: LoadedModel) -> None:
    claims, refused = read_claims(CLAIMS)
    full = replace(loaded, name="Qwen/Qwen3-0.6B", d_model=1024, layers=(loaded.layers[0],) * 28)
    qwen = [claim for claim in claims if claim.model == full.name and claim.metric in METRICS]
    left = [claim for claim in qwen if why_not(full, claim) is not None]
    assert refused == []
    assert len(qwen) - len(left) == 370
    assert {claim.experiment for claim in left} == {"sae_layer7_features"}


def test_class_means_are_means_of_the_rows(loaded: LoadedModel) -> None:
    grid = arithmetic(5)
    rows, labels = prompt_rows(loaded, grid.prompts(), (0, 2)), labels_of(grid.prompts())
    assert rows.shape == (25, 2, 16)
    expected = torch.stack([rows[labels == label].double().mean(dim=0) for label in range(5)], dim=1)
    torch.testing.assert_close(class_means(loaded, grid, (0, 2)), expected)


@pytest.fixture
def probed(tmp_path: Path) -> Path:
    """A probe run of the model `tiny`, as far as it is read."""
    folder = tmp_path / "probed"
    folder.mkdir()
    rows = ["domain,period,quantity,verdict", "mod-add 7,7,sum,supported", "days,7,item,refuted"]
    (folder / "verdicts.csv").write_text("\n".join(rows), encoding="utf-8")
    (folder / "run.json").write_text(json.dumps({"model": "tiny"}), encoding="utf-8")
    return folder


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_a_row_is_the_claim_and_what_the_model_gives(loaded: LoadedModel, tmp_path: Path) -> None:
    rows = rerun(loaded, [CLAIM, OTHER], {})
    RERUNS.run(None, lambda session: {"reruns": rows}).write(tmp_path)
    first, second = read((tmp_path / "reruns.csv").read_text(encoding="utf-8"))
    assert tuple(first) == tuple(columns_of(RerunRow)) == (*COLUMNS, *tuple(first)[len(COLUMNS) :])
    assert (first["domain"], first["dim"], first["published"]) == (CLAIM.domain, "3", "0.9")
    assert rows[0].reproduced is not None
    assert float(first["reproduced"]) == pytest.approx(rows[0].reproduced, rel=1e-5)
    assert float(first["difference"]) == pytest.approx(rows[0].reproduced - 0.9, abs=1e-5)
    assert (first["reproduced_best_dim"], first["n_prompts"]) == (str(rows[0].reproduced_best_dim), "49")
    assert first["reason"] == first["calibrated"] == ""
    assert "not asked in words" in second["reason"]
    assert {second[name] for name in ("reproduced", "difference", "rank", "n_prompts", "calibrated")} == {""}


def test_verdicts_stand_beside_their_own_domain_period_and_quantity(loaded: LoadedModel, probed: Path) -> None:
    verdicts = calibrated_verdicts(probed, "tiny")
    claims = [CLAIM, replace(CLAIM, modulus=5), DAYS, OTHER]
    rows = rerun(loaded, claims, verdicts)
    assert [row.calibrated for row in rows] == ["supported", "", "", ""]
    said = terminal(claims, rows, verdicts)
    assert "1 supported, 1 no verdict" in said
    assert "3 of 4 claims run again" in said
    assert "1  it is about a model of numbers, which is not asked in words" in said


def test_another_models_verdicts_are_refused(probed: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a run of tiny, not of large"):
        calibrated_verdicts(probed, "large")
    with pytest.raises(InputError, match=r"holds no verdicts\.csv and run\.json"):
        calibrated_verdicts(tmp_path / "none", "tiny")


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    import audit_claims

    monkeypatch.setattr(sys, "argv", ["audit_claims.py", *map(str, arguments)])
    return audit_claims.main()


def test_the_script_runs_claims_again(
    tmp_path: Path, loaded: LoadedModel, probed: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    values = np.random.default_rng(0).uniform(0.9, 0.99, (20, 64))
    monkeypatch.setattr(magnitude_networks, "r2", lambda n, grid, statistic: values)
    monkeypatch.setattr(models, "load", lambda name, revision: loaded)
    with (tmp_path / "claims.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([COLUMNS, *([getattr(claim, name) for name in COLUMNS] for claim in (CLAIM, DAYS))])
    row = "random-init Qwen3,mod-add 7,7,0,0,1024,0.99,0.95,0.6,0.7,0.8,0.85,0.9"
    (tmp_path / "null.csv").write_text("\n".join([",".join(TABLE_COLUMNS), row]))
    options = ("--claims", tmp_path / "claims.csv", "--null-table", tmp_path / "null.csv", "--out", tmp_path / "out")
    assert _run(monkeypatch, *options, "--model", "tiny", "--from", probed) == 0
    assert "2 of 2 claims run again" in capsys.readouterr().out
    again = read((tmp_path / "out" / "reruns.csv").read_text(encoding="utf-8"))
    assert [entry["calibrated"] for entry in again] == ["supported", ""]
    assert _run(monkeypatch, *options, "--from", probed) == 2
    assert "give --model too" in capsys.readouterr().err
