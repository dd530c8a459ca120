"""Is the circle that is read the one that is used? The plane of a probe beside a trained subspace of the same size.

Both are fitted on some questions and judged on others, by the same two interventions: with Q (d, w) an orthonormal
basis, μ_x the mean state of label x, and v_x = Q Qᵀ (μ_x - μ) where it stands along Q,

    moved       h + v_{x+j} - v_x       the share of states after which the answer is j steps on
    ablated     h - Q Qᵀ (h - μ)        the share that is still right

    plane         the circle of the labels at some frequencies, as a probe reads and writes it
    trained       as many directions, trained to move the answer (`trained_subspace`)
    random        as many random directions
    other order   v_x is the part of μ_x that follows the same circle of the labels in another order; moved only

A circle is `used` where moving along it moves the answer at least half as often as the trained directions do, beyond
both controls; `read, not used` where it does so less than half as often, though the trained directions do move it. All
three by 95 % intervals (Wilson); else `undetermined`. The angle between plane and trained subspace is the largest
principal one; beside it stands the angle that 5 % of random subspaces stay below.

An answer of several tokens is decided at several nodes, each with states, means and a basis of its own: all are edited
together, and the angle is that of the first, the prompt's last token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

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
from toy.run.errors import InputError

Way = Literal["plane", "trained", "random", "other order"]
Use = Literal["used", "read, not used", "undetermined"]
Bases = Float[Tensor, "nodes d w"]
Change = Float[Tensor, "nodes n d"]
STARTS, STEPS = 4, 200
"""Of the descent to the trained subspace of an adder."""
MOVABLE = 0.5
"""Share of states that the trained directions have to move for anything to be said."""


@dataclass(frozen=True)
class Labelled:
    """States of some questions at one place of a network."""

    states: Change
    labels: Int[Tensor, " n"]
    """Where on the circle each stands."""
    answers: Int[Tensor, " n"]
    """The right answers: the labels, where the circle is the answer's own."""


@runtime_checkable
class Place(Protocol):
    """Where a network is edited: some questions to fit on, others to judge on."""

    period: int
    training: Labelled
    test: Labelled
    means: Float[Tensor, "nodes p d"]
    """Mean state of each label, of the questions to fit on."""

    def loss(self, change: Change, target: Int[Tensor, " n"]) -> Tensor:
        """The sum of -log P(target) over the questions to fit on under a change of their states, with gradients."""
        ...

    def chosen(self, change: Change) -> Int[Tensor, " n"]:
        """The answers to the others under a change of their states."""
        ...


class AdderPlace:
    """The hidden state of an adder."""

    def __init__(self, adder: Adder, training: Operands, test: Operands) -> None:
        """Raises InputError where an answer has no question to fit on."""
        self.adder, self.period = adder, adder.modulus
        self.training, self.test = self._labelled(training), self._labelled(test)
        self.means = class_means(self.training.states[0].double(), self.training.labels, self.period)[None]
        if self.means.isnan().any():
            missing = self.means[0, :, 0].isnan().nonzero()[0, 0].item()
            raise InputError(f"no question has the answer {missing}: give more than {len(training)} to fit on")

    def _labelled(self, operands: Operands) -> Labelled:
        answers = operands.sum(dim=1) % self.period
        return Labelled(self.adder.hidden(operands)[None], answers, answers)

    def loss(self, change: Change, target: Int[Tensor, " n"]) -> Tensor:
        states = self.training.states[0]
        return -self.adder.read(states + change[0].to(states)).log_softmax(dim=1).gather(1, target[:, None]).sum()

    def chosen(self, change: Change) -> Int[Tensor, " n"]:
        states = self.test.states[0]
        return self.adder.read(states + change[0].to(states)).argmax(dim=1)


@dataclass(frozen=True)
class Mediation:
    """What the two subspaces of one network do."""

    n: int
    """States they were judged on."""
    width: int
    """w, their dimensions."""
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
        low, high = self.interval("plane")
        if self.interval("trained")[0] < MOVABLE:
            return "undetermined"
        half = self.moved["trained"] / 2
        beyond = low > max(self.interval("other order")[1], self.interval("random")[1])
        if low >= half and beyond:
            return "used"
        return "read, not used" if high < half else "undetermined"

    def interval(self, way: Way) -> tuple[float, float]:
        """95 % interval of the share that one of them moves."""
        return wilson(round(self.moved[way] * self.n), self.n)


class Mediator:
    """Subspaces of one place, fitted and judged."""

    def __init__(self, place: Place, seed: int = 0, starts: int = STARTS, steps: int = STEPS) -> None:
        """`starts` and `steps`: of the descent to the trained subspaces."""
        self.place, self.seed, self.starts, self.steps = place, seed, starts, steps
        self._trained: dict[int, Bases] = {}

    def plane(self, frequencies: Sequence[int]) -> Bases:
        """The circle of the labels.

        In their means, where every label counts once: no circle of another frequency is mixed into it.
        """
        period = self.place.period
        targets = targets_of(torch.arange(period), frequencies, period)
        return torch.stack([nearest_orthonormal(regression_pattern(means, targets)) for means in self.place.means])

    def other_order(self, frequencies: Sequence[int]) -> Float[Tensor, "nodes p d"]:
        """Where each label stands on the circle of the labels in another order, as far as its mean follows it."""
        order = torch.randperm(self.place.period, generator=torch.Generator().manual_seed(self.seed + 1))
        circle = targets_of(order, frequencies, self.place.period)
        return circle @ torch.linalg.pinv(circle) @ self.place.means

    def trained(self, width: int) -> Bases:
        """As many directions as move the answer best, on the questions they are fitted on: trained once a width."""
        if width not in self._trained:
            place, own = self.place, self.place.training
            steps = (torch.arange(place.period) - own.labels[:, None]) % place.period
            about = (own.labels, (own.answers[:, None] + steps) % place.period, place.means, width, self.seed)
            self._trained[width] = descended(place.loss, *about, starts=self.starts, steps=self.steps)
        return self._trained[width]

    def moved(self, places: Float[Tensor, "nodes p d"]) -> float:
        """Share of the states that answer j steps on when they are moved by v, each by a j of its own."""
        tested, p = self.place.test, self.place.period
        x = tested.labels
        j = torch.randint(1, p, x.shape, generator=torch.Generator().manual_seed(self.seed))
        return self._right(places[:, (x + j) % p] - places[:, x], (tested.answers + j) % p)

    def ablated(self, bases: Bases) -> float:
        """Share of right answers when nothing varies along the basis."""
        centre = self.place.training.states.double().mean(dim=1, keepdim=True)
        change = (centre - self.place.test.states.double()) @ bases @ bases.mT
        return self._right(change, self.place.test.answers)

    def _right(self, change: Change, answers: Int[Tensor, " n"]) -> float:
        return float((self.place.chosen(change) == answers).double().mean())

    def mediation(self, frequencies: Sequence[int]) -> Mediation:
        """The plane of these frequencies beside as many trained directions, and both beside their controls."""
        plane = self.plane(frequencies)
        _, d, width = plane.shape
        generator = torch.Generator().manual_seed(self.seed + 2)
        bases: dict[Way, Bases] = {
            "plane": plane,
            "trained": self.trained(width),
            "random": random_basis(plane, generator),
        }
        places: dict[Way, Tensor] = {name: along(basis, self.place.means) for name, basis in bases.items()}
        places["other order"] = self.other_order(frequencies)
        return Mediation(
            n=len(self.place.test.labels),
            width=width,
            angle=largest_angle(plane[0], bases["trained"][0]),
            haar=haar_quantile(d, width, 0.05),
            moved={name: self.moved(own) for name, own in places.items()},
            ablated={name: self.ablated(basis) for name, basis in bases.items()},
        )


def strongest(means: Float[Tensor, "p d"], frequencies: Sequence[int], count: int) -> tuple[int, ...]:
    """The `count` frequencies in which class means vary most, the strongest first."""

    def power(k: int) -> float:
        targets = targets_of(torch.arange(len(means)), [k], len(means))
        return float(regression_pattern(means, targets).square().sum() * targets.square().sum() / targets.shape[1])

    return tuple(sorted(frequencies, key=power, reverse=True)[:count])


def halves(adder: Adder, questions: int, seed: int) -> tuple[Operands, Operands]:
    """Random operand pairs to fit on, and as many others to judge on."""
    chosen = torch.randperm(adder.below**2, generator=torch.Generator().manual_seed(seed))[:questions]
    pairs = torch.stack([chosen // adder.below, chosen % adder.below], dim=1)
    return pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]
