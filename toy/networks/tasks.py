"""The tasks: what the answer to (a, b) or (a, b, c) is modulo p, and which of them are trained on.

A task is a function of two or three tokens from Z_p with an answer in Z_p. Some of them are a group in disguise:
multiplication of the units of a prime p is addition of their discrete logarithms, so its circle runs through
1, g, g², … for a primitive root g. `circle_order` lists the tokens along the circle; every Fourier measurement of
this package is taken in that order.

    table     every (operands, answer) of a task, operands in lexicographic order: (n_rows, n_operands), (n_rows,)
    split     which rows of the table are trained on, a function of the seed alone and of no device
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from toy.run.errors import InputError

SplitRule = Literal["torch", "nanda"]


@dataclass(frozen=True)
class Task:
    """One operation modulo p."""

    formula: str
    """As it is written in figures."""
    answer: Callable[[Int[Tensor, "n operands"], int], Int[Tensor, " n"]]
    """(operands, p) to the answer in [0, p)."""
    n_operands: int = 2
    group: Literal["additive", "multiplicative"] | None = "additive"
    """The group that the operation is composition in; None where it is no group operation."""
    signs: tuple[int, ...] = (1, 1)
    """±1 per operand: in the group, the answer is the sum of the operands with these signs."""
    slice_at: int = 0
    """The third operand's value in pictures that show two of three."""
    last_operands: int | None = None
    """How many values the last operand takes, where it is not p."""


@dataclass(frozen=True)
class Table:
    """Every question of a task and its answer."""

    task: str
    modulus: int
    operands: Int[Tensor, "n operands"]
    answers: Int[Tensor, " n"]


def _power(operands: Int[Tensor, "n 3"], modulus: int) -> Int[Tensor, " n"]:
    """(a + b)^c by repeated multiplication, so that nothing overflows; 0^0 is 1."""
    base = (operands[:, 0] + operands[:, 1]) % modulus
    result = torch.ones_like(base)
    for step in range(int(operands[:, 2].max())):
        result = torch.where(operands[:, 2] > step, result * base % modulus, result)
    return result


def _divide(operands: Int[Tensor, "n 2"], modulus: int) -> Int[Tensor, " n"]:
    inverse = torch.tensor([pow(b, -1, modulus) if math.gcd(b, modulus) == 1 else 0 for b in range(modulus)])
    return operands[:, 0] * inverse[operands[:, 1]] % modulus


def _sextic(operands: Int[Tensor, "n 2"], modulus: int) -> Int[Tensor, " n"]:
    a, b = operands.T
    cube = (a * b) ** 3 % modulus
    return (a**4 % modulus * a * b + a * b * (b**4 % modulus) + cube + a * a * b + a * b * b) % modulus


TASKS: dict[str, Task] = {
    "add": Task("a + b", lambda x, p: x.sum(1) % p),
    "subtract": Task("a - b", lambda x, p: (x[:, 0] - x[:, 1]) % p, signs=(1, -1)),
    "multiply": Task("a · b", lambda x, p: x[:, 0] * x[:, 1] % p, group="multiplicative"),
    "divide": Task("a / b", _divide, group="multiplicative", signs=(1, -1)),
    "addpow": Task("(a + b)^c", _power, n_operands=3, slice_at=1, last_operands=33),
    "add3": Task("a + b + c", lambda x, p: x.sum(1) % p, n_operands=3, signs=(1, 1, 1)),
    "quadratic": Task("a² + ab + b²", lambda x, p: (x[:, 0] ** 2 + x.prod(1) + x[:, 1] ** 2) % p, group=None),
    "cubic": Task("a³ + a²b + ab² + b³", lambda x, p: x.sum(1) * (x**2).sum(1) % p, group=None),
    "sextic": Task("a⁵b + ab⁵ + a³b³ + a²b + ab²", _sextic, group=None),
}
"""`addpow` is addition where c = 1, the slice that is drawn; `cubic` (p = 97) and `sextic` (p = 127) are the two on
which published runs ended at 30 % and 40 % test accuracy."""


def table(task: str, modulus: int) -> Table:
    """All rows of a task. Raises InputError for an unknown task, or a modulus that is not an integer of 3 or more."""
    operation, size = named(task), checked_modulus(modulus)
    ranges = [torch.arange(size)] * operation.n_operands
    if operation.last_operands:
        ranges[-1] = torch.arange(min(operation.last_operands, size))
    if operation.answer is _divide:
        ranges[-1] = torch.tensor([b for b in range(size) if math.gcd(b, size) == 1])
    operands = torch.cartesian_prod(*ranges)
    return Table(task, size, operands, operation.answer(operands, size))


def named(task: str) -> Task:
    """The task of this name. Raises InputError if there is none."""
    if task not in TASKS:
        raise InputError(f"unknown task {task!r}: choose from {', '.join(TASKS)}")
    return TASKS[task]


def checked_modulus(modulus: object) -> int:
    """The modulus; InputError unless it is an integer of 3 or more."""
    if not isinstance(modulus, int) or isinstance(modulus, bool) or modulus < 3:
        raise InputError(f"modulus {modulus!r} cannot be used: give an integer of 3 or more, such as 113")
    return modulus


def split(n_rows: int, fraction: float, seed: int, rule: SplitRule = "torch") -> tuple[Tensor, Tensor]:
    """Indices of the training and of the test rows of a table, (n_train,) and (n_test,).

    `torch` takes a random permutation of a CPU generator, whatever device trains; `nanda` is the shuffle of Python's
    `random` that the code of Nanda et al. uses. The first int(fraction · n_rows) are trained on.

    Raises InputError if the fraction leaves no rows to train on or none to test on.
    """
    count = int(fraction * n_rows)
    if not 0 < count < n_rows:
        raise InputError(
            f"a train fraction of {fraction:g} leaves {count} of {n_rows} rows to train on and {n_rows - count} to "
            "test on: both need at least one, give a fraction between 0 and 1 such as 0.3"
        )
    if rule == "nanda":
        rows = list(range(n_rows))
        random.Random(seed).shuffle(rows)
        order = torch.tensor(rows)
    else:
        order = torch.randperm(n_rows, generator=torch.Generator().manual_seed(seed))
    return order[:count], order[count:]


def circle_order(task: str, modulus: int) -> Int[Tensor, " n"]:
    """The tokens in the order in which the task's group steps round its circle.

    0, 1, …, p-1 for addition and for tasks that are no group; 1, g, g², … modulo p (n = the number of units) for
    multiplication. Units that are no cycle (p = 8, 15, …) have no such order: they come in natural order.
    """
    if named(task).group != "multiplicative":
        return torch.arange(modulus)
    units = [unit for unit in range(1, modulus) if math.gcd(unit, modulus) == 1]
    for generator in units:
        powers = [1]
        while (following := powers[-1] * generator % modulus) != 1:
            powers.append(following)
        if len(powers) == len(units):
            return torch.tensor(powers)
    return torch.tensor(units)
