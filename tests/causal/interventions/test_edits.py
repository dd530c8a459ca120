"""Every intervention against numbers worked out by hand."""

import torch

from causal.interventions import edits as iv

FIRST = torch.tensor([[1.0], [0.0], [0.0]], dtype=torch.float64)
STATES = torch.tensor([[3.0, 4.0, 5.0], [1.0, 0.0, -1.0]])


def test_zero_mean_and_swap_change_one_coordinate() -> None:
    centre = torch.tensor([2.0, 9.0, 9.0])
    assert iv.zero(STATES, FIRST).tolist() == [[0, 4, 5], [0, 0, -1]]
    assert iv.mean(STATES, FIRST, centre).tolist() == [[2, 4, 5], [2, 0, -1]]
    assert iv.swap(STATES, FIRST, STATES.flip(0)).tolist() == [[1, 4, 5], [3, 0, -1]]


def test_swapping_everything_gives_the_donor() -> None:
    assert torch.allclose(iv.swap(STATES, torch.eye(3, dtype=torch.float64), STATES.flip(0)), STATES.flip(0))
