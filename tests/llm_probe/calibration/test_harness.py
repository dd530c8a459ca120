"""Rates by hand, trials that are computed once whatever interrupts them, and the script as a user meets it."""

import math
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import calibrate
import pytest

from llm_probe.calibration import harness, known_circles
from llm_probe.calibration.harness import (
    AMPLITUDES,
    ITEM_AMPLITUDES,
    OF_ITEMS,
    SHARES,
    SIGNALS,
    null_settings,
    planted_settings,
)
from llm_probe.calibration.networks import Planted
from llm_probe.calibration.trials import Setting, Trial
from toy.run.errors import InputError


def made_up(setting: Setting) -> Trial:
    """p = 0.01 for every tenth seed; planted signals of 0.1 sd or more are found."""
    size = setting.planted.amplitude if setting.planted else setting.amplitude
    signal = setting.planted or setting.code
    detected = size >= 0.1 if signal else setting.seed % 10 == 0
    p = {"p_fwer (planes)": 0.01 if detected else 0.5}
    if setting.null == "magnitudes":
        p["p_selective"] = 0.05 if detected else 1.0
    return Trial(p, "supported" if signal and detected else "refuted")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[str]]:
    """Trials made up and counted: workers are forked, so they count in a file."""
    log = tmp_path / "computed"
    log.touch()

    def run_trial(setting: Setting) -> Trial:
        with log.open("a") as file:
            file.write(f"{setting.null} {setting.seed}\n")
        return made_up(setting)

    monkeypatch.setattr(harness, "run_trial", run_trial)
    return lambda: sorted(log.read_text().splitlines())


def test_rates_by_hand() -> None:
    settings = [Setting("magnitudes", seed) for seed in range(20)] + [Setting("names", seed) for seed in range(5)]
    trials = [Trial({"a": 0.05 if seed == 4 else 0.051}, "supported" if seed < 2 else "refuted") for seed in range(20)]
    trials += [Trial({"a": 0.2, "b": 0.01}, "refuted")] * 5
    rows = {(row.statistic, row.null): row for row in harness.false_positives(settings, trials)}
    assert set(rows) == {
        (name, null) for name in ("a", "supported", "refuted") for null in ("all", "magnitudes", "names")
    } | {("b", "all"), ("b", "names")}  # fmt: skip
    one = rows["a", "magnitudes"]
    # Clopper & Pearson for 1 of 20, from their tables.
    assert (one.n_networks, one.false_positive_rate) == (20, 0.05)
    assert (one.lower, one.upper) == pytest.approx((0.00127, 0.24873), abs=1e-5)
    assert rows["a", "all"].false_positive_rate == 1 / 25
    assert rows["supported", "all"].false_positive_rate == 2 / 25
    assert rows["refuted", "all"].false_positive_rate == 23 / 25
    every = rows["b", "all"]
    # Of those to which it applies; 5 of 5: (0.025)^(1/5) to 1.
    assert (every.n_networks, every.false_positive_rate, every.upper) == (5, 1.0, 1.0)
    assert every.lower == pytest.approx(0.025**0.2)


def test_power_by_hand() -> None:
    name = "plane, k = 3, every modulus"
    settings = [(name, Setting("magnitudes", seed, Planted(0.2, 3))) for seed in range(4)]
    trials = [Trial({"a": p}, "supported") for p in (0.01, 0.02, 0.5, 0.05)]
    rows = {row.statistic: row for row in harness.power(harness.by_signal(settings, trials))}
    assert set(rows) == {"a", "supported", "refuted"}
    assert (rows["a"].planted, rows["a"].amplitude, rows["a"].n_networks, rows["a"].power) == (name, 0.2, 4, 0.75)
    assert (rows["supported"].power, rows["refuted"].power) == (1, 0)


def test_fewer_null_networks_are_some_of_more() -> None:
    thousand, hundred = null_settings(1000), null_settings(100)
    assert (len(thousand), len(hundred)) == (1000, 100)
    assert set(hundred) < set(thousand)
    for null, share in SHARES.items():
        assert sum(one.null == null for one in thousand) == round(1000 * share)
    assert len(set(thousand)) == 1000


def test_planted_networks_are_asked_for_their_circle_and_are_new() -> None:
    settings = planted_settings(12)
    counts = Counter(name for name, _ in settings)
    assert counts == {
        **dict.fromkeys(SIGNALS, 12 * len(AMPLITUDES)),
        OF_ITEMS: 2 * 12 * len(ITEM_AMPLITUDES),
    }  # days and months
    for name, one in settings:
        assert one.claim.quantity == "item" if name == OF_ITEMS else one.claim.is_arithmetic
        if one.planted:  # else the circle that is planted is one of a divisor
            assert math.gcd(one.planted.frequency, one.claim.period) == 1
    assert {12, 24} <= {one.claim.period for name, one in settings if name == "plane, k = 1, every modulus"}
    assert {one.seed for _, one in settings}.isdisjoint({one.seed for one in null_settings(1000)})
    few = {(name, one) for name, one in planted_settings(3)}
    assert few < set(settings)


def test_a_second_run_reads_its_cells_and_more_networks_are_added(counted, tmp_path: Path) -> None:
    settings = null_settings(20)
    ticks: list[int] = []
    first = harness.run_all(settings, tmp_path / "out", 2, lambda: ticks.append(1))
    assert first == [made_up(setting) for setting in settings]
    assert len(ticks) == len(counted()) == len(settings)
    assert harness.run_all(settings, tmp_path / "out", 2) == first
    assert len(counted()) == len(settings)
    more = null_settings(30)
    assert harness.run_all(more, tmp_path / "out", 1) == [made_up(setting) for setting in more]
    assert counted() == sorted(f"{one.null} {one.seed}" for one in more)


def test_a_killed_worker_loses_only_its_own_trial(counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, calm = null_settings(20), harness.run_trial

    def dies(setting: Setting) -> Trial:
        if setting == settings[12]:
            os._exit(9)
        return calm(setting)

    monkeypatch.setattr(harness, "run_trial", dies)
    with pytest.raises(InputError, match="a worker was killed"):
        harness.run_all(settings, tmp_path / "out", 1)
    kept = counted()
    assert len(kept) == 12
    monkeypatch.setattr(harness, "run_trial", calm)
    assert harness.run_all(settings, tmp_path / "out", 1) == [made_up(setting) for setting in settings]
    assert len(counted()) == len(settings)  # none was computed twice


def test_the_script_writes_tables_and_figures_and_goes_on(counted, tmp_path: Path, capsys, monkeypatch) -> None:
    # Networks with known circles are trained and probed in test_known_circles.
    known = Trial({"p_fwer (planes)": 0.002}, "supported")
    monkeypatch.setattr(known_circles, "grokked_trials", lambda seeds, folder: [known] * seeds)
    monkeypatch.setattr(known_circles, "closed_form_trial", lambda modulus: known)
    out = tmp_path / "results"
    arguments = ["--networks", "10", "--planted", "1", "--workers", "1", "--out", str(out)]
    assert calibrate.main(arguments) == 0
    said = capsys.readouterr().out
    assert "p_fwer (planes)" in said and "False positives" in said and "Power" in said
    names = ("false_positives", "power")
    assert {f"{name}.{kind}" for name in names for kind in ("csv", "svg", "png")} <= {p.name for p in out.iterdir()}
    tables = [(out / f"{name}.csv").read_bytes() for name in names]
    assert b"grokked toy" in tables[1] and b"closed form" in tables[1]
    computed = len(counted())
    assert calibrate.main(arguments) == 0
    assert [(out / f"{name}.csv").read_bytes() for name in names] == tables
    assert len(counted()) == computed == 10 + len(planted_settings(1))


@pytest.mark.parametrize(
    "wrong", [("--networks", "5"), ("--planted", "-1"), ("--hard", "-1"), ("--workers", "-1")], ids=lambda pair: pair[0]
)  # fmt: skip
def test_mistakes_are_one_sentence(wrong: tuple[str, str], tmp_path: Path, capsys) -> None:
    assert calibrate.main([*wrong, "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and wrong[1] in said


def test_a_folder_that_cannot_be_written(counted, tmp_path: Path, capsys) -> None:
    (tmp_path / "file").touch()
    assert calibrate.main(["--networks", "10", "--workers", "1", "--out", str(tmp_path / "file")]) == 2
    assert "give another folder with --out" in capsys.readouterr().err
