"""Restricted and excluded logits against regressions on all rows, and planted memory."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.toy.planted import planted
from toy.analysis.readout import Readout
from toy.analysis.restricted import AnswerPlanes
from toy.maths import fourier


def cross_entropy(logits: torch.Tensor, answer: torch.Tensor) -> float:
    return float(torch.nn.functional.cross_entropy(logits.double(), answer))


def by_regression(readout: Readout, keys: list[int]) -> torch.Tensor:
    """Fitted values of the logits on 1, cos w_k s, sin w_k s over all rows."""
    n, answer = readout.size, readout.answer.flatten()
    columns = [torch.ones(n * n, 1, dtype=torch.float64)] + [fourier.design(answer, k, n) for k in keys]
    design = torch.cat(columns, dim=1)
    # By the pseudo-inverse: a² + ab + b² may miss so many residues that columns coincide.
    return design @ torch.linalg.pinv(design) @ readout.logits.view(-1, n)


@given(
    st.sampled_from([("add", 7), ("add", 8), ("multiply", 11), ("quadratic", 7), ("quadratic", 12), ("cubic", 9)]),
    st.data(),
)
def test_projection_is_the_regression_on_all_rows(task_modulus: tuple[str, int], data: st.DataObject) -> None:
    readout = planted(*task_modulus, seed=data.draw(st.integers(0, 99)))
    n, answer = readout.size, readout.answer.flatten()
    keys = data.draw(st.lists(st.integers(1, n // 2), unique=True))
    fitted, logits = by_regression(readout, keys), readout.logits.view(-1, n)
    planes = AnswerPlanes.of(readout)
    torch.testing.assert_close(planes.restricted(keys)[answer], fitted, atol=1e-9, rtol=0)
    assert planes.restricted_loss(keys) == pytest.approx(cross_entropy(fitted, answer))
    excluded = logits - (fitted - logits.mean(dim=0))
    torch.testing.assert_close(planes.excluded(keys), excluded, atol=1e-9, rtol=0)
    some = torch.rand(n * n, generator=torch.Generator().manual_seed(0)) < 0.5
    assert planes.excluded_loss(keys, some) == pytest.approx(cross_entropy(excluded[some], answer[some]))
    assert planes.full_loss() == pytest.approx(cross_entropy(logits, answer))
    centred = logits - logits.mean(dim=1, keepdim=True)
    part = fitted - logits.mean(dim=0)
    part = part - part.mean(dim=1, keepdim=True)
    over_questions = (centred - centred.mean(dim=0)).square().sum()
    assert planes.share(keys) == pytest.approx(float(part.square().sum() / over_questions))
    assert planes.bias_share() == pytest.approx(float(1 - over_questions / centred.square().sum()))


def test_memory_is_in_the_excluded_part_and_the_rule_in_the_restricted() -> None:
    n = 13
    base = planted("add", n)
    difference = (base.answer[..., None] - torch.arange(n)).double() * (2 * math.pi / n)
    rule = 8 * (3 * difference).cos() + 8 * (5 * difference).cos()
    seen = torch.rand(n, n, generator=torch.Generator().manual_seed(0)) < 0.3
    memory = torch.nn.functional.one_hot(base.answer, n).double() * 20 * seen[..., None]
    rows = seen.flatten()

    memorised = AnswerPlanes.of(planted("add", n, logits=memory))
    assert memorised.excluded_loss([3, 5], rows) < 0.01  # nothing lost
    assert memorised.restricted_loss([3, 5]) > 1

    grokked = AnswerPlanes.of(planted("add", n, logits=rule))
    assert grokked.excluded_loss([3, 5], rows) == pytest.approx(math.log(n))
    assert grokked.restricted_loss([3, 5]) == pytest.approx(grokked.full_loss())

    # With both, taking the keys off leaves the memory, and keeping only them drops its noise.
    both = AnswerPlanes.of(planted("add", n, logits=rule + 3 * base.logits))
    assert both.restricted_loss([3, 5]) < both.full_loss() < both.excluded_loss([3, 5], rows)


def test_no_keys_leave_the_mean_and_take_nothing() -> None:
    readout = planted("add", 7)
    planes = AnswerPlanes.of(readout)
    torch.testing.assert_close(planes.restricted([]), readout.logits.mean(dim=(0, 1)).expand(7, 7))
    torch.testing.assert_close(planes.excluded([]), readout.logits.view(49, 7))
    assert planes.share([]) == 0
    assert planes.excluded_loss([1], torch.zeros(49, dtype=torch.bool)) is None
