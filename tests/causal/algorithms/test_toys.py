"""The toy under intervention: exact on the network that was written by hand, and nothing where there is no circle."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rotate_toy
import torch

from causal.algorithms.known_networks import decide_algorithm, patterns_of_both_kinds
from causal.algorithms.toy_bars import TURNS, Bench, draw, histograms, removal_rows, summary, turning_rows
from causal.algorithms.toys import (
    Network,
    SiteAdder,
    closed_form_frequencies,
    key_frequencies,
    memorising_step,
    networks,
    planes_of,
    sites,
)
from causal.interventions.directions import regression_pattern
from llm_probe.statistics.patterns import targets_of
from toy.config import ToyConfig
from toy.networks.closed_form import gromov
from toy.run.errors import InputError
from toy.training.runs import Run, open_run
from toy.training.train import train

P, CHOSEN = 23, (1, 4, 7, 10)
EVERY = torch.arange(P * P)


def closed(task: str = "add", modulus: int = P, frequencies: tuple[int, ...] = CHOSEN) -> Network:
    model, config = gromov(modulus, frequencies, task=task, one_hot=True)
    return Network("closed", model, config, frequencies, exact=True)


@pytest.fixture(scope="module")
def exact() -> dict[str, Bench]:
    return {bench.site.name: bench for bench in Bench.all_of(closed(), questions=200, seed=0)}


@pytest.fixture(scope="module")
def grokked(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A transformer that adds modulo 23, trained for some seconds."""
    folder = tmp_path_factory.mktemp("p23")
    config = ToyConfig(
        modulus=P, train_fraction=0.8, d_model=64, d_mlp=128, steps=600, decay_start=300, decay_steps=200,
        log_every=50, checkpoint_every=50, device="cpu",
    )  # fmt: skip
    train(config, folder)
    return open_run(folder)


@pytest.fixture(scope="module")
def trained(grokked: Run) -> Iterator[dict[str, Bench]]:
    model = grokked.model()
    network = Network("grokked", model, grokked.config, key_frequencies(model, grokked.config))
    yield {bench.site.name: bench for bench in Bench.all_of(network, questions=200, seed=0)}


def moved(bench: Bench, what: str) -> np.ndarray:
    """P(answer = s + j) for j = 1 … p - 1."""
    shares = histograms(bench, what, seed=0)
    return shares[np.arange(len(shares)), np.arange(1, len(shares) + 1)]


def removed(bench: Bench, draws: int = 5) -> dict[str, dict]:
    return {row["removed"]: row for row in removal_rows(bench, draws, seed=0)}


# ------------------------------------------------------------------------------------------- the closed-form network


@pytest.mark.parametrize("task", ["add", "subtract", "multiply"])
def test_turning_moves_the_logits_exactly(task: str) -> None:
    size = P - 1 if task == "multiply" else P
    network = closed(task, P, (1, 4, 7))
    for bench in Bench.all_of(network, questions=50, seed=0):
        before = bench.site.finish(bench.rows, bench.states)
        for step in (1, 5, size - 1):
            after = bench.site.finish(bench.rows, bench.turned("keys", step, torch.Generator()))
            torch.testing.assert_close(after, before.roll(step, dims=1), atol=1e-9, rtol=0)


def test_every_step_moves_every_answer(exact: dict[str, Bench]) -> None:
    for bench in exact.values():
        assert (moved(bench, "keys") == 1).all() and (moved(bench, "keys, oblique") == 1).all()


def test_wrong_periods_move_nothing(exact: dict[str, Bench]) -> None:
    # The neurons' doubles 2k of the keys 1, 4, 7, 10 are 2, 8, 9, 3: planes of these functions of a and b, not of the
    # sum. At the embedding the other frequencies are orthogonal to what W_in reads.
    assert (histograms(exact["embedding"], "other frequencies, equal norm", seed=0)[:, 0] == 1).all()
    for bench in exact.values():
        assert moved(bench, "random, equal norm").mean() < 0.1


def test_removal_leaves_chance_and_controls_leave_all(exact: dict[str, Bench]) -> None:
    for bench in exact.values():
        rows = removed(bench)
        # All logits are equal, so the right one of 23 is picked with probability 1/23.
        assert rows["keys"]["accuracy"] == pytest.approx(1 / P)
        assert rows["keys"]["accuracy_before"] == 1
        # Of the same length, by construction.
        for what in ("random, equal norm", "random, equal variance"):
            assert rows[what]["length"] == pytest.approx(rows["keys"]["length"], rel=0.1)
    assert removed(exact["embedding"])["other frequencies"]["accuracy"] == 1


def test_part_of_the_keys_moves_part_of_the_logits() -> None:
    bench = next(b for b in Bench.all_of(closed(), questions=50, seed=0) if b.site.name == "embedding")
    half = Bench("half", bench.site, planes_of(bench.site, EVERY, (1, 4)), bench.fitted_on, bench.rows)
    before = bench.site.finish(bench.rows, bench.states)
    after = half.site.finish(half.rows, half.turned("keys", 3, torch.Generator()))
    spectrum = torch.fft.rfft(before, dim=1) / torch.fft.rfft(after, dim=1)
    # Moving by 3 multiplies frequency k of the logits by exp(-2πi 3k/23): only the turned ones.
    angle = spectrum[:, [1, 4, 7, 10]].angle()
    expected = torch.tensor([2 * torch.pi * 3 * k / P for k in (1, 4)]).double()
    torch.testing.assert_close(torch.polar(torch.ones_like(angle[:, :2]), angle[:, :2] - expected).real.min(),
                               torch.ones(()).double())  # fmt: skip
    assert angle[:, 2:].abs().max() < 1e-9


# ------------------------------------------------------------------------------------------------- trained networks


def test_the_grokked_toy_turns(trained: dict[str, Bench]) -> None:
    assert (moved(trained["embedding"], "keys") >= 0.99).all()
    assert (moved(trained["resid_post"], "keys") >= 0.99).all()
    for what in ("random, equal norm", "shuffled labels, equal norm"):
        assert moved(trained["resid_post"], what).mean() < 0.2


def test_the_grokked_toy_needs_its_planes(trained: dict[str, Bench]) -> None:
    rows = removed(trained["resid_post"], draws=20)
    assert rows["keys"]["accuracy_before"] == 1
    assert rows["keys"]["accuracy"] < 2 / P
    for what in ("random", "random, equal norm", "random, equal variance"):
        assert rows[what]["accuracy"] > 0.99, what


def test_untrained_and_memorising_networks_give_nothing(grokked: Run) -> None:
    by_kind = {network.name.partition(", ")[2]: network for network in networks([grokked.folder], 0)}
    (last,) = [bench for bench in Bench.all_of(by_kind["untrained"], questions=264, seed=0) if bench.site.is_last]
    assert moved(last, "keys").mean() == pytest.approx(1 / P, abs=0.02)


def test_a_network_that_memorised(tmp_path: Path) -> None:
    # No weight decay and few questions: they are learnt by heart.
    config = ToyConfig(
        modulus=31, d_model=64, d_mlp=128, learning_rate=3e-3, weight_decay=0.0, steps=100, log_every=25,
        checkpoint_every=25, device="cpu",
    )  # fmt: skip
    train(config, tmp_path)
    run = open_run(tmp_path)
    step = memorising_step(run)
    assert step is not None
    model = run.model(step)
    network = Network("memorising", model, config, key_frequencies(model, config, 3), memorised=True)
    (last,) = [bench for bench in Bench.all_of(network, questions=200, seed=0) if bench.site.is_last]
    assert last.site.accuracy(last.rows, last.states) > 0.98
    assert moved(last, "keys").mean() < 0.1


# ------------------------------------------------------------------------------------------------- pieces


def test_sites_end_in_the_networks_own_logits(grokked: Run) -> None:
    for model, config in ((grokked.model(), grokked.config), gromov(P, CHOSEN)):
        operands = torch.cartesian_prod(torch.arange(P), torch.arange(P))
        for site in sites(model, config).values():
            torch.testing.assert_close(site.finish(EVERY, site.states), model(operands), atol=1e-4, rtol=1e-4)
        assert [site.is_last for site in sites(model, config).values()][-1]


def test_a_task_that_is_no_circle_is_refused(tmp_path: Path) -> None:
    from toy.networks.model import build

    config = ToyConfig(task="quadratic", modulus=7, d_model=16, d_mlp=8)
    with pytest.raises(InputError, match="no circle to turn"):
        sites(build(config), config)


def test_patterns_are_fitted_beside_each_other() -> None:
    # States hold cos and sin of period 10 only; alone, a circle of period 21/2 would seem to be there too.
    sums = torch.arange(60)
    angle = sums.double() * 2 * torch.pi / 10
    states = torch.stack([angle.cos(), angle.sin(), torch.ones(60)], dim=1)
    alone = regression_pattern(states, targets_of(sums, [2], 21))
    patterns = patterns_of_both_kinds(states, sums, 21, [2])
    assert alone.norm() > 0.5
    assert patterns["modulus"].norm() < 1e-9
    torch.testing.assert_close(patterns["base 10"][:2, :2], torch.eye(2).double())


def test_a_grokked_network_keeps_its_clock(trained: dict[str, Bench]) -> None:
    bench = trained["resid_post"]
    decision = decide_algorithm(SiteAdder(bench.site), questions=500, count=len(bench.keys.frequencies))[1]
    assert decision.algorithm == "clock"
    assert decision.order and decision.order.tests[0].worst == pytest.approx(1, abs=0.1)


def test_closed_forms_leave_other_frequencies() -> None:
    for size in (7, 23, 96, 113):
        chosen = closed_form_frequencies(size)
        assert chosen[0] == 1 and max(chosen) <= (size - 1) // 2
        assert 3 * len(chosen) <= (size - 1) // 2 + 2


def test_tables_and_figure(exact: dict[str, Bench]) -> None:
    bench = exact["embedding"]
    turns = [row for what in TURNS for row in turning_rows(bench, what, histograms(bench, what, seed=0))]
    sites_table = summary(pd.DataFrame(removal_rows(bench, 3, seed=0)), pd.DataFrame(turns))
    assert sites_table.loc[("closed", "embedding"), "P(s + j), worst j"] == 1
    assert not sites_table.isna().any(axis=None)
    figure = draw("Turned", [("keys", histograms(bench, "keys", seed=0))] * 2)
    assert len(figure.axes) == 3  # two panels and the colour bar


def test_the_command(
    grokked: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    options = ["--draws", "2", "--questions", "60", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["rotate_toy.py", str(grokked.folder), *options])
    assert rotate_toy.main() == 0
    names = {path.name for path in tmp_path.iterdir()}
    tables = {"ablation.csv", "rotation.csv", "algorithm.csv", "order.csv"}
    assert names == {*tables, "run.json", "turning.png", "turning.svg"}
    words = pd.read_csv(tmp_path / "order.csv").groupby("network").word.first()
    assert words["Clock mod 23"] == "circle" and words["AnswerCode mod 23"] == "answer code"
    for name in ("ablation", "rotation", "algorithm"):
        assert not pd.read_csv(tmp_path / f"{name}.csv", keep_default_na=False).isna().any(axis=None)
    monkeypatch.setattr("sys.argv", ["rotate_toy.py", str(tmp_path), *options])
    assert rotate_toy.main() == 2
    assert "is no run directory" in capsys.readouterr().err
