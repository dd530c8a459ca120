"""The domain of a toy: questions of its own task that it was not trained on.

The items are the tokens t_0, t_1, … along the circle of the toy's task (`networks.tasks.circle_order`): the numbers for
addition, the powers of a primitive root for multiplication. A question is "t_i t_j =" - with a third token where the
task has three, held at the value of its slice - and its label is the answer's position on the circle:

    label(i, j) = i + j mod n, or i - j mod n         where the task is composition in a cyclic group
    label(i, j) = position of task(t_i, t_j)          elsewhere (a² + ab + b², …)

Questions are the rows of the split's test part: an answer known by heart is read from the stream too. The renaming null
permutes the names of all tokens in both slots at once; the third operand keeps its name. In a network that never
learnt the rows of W_E are exchangeable, so the null is exact over draws of the questions: of 2,000 untrained networks
with p = 23, 5.3 % have p <= 0.05 when each gets other questions, and 4.6 to 6.5 % when all get the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from llm_probe.questions.domains import Domain
from toy.analysis.readout import answer_positions, grid
from toy.config import ToyConfig
from toy.networks.tasks import circle_order, named, split, table
from toy.run.errors import InputError

GRID_LIMIT = 256
SPARE_ROWS = 40
"""Test rows that must be left beside the effects of both operands, in each of two halves."""


@dataclass(frozen=True)
class ToyDomain(Domain):
    """The task of one toy."""

    config: ToyConfig = field(default_factory=ToyConfig)
    """What it was trained on, and on which rows."""

    @property
    def has_grid(self) -> bool:
        """A question is three or four tokens to a small network: many more are read in a second."""
        return self.period <= GRID_LIMIT

    @property
    def second_is_item(self) -> bool:
        """Both operands are tokens of the toy."""
        return True

    @property
    def fixed_items(self) -> tuple[int, ...]:
        """The third operand's place on the circle, where there is one."""
        task = named(self.config.task)
        return (self.items.index(str(task.slice_at)),) if task.n_operands > 2 else ()

    def total(self, first: Any, offset: Any) -> Any:
        """The sum or difference of positions, or the answer's position where the task is no such sum."""
        if is_group_sum(self.config.task, self.config.modulus):
            return super().total(first, offset)
        answer = _answers(self.config.task, self.config.modulus)[first, offset]
        return answer if isinstance(first, Tensor) else int(answer)

    def admits(self, first: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """True for the pairs that were not trained on."""
        return ~_trained(self.config).numpy()[first, offset]


def toy_domain(config: ToyConfig) -> ToyDomain:
    """The domain of a toy's own task.

    Raises:
        InputError: the split leaves too few test rows to tell a circle from the effects of single operands.
    """
    task = named(config.task)
    tokens = circle_order(config.task, config.modulus).tolist()
    third = f" {task.slice_at}" if task.n_operands > 2 else ""
    left = int((~_trained(config)).sum())
    if left < 4 * len(tokens) + SPARE_ROWS:
        raise InputError(
            f"{config.task} mod {config.modulus} leaves {left} questions that were not trained on, too few beside "
            f"{len(tokens)} tokens in two places: train with a larger modulus or a smaller train_fraction"
        )
    return ToyDomain(
        name=f"mod-{config.task} {config.modulus}",
        items=tuple(str(token) for token in tokens),
        questions={"plain": "{item} {offset}" + third + " ="},
        operation="sub" if task.signs[:2] == (1, -1) else "add",
        largest_offset=len(tokens),
        config=config,
    )


@lru_cache
def is_group_sum(task: str, modulus: int) -> bool:
    """Whether the answer's position is the sum (or difference) of the operands' positions on a cycle."""
    answers = _answers(task, modulus)
    place = torch.arange(len(answers))
    return torch.equal(answers, (place[:, None] + named(task).signs[1] * place) % len(answers))


@lru_cache
def _answers(task: str, modulus: int) -> Int[Tensor, "n n"]:
    """[i, j]: the position of the answer to (t_i, t_j)."""
    n = len(circle_order(task, modulus))
    return answer_positions(task, modulus, grid(task, modulus)).view(n, n)


@lru_cache
def _trained(config: ToyConfig) -> Bool[Tensor, "n n"]:
    """[i, j]: whether (t_i, t_j) was trained on, at the third operand's slice if there is one."""
    rows = table(config.task, config.modulus)
    seen = torch.zeros((config.modulus,) * rows.operands.shape[1], dtype=torch.bool)
    train, _ = split(len(rows.answers), config.train_fraction, config.seed, config.split)
    seen[tuple(rows.operands[train].T)] = True
    n = len(circle_order(config.task, config.modulus))
    return seen[tuple(grid(config.task, config.modulus).T)].view(n, n)
