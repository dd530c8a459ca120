"""Is the circle that is read the one that is used? The plane of a probe beside a trained subspace of the same size.

Both are fitted on some operand pairs and judged on others, by the same two interventions: with Q (d, w) an orthonormal
basis, μ_x the mean state of answer x, and v_x = Q Qᵀ (μ_x - μ) where it stands along Q,

    moved       h + v_{x+j} - v_x       the share of states that answer x + j then
    ablated     h - Q Qᵀ (h - μ)        the share that is still right

    plane         the circle of the answer at some frequencies, as a probe reads and writes it
    trained       as many directions, trained to move the answer (`trained_subspace`)
    random        as many random directions
    other order   v_x is the part of μ_x that follows the same circle of the answers in another order; moved only

A circle is `used` where moving along it moves the answer at least half as often as the trained directions do, beyond
both controls; `read, not used` where it does so less than half as often, though the trained directions do move it. All
three by 95 % intervals (Wilson); else `undetermined`. The angle between plane and trained subspace is the largest
principal one; beside it stands the angle that 5 % of random subspaces stay below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causal.algorithms.known_networks import Adder, Operands
from causal.interventions.directions import regression_pattern
from causal.interventions.principal_angles import haar_quantile, largest_angle
from causal.interventions.trained_subspace import along, descended
from llm_probe.geometry.third_direction import class_means
from llm_probe.statistics.patterns import nearest_orthonormal, random_basis, targets_of
from toy.maths.intervals import wilson

Way = Literal["plane", "trained", "random", "other order"]
Use = Literal["used", "read, not used", "undetermined"]
Basis = Float[Tensor, "d w"]
STARTS, STEPS = 4, 200
"""Of the descent to the trained subspace."""
MOVABLE = 0.5
"""Share of states that the trained directions have to move for anything to be said."""


@dataclass(frozen=True)
class Mediation:
    """What the two subspaces of one network do."""

    n: int
    """States they were judged on."""
    angle: float
    """Largest principal angle between plane and trained subspace, in radians."""
    haar: float
    """The angle that 5 % of random subspaces of this size stay below."""
    moved: dict[Way, float]
    ablated: dict[Way, float]

    @property
    def agrees(self) -> bool:
        """Whether the two subspaces are nearer to each other than chance brings them."""
        return self.angle < self.haar

    @property
    def use(self) -> Use:
        """Whether the circle is used."""
        low, high = self._interval("plane")
        if self._interval("trained")[0] < MOVABLE:
            return "undetermined"
        half = self.moved["trained"] / 2
        beyond = low > max(self._interval("other order")[1], self._interval("random")[1])
        if low >= half and beyond:
            return "used"
        return "read, not used" if high < half else "undetermined"

    def _interval(self, name: Way) -> tuple[float, float]:
        return wilson(round(self.moved[name] * self.n), self.n)


class Mediator:
    """An adder whose subspaces are fitted on some operand pairs and judged on others."""

    def __init__(self, adder: Adder, fitted_on: Operands, judged_on: Operands, seed: int = 0) -> None:
        self.adder, self.seed, p = adder, seed, adder.modulus
        self.fitted, self.states = adder.hidden(fitted_on), adder.hidden(judged_on)
        self.fitted_labels, self.labels = fitted_on.sum(dim=1) % p, judged_on.sum(dim=1) % p
        self.means = class_means(self.fitted.double(), self.fitted_labels, p)
        self._trained: dict[int, Basis] = {}

    def plane(self, frequencies: Sequence[int]) -> Basis:
        """The circle of the answers.

        In their means, where every answer counts once: no circle of another frequency is mixed into it.
        """
        targets = targets_of(torch.arange(self.adder.modulus), frequencies, self.adder.modulus)
        return nearest_orthonormal(regression_pattern(self.means, targets))

    def other_order(self, frequencies: Sequence[int]) -> Float[Tensor, "p d"]:
        """Where each answer stands on the circle of the answers in another order, as far as its mean follows it."""
        order = torch.randperm(self.adder.modulus, generator=torch.Generator().manual_seed(self.seed + 1))
        circle = targets_of(order, frequencies, self.adder.modulus)
        return circle @ torch.linalg.pinv(circle) @ self.means

    def trained(self, width: int) -> Basis:
        """As many directions as move the answer best, on the pairs they are fitted on: trained once for each width."""
        if width in self._trained:
            return self._trained[width]

        def loss(change: Float[Tensor, "n d"], target: Int[Tensor, " n"]) -> Tensor:
            log_p = self.adder.read(self.fitted + change.to(self.fitted)).log_softmax(dim=1)
            return -log_p.gather(1, target[:, None]).sum()

        labels = self.fitted_labels
        basis = descended(loss, labels, labels, self.means, width, self.seed, starts=STARTS, steps=STEPS)
        self._trained[width] = basis
        return basis

    def moved(self, places: Float[Tensor, "p d"]) -> float:
        """Share of the states that answer j steps on when they are moved by v, each by a j of its own."""
        x, p = self.labels, self.adder.modulus
        j = torch.randint(1, p, x.shape, generator=torch.Generator().manual_seed(self.seed))
        change = places[(x + j) % p] - places[x]
        return self._right(self.states + change.to(self.states), (x + j) % p)

    def ablated(self, basis: Basis) -> float:
        """Share of right answers when nothing varies along the basis."""
        change = (self.fitted.double().mean(dim=0) - self.states.double()) @ basis @ basis.T
        return self._right(self.states + change.to(self.states), self.labels)

    def _right(self, states: Float[Tensor, "n d"], answers: Int[Tensor, " n"]) -> float:
        return float((self.adder.read(states).argmax(dim=1) == answers).double().mean())

    def mediation(self, frequencies: Sequence[int]) -> Mediation:
        """The plane of these frequencies beside as many trained directions, and both beside their controls."""
        plane = self.plane(frequencies)
        d, width = plane.shape
        generator = torch.Generator().manual_seed(self.seed + 2)
        bases: dict[Way, Basis] = {
            "plane": plane,
            "trained": self.trained(width),
            "random": random_basis(plane, generator),
        }
        places: dict[Way, Tensor] = {name: along(basis, self.means) for name, basis in bases.items()}
        places["other order"] = self.other_order(frequencies)
        return Mediation(
            n=len(self.states),
            angle=largest_angle(plane, bases["trained"]),
            haar=haar_quantile(d, width, 0.05),
            moved={name: self.moved(own) for name, own in places.items()},
            ablated={name: self.ablated(basis) for name, basis in bases.items()},
        )


def halves(adder: Adder, questions: int, seed: int) -> tuple[Operands, Operands]:
    """Random operand pairs to fit on, and as many others to judge on."""
    chosen = torch.randperm(adder.below**2, generator=torch.Generator().manual_seed(seed))[:questions]
    pairs = torch.stack([chosen // adder.below, chosen % adder.below], dim=1)
    return pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]
