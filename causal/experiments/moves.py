"""A state moved from one item to another: along everything in which they differ, or along a circle, beside controls.

Let μ_x (d,) be the mean state of item x at a position behind a block, over discovery prompts. Over the cycle of n items
μ has a Fourier series, exact with k = 0 … n/2:

    μ_x = Σ_k m_k(x),    m_k(x) = (2/n) Σ_y μ_y cos(2πk(x - y)/n)        (half of it at k = 0 and n/2)

An item is moved j steps on by h + t (v(x + j) - v(x)), where v is

    class means      μ                      everything in which the two items differ
    circle           m_1 + … + m_k          its part on the circle, and on those of the next frequencies
    principal axes   the projection of μ on as many leading axes of the class means: most of their variance
    other order      the same m_1 + … + m_k of μ in another order of the items
    random           m_1 + … + m_k turned into random directions: the same lengths and angles, elsewhere
    trained          the projection of μ on as many directions as the circle has, trained on the discovery prompts to
                     move the answer (`trained_subspace`); where the class means move it

and the same part is ablated by h + v̄ - v(x), where v̄ is its mean over items: then it tells no item from another.
The first is how much a state can be moved by, `random` by chance, `trained` by the best of as many directions. If the
answer were computed from the circle, `circle` would do what `class means` does. After the interchange and rotation of
`edits`; a circle that is read and not used is what Engels et al. (2405.14860) and Kantamneni & Tegmark (2502.00873)
rule out by such moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causal.experiments.tables import Direction, Form, MoveRow
from causal.interventions.engine import Edit, Engine
from causal.interventions.principal_angles import haar_quantile, largest_angle
from causal.interventions.questions import Questions
from causal.interventions.trained_subspace import along, trained_subspace
from llm_probe.activations.answers import Answers
from llm_probe.geometry.third_direction import class_means
from llm_probe.models.loading import LoadedModel
from toy.maths.intervals import mean_interval

MOST_K = 3
CONTROLLED = (1, 3)
"""Those k that controls stand beside."""
DRAWS = 2
"""Draws of each control."""
TRAINED_K = (1, 2)
"""Half the dimensions of trained subspaces."""
Move = Float[Tensor, "items d"]
"""v: where each item stands along the directions."""
Moves = tuple[Direction, int, float, list[Move]]
"""Direction, k, times, and one v a draw."""


def fourier_parts(means: Float[Tensor, "n d"]) -> Float[Tensor, "k n d"]:
    """m_k(x) for k = 1 … n/2; with the mean of the means they add up to the means."""
    n = len(means)
    apart = torch.arange(n)[:, None] - torch.arange(n)
    parts = []
    for k in range(1, n // 2 + 1):
        weights = (2 * torch.pi * k / n * apart.double()).cos() * ((1 if 2 * k == n else 2) / n)
        parts.append(weights @ means.double())
    return torch.stack(parts)


def circle_basis(means: Float[Tensor, "n d"], k: int) -> Float[Tensor, "d w"]:
    """An orthonormal basis of the circles of frequencies 1 to k, 2k < n."""
    return torch.linalg.svd(fourier_parts(means)[:k].sum(dim=0), full_matrices=False).Vh[: 2 * k].T


def share_of(part: Move, means: Float[Tensor, "n d"]) -> float:
    """Variance between class means that lies in the part."""
    total = (means - means.mean(dim=0)).square().sum()
    return float((part - part.mean(dim=0)).square().sum() / total)


def moves_of(means: Float[Tensor, "n d"], seed: int) -> Iterator[Moves]:
    """Everything an item is moved along that needs no training, the whole difference first."""
    parts, n, generator = fourier_parts(means), len(means), torch.Generator().manual_seed(seed)
    # Axes of the class means, the largest first, in sums up to each.
    left, singular, axes = torch.linalg.svd(means.double() - means.double().mean(dim=0), full_matrices=False)
    yield "class means", 0, 1.0, [means.double()]
    orders = [torch.randperm(n, generator=generator) for _ in range(DRAWS)]
    turns = [torch.linalg.qr(torch.randn(means.shape[1], n, generator=generator).double()).Q for _ in range(DRAWS)]
    for k in range(1, min(MOST_K, n // 2) + 1):
        circle = parts[:k].sum(dim=0)
        yield "circle", k, 1.0, [circle]
        if k == 1:
            yield "circle", k, 2.0, [circle]
        width = min(2 * k, n - 1)
        yield "principal axes", k, 1.0, [(left[:, :width] * singular[:width]) @ axes[:width]]
        if k not in CONTROLLED:
            continue
        yield "other order", k, 1.0, [fourier_parts(means[order])[:k].sum(dim=0)[order.argsort()] for order in orders]
        # Coordinates on the part's own axes, carried over to random ones.
        u, s, _ = torch.linalg.svd(circle, full_matrices=False)
        yield "random", k, 1.0, [(u[:, :width] * s[:width]) @ turn[:, :width].T for turn in turns]


@dataclass(frozen=True)
class Held:
    """Questions, the item of each whose state is moved, and what is right once another item is in its place."""

    questions: Questions
    items: Int[Tensor, " n"]
    """Numbers of the items, from 0 on."""
    answers: Int[Tensor, "n items"]
    """Index of the right answer with each item in the place of the question's own."""

    def right(self, j: int = 0) -> Int[Tensor, " n"]:
        """The right answers where every item is moved j steps on."""
        rows, count = self.answers.shape
        return self.answers[torch.arange(rows), (self.items + j) % count]


@dataclass(frozen=True)
class Mover:
    """The items of one domain's questions behind one block: fitted on discovery prompts, moved on causal ones."""

    loaded: LoadedModel
    domain: str
    form: Form
    layer: int
    position: str
    """Where the state is moved."""
    fitted: Held
    moved: Held
    movable: float
    """Subspaces are trained where the whole difference of class means moves at least this share of the answers."""
    seed: int

    @property
    def period(self) -> int:
        """Number of items."""
        return self.moved.answers.shape[1]

    def rows(self, tick: Callable[[int], object] = lambda count: None) -> Iterator[MoveRow]:
        """A row a direction, k and distance."""
        source = Engine(self.loaded, self.fitted.questions, self.layer, position=self.position)
        means = class_means(source.states().double(), self.fitted.items, self.period)
        engine = Engine(self.loaded, self.moved.questions, self.layer, position=self.position)
        clean = engine.clean()
        whole, *others = moves_of(means, self.seed)
        row = self._row(engine, clean, means, whole, tick)
        yield row
        if row.moved >= self.movable:
            for k in TRAINED_K:
                basis = trained_subspace(source, self.fitted.items, self.fitted.answers, means, 2 * k, self.seed)
                row = self._row(engine, clean, means, ("trained subspace", k, 1.0, [along(basis, means)]), tick)
                apart = largest_angle(circle_basis(means, k), basis)
                yield replace(row, angle=apart, angle_by_chance=haar_quantile(len(basis), 2 * k, 0.05))
        for move in others:
            yield self._row(engine, clean, means, move, tick)

    def _row(
        self, engine: Engine, clean: Answers, means: Float[Tensor, "n d"], move: Moves, tick: Callable[[int], object]
    ) -> MoveRow:
        direction, k, times, draws = move
        items, steps, right = self.moved.items, range(1, self.period), self.moved.right()
        moved = engine.answers([_moved(v * times, items, j) for v in draws for j in steps], tick)
        numbers = self._effect(clean, moved, [j for _ in draws for j in steps])
        where = (self.domain, self.period, self.form, self.layer, direction, k, times, len(draws))
        row = MoveRow(*where, len(items) * len(steps), share_of(draws[0], means), *numbers)
        if times != 1:
            return row
        ablated = engine.answers([_ablated(v, items) for v in draws], tick)
        left = torch.cat([(answers.chosen == right).double() for answers in ablated])
        low, high = mean_interval(left, items.repeat(len(draws)), self.seed)
        before = float((clean.chosen == right).double().mean())
        return replace(row, accuracy_before=before, accuracy=float(left.mean()), accuracy_low=low, accuracy_high=high)

    def _effect(self, clean: Answers, after: Sequence[Answers], steps: Sequence[int]) -> tuple[float, ...]:
        right, items = self.moved.right(), self.moved.items
        row = torch.arange(len(items))
        hits, gains = [], []
        for answers, j in zip(after, steps, strict=True):
            target = self.moved.right(j)
            hits.append((answers.chosen == target).double())
            odds = [one.log_p[row, target] - one.log_p[row, right] for one in (answers, clean)]
            gains.append((odds[0] - odds[1]).double())
        return tuple(
            number
            for values in (torch.cat(hits), torch.cat(gains))
            for number in (float(values.mean()), *mean_interval(values, items.repeat(len(steps)), self.seed))
        )


def _moved(v: Move, items: Int[Tensor, " n"], j: int) -> Edit:
    """Every item moved j steps on along v."""
    return _added(v.roll(-j, dims=0) - v, items)


def _ablated(v: Move, items: Int[Tensor, " n"]) -> Edit:
    """Every item's part replaced by the mean of all items' parts."""
    return _added(v.mean(dim=0) - v, items)


def _added(change: Move, items: Int[Tensor, " n"]) -> Edit:
    """Every state changed by what belongs to its item."""
    return lambda states, rows: states + change[items[rows]].to(states)
