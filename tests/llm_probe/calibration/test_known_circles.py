"""Networks whose circles are known are found, and the closed form that is probed is the closed form."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from llm_probe.calibration import known_circles
from llm_probe.calibration.known_circles import KEYS, TOY, GromovForCausalLM, OutputConfig
from llm_probe.calibration.trials import Trial
from toy.networks.closed_form import gromov
from toy.run.errors import InputError

P = 17


def test_the_block_has_the_networks_logits_at_equals() -> None:
    network, config = gromov(P, KEYS)
    pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
    ids = torch.cat([pairs, torch.full((P * P, 1), P)], dim=1)
    states = GromovForCausalLM(OutputConfig(config), network)(ids).hidden_states
    torch.testing.assert_close(states[1][:, 2], network(pairs))
    # By hand: 9/2 Σ_k cos w_k(a + b - c).
    angle = 2 * torch.pi / P * (pairs.sum(dim=1)[:, None] - torch.arange(P)).double()
    torch.testing.assert_close(states[1][:, 2], 4.5 * sum((k * angle).cos() for k in KEYS))
    longer = torch.cat([ids, torch.full((P * P, 2), P + 1)], dim=1)
    torch.testing.assert_close(GromovForCausalLM(OutputConfig(config), network)(longer).hidden_states[1][:, :3],
                               states[1])  # fmt: skip


def test_the_closed_form_is_found_at_its_keys() -> None:
    result = known_circles.probed_closed_form(P)
    verdict = result.verdicts.iloc[0]
    assert verdict["verdict"] == "supported", verdict["reason"]
    assert verdict["frequency"] in KEYS
    planes = result.table.query("weights == 'trained' and unit == 'plane' and family == 'fourier'")
    by_frequency = planes.set_index("frequency")["r2_heldout"]
    assert by_frequency[list(KEYS)].min() > 0.99
    assert by_frequency.drop(list(KEYS)).max() < 0.01
    # Its outputs are three cosines each: the published statistic, one frequency in one dimension, has a third.
    assert verdict["class_mean_r2"] == pytest.approx(1 / 3, abs=1e-6)


def test_a_grokked_toy_is_found_and_probed_once(tmp_path: Path, capsys) -> None:
    # The whole schedule: at 300 of its 800 steps this seed has not grokked under every instruction set.
    trials = known_circles.grokked_trials(1, tmp_path, TOY)
    assert [trial.verdict for trial in trials] == ["supported"]
    assert trials[0].p["p_fwer (planes)"] == pytest.approx(1 / 2000)
    cells = sorted((tmp_path / "probe" / "cells").iterdir())
    before = [cell.stat().st_mtime_ns for cell in cells]
    assert known_circles.grokked_trials(1, tmp_path, TOY) == trials
    assert [cell.stat().st_mtime_ns for cell in cells] == before


def test_a_toy_that_has_not_grokked_is_none_of_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of 1 toys grokked in 2 steps"):
        known_circles.grokked_trials(1, tmp_path, replace(TOY, steps=2))


def test_rows_by_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hit, missed = Trial({"a": 0.05}, "supported"), Trial({"a": 0.06}, "undetermined")
    monkeypatch.setattr(known_circles, "grokked_trials", lambda seeds, folder: [hit, hit, missed, hit])
    monkeypatch.setattr(known_circles, "closed_form_trial", lambda modulus: hit)
    rows = {(row.planted, row.statistic): row for row in known_circles.rows(4, tmp_path)}
    assert set(rows) == {
        (kind, name) for kind in ("grokked toy", "closed form") for name in ("a", "supported", "refuted")
    }
    assert rows["grokked toy", "supported"].power == rows["grokked toy", "a"].power == 0.75
    closed = rows["closed form", "supported"]
    assert (closed.n_networks, closed.power, closed.amplitude) == (len(known_circles.CLOSED_MODULI), 1.0, 1.0)
    assert closed.lower == pytest.approx(0.025 ** (1 / 4))
