"""Control labels keep what they promise to keep, and lose the circle."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS, Domain, modular
from llm_probe.questions.prompts import question
from llm_probe.statistics.controls import control_labels, latin_square, reordered, shuffled
from llm_probe.statistics.dimensions import fixed_nuisances
from toy.maths import fourier
from toy.maths.regression import partial_r2, residual


def labels_of(domain: Domain, size: int = 600) -> Labels:
    claim = Claim(domain, "sum")
    return Labels.of(claim, claim.prompts("discovery", size, 0))


@settings(max_examples=60)
@given(st.integers(4, 31), st.integers(0, 10_000))
def test_latin_squares_are_latin_reproducible_and_not_the_task(period: int, seed: int) -> None:
    table = latin_square(period, seed)
    assert table is not None
    residues = torch.arange(period)
    assert torch.equal(table.sort(dim=0).values, residues[:, None].expand(period, period))
    assert torch.equal(table.sort(dim=1).values, residues.expand(period, period))
    again = latin_square(period, seed)
    assert again is not None and torch.equal(table, again)
    for sign in (1, -1):
        known = (residues[:, None] + sign * residues) % period
        # One control value for each true one would be the task under other names.
        assert max(len(table[known == value].unique()) for value in range(period)) > 1


def test_small_squares_are_all_the_task() -> None:
    assert latin_square(3, 0) is None
    assert reordered(3, 0) is None


@settings(max_examples=40)
@given(st.integers(4, 24), st.integers(0, 10_000))
def test_reordered_items_are_another_circle(items: int, seed: int) -> None:
    order = reordered(items, seed)
    assert order is not None
    assert order.sort().values.tolist() == list(range(items))
    dihedral = [[(sign * item + shift) % items for item in range(items)] for sign in (1, -1) for shift in range(items)]
    assert order.tolist() not in dihedral
    assert torch.equal(order, reordered(items, seed))


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_shuffled_labels_stay_with_their_pair_and_keep_their_counts(seed: int) -> None:
    domain = DOMAINS["days"]  # 147 pairs: 600 prompts use most of them in several templates
    labels = labels_of(domain, 400)
    assert int(labels.unit.unique(return_counts=True)[1].max()) > 1
    control = shuffled(labels, seed)
    assert torch.equal(control.bincount(minlength=7), labels.label.bincount(minlength=7))
    for unit in labels.unit.unique():
        assert len(control[labels.unit == unit].unique()) == 1
    assert torch.equal(control, shuffled(labels, seed))


@pytest.mark.parametrize("name", ["days", "hours", "alphabet"])
def test_calendar_sums_have_three_controls(name: str) -> None:
    labels = labels_of(DOMAINS[name])
    controls = control_labels(labels, 0)
    assert set(controls) == {"shuffled", "difference", "latin_square"}
    for control in controls.values():
        assert set(control.tolist()) <= set(range(labels.period))
    torch.testing.assert_close(controls["difference"], (labels.first - labels.offset) % labels.period)


def test_other_operations() -> None:
    labels = labels_of(modular("sub", 11))
    controls = control_labels(labels, 0)
    assert set(controls) == {"shuffled", "sum", "latin_square"}
    torch.testing.assert_close(controls["sum"], (labels.first + labels.offset) % 11)
    assert set(control_labels(labels_of(modular("mul", 11)), 0)) == {"shuffled", "difference"}


def test_controls_are_functions_of_the_operands_on_new_prompts() -> None:
    claim = Claim(modular("add", 7), "sum")
    seen = {}
    for part in ("discovery", "confirmation"):
        labels = Labels.of(claim, claim.prompts(part, 900, 0))
        control = control_labels(labels, 3)["latin_square"]
        rows = zip((labels.first % 7).tolist(), (labels.offset % 7).tolist(), control.tolist(), strict=True)
        for first, offset, value in rows:
            assert seen.setdefault((first, offset), value) == value


def test_items_are_reordered() -> None:
    claim = Claim(DOMAINS["months"], "item")
    labels = Labels.of(claim, claim.prompts("discovery", 0, 0))
    controls = control_labels(labels, 5)
    assert set(controls) == {"reordered"}
    order = reordered(12, 5)
    assert order is not None
    assert torch.equal(controls["reordered"], order[labels.label])


def test_the_control_is_as_free_of_the_operands_as_the_task_and_has_no_circle() -> None:
    """On a full table one-hot operands absorb nothing of either; the task's circle holds little of the control's."""
    domain = modular("add", 23)
    claim = Claim(domain, "sum")
    labels = Labels.of(claim, [question(domain, "published", a, b) for a in range(23) for b in range(23)])
    control = control_labels(labels, 0)["latin_square"]
    nuisances = fixed_nuisances(labels)
    for values in (labels.label, control):
        points = fourier.circle(values, 1, 23)
        torch.testing.assert_close(residual(points, nuisances), points, atol=1e-9, rtol=0)
        share = partial_r2(points, fourier.circle(labels.label, 1, 23), nuisances).mean()
        assert float(share) == pytest.approx(1) if values is labels.label else float(share) < 0.05
