"""A network that knows its training table and its mirror image, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from toy.config import ToyConfig
from toy.model import MLP
from toy.symmetry import mirror_accuracy
from toy.tasks import split, table

CONFIG = ToyConfig(modulus=13, architecture="mlp", d_model=4, d_mlp=4)


class Memory(MLP):
    """Answers what was trained on, swapped or not, and 0 to all else."""

    def forward(self, operands: Tensor) -> Tensor:
        rows = table("add", 13)
        known = torch.zeros(13, 13, dtype=torch.long)
        a, b = rows.operands[split(169, CONFIG.train_fraction, 0)[0]].T
        known[a, b] = known[b, a] = (a + b) % 13
        return torch.nn.functional.one_hot(known[operands[:, 0], operands[:, 1]], 13).float()


def test_memory_and_symmetry_alone() -> None:
    found = mirror_accuracy(Memory(CONFIG), CONFIG)
    assert found is not None and found.mirrored == 1
    assert found.unmirrored == pytest.approx(1 / 13, abs=0.1)  # the right answer is 0 by chance
    assert found.share_mirrored == pytest.approx(CONFIG.train_fraction, abs=0.1)


@pytest.mark.parametrize("task", ["subtract", "divide", "add3"])
def test_no_symmetry_to_gain_from(task: str) -> None:
    config = ToyConfig(task=task, modulus=5, architecture="mlp", d_model=4, d_mlp=4)
    assert mirror_accuracy(MLP(config), config) is None
