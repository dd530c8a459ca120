"""One code for each answer, and its planes turned: in the order of the answers, in any other order, or fitted to some.

M (p, d) holds the mean of the states of each answer s on the prompts that planes are fitted on. In an order π of the
answers the planes of the frequencies K are fitted to the positions π(s) on the circle,

    A = M_cᵀ B,  μ = m + M_cᵀ b    [B, b] = pinv([X_K(π), 1])ᵀ: B (p, 2 |K|), b (p,), A (d, 2 |K|)
    W = S⁻¹ A (Aᵀ S⁻¹ A)⁻¹          WᵀA = I
    h' = h + A (R_j - I) Wᵀ (h - μ)  turned by j steps of the order about the circle's own centre μ

with m the mean of all answers, M_c = M - m, and S the covariance of the states about their answer's mean, a little of
the mean variance added to its diagonal. A plane *without answer r* is fitted to the other p - 1 rows (B and b are 0 at
r): nothing in A or μ knows where r lies. S is noise about the means and says nothing of it either.

K are the `count` frequencies with the most power in the order at hand, chosen without r too, so that another order is
fitted exactly as the answers' own is. 2 |K| + 1 coefficients from p - 1 rows: `most_planes` leaves one to spare. With
as many coefficients as answers *any* code turns from one answer to the next in *any* order.

All of it happens in p dimensions: from G = M_c S⁻¹ M_cᵀ (p, p) and the coordinates (h - m) S⁻¹ M_cᵀ (n, p).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.geometry.third_direction import class_means

DIAGONAL = 1e-3
"""Share of the mean variance that is added to the diagonal of S."""
Order = Int[Tensor, " p"]
"""π: the position of each answer on the circle."""


def most_planes(period: int) -> int:
    """The largest number of planes whose coefficients, with a constant, are fewer than p - 1."""
    return (period - 3) // 2


@dataclass(frozen=True)
class CodeTurn:
    """Planes turned in some order of the answers, each prompt by steps of its own."""

    order: Order
    steps: Float[Tensor, " n"]
    """j of each prompt, which may be half a step."""
    unseen: Int[Tensor, " n"] | None = None
    """The answer without which the planes of each prompt are fitted; None: all answers are seen."""
    frequencies: tuple[int, ...] | None = None
    """K; None: the `count` that have the most power."""
    count: int = 0


@dataclass(frozen=True)
class AnswerMeans:
    """The mean state of each answer at one place, and what is needed to turn planes of it."""

    means: Float[Tensor, "p d"]
    """M_c: about the mean of all answers, m."""
    centre: Float[Tensor, " d"]
    """m."""
    read: Float[Tensor, "d p"]
    """S⁻¹ M_cᵀ."""
    gram: Float[Tensor, "p p"]
    """G."""

    @staticmethod
    def of(states: Float[Tensor, "n d"], labels: Int[Tensor, " n"], period: int) -> AnswerMeans:
        """Fit to states whose answers are `labels`; every answer must occur."""
        states = states.double()
        means = class_means(states, labels, period)
        noise = states - means[labels]
        centre = means.mean(dim=0)
        covariance = noise.T @ noise / len(states)
        mean_variance = (states - centre).square().sum() / states.numel()
        covariance += DIAGONAL * mean_variance * torch.eye(len(covariance), dtype=torch.float64)
        centred = means - centre
        read = torch.linalg.solve(covariance, centred.T)
        return AnswerMeans(centred, centre, read, centred @ read)

    def planes(self, turn: CodeTurn) -> TurnedPlanes:
        """Fit the planes of a turn: once for all answers, or once without each."""
        period = len(self.means)
        if turn.unseen is None:
            seen, which = torch.ones(1, period, dtype=torch.float64), torch.zeros(len(turn.steps), dtype=torch.long)
        else:
            left_out, which = turn.unseen.unique(return_inverse=True)
            seen = 1 - torch.eye(period, dtype=torch.float64)[left_out]
        every = _designs(turn.order, period)  # (all frequencies, p, 2)
        if turn.frequencies is None:
            chosen = self.strongest(every, turn.count, seen)
        else:
            chosen = torch.tensor(turn.frequencies)[None].expand(len(seen), -1) - 1
        design = every[chosen].permute(0, 2, 1, 3).flatten(2)  # (u, p, 2K)
        design = torch.cat([design, torch.ones_like(design[..., :1])], dim=2) * seen[..., None]
        # Independent columns, but for those of zeros, which get no weight: solved faster than by a pseudo-inverse.
        normal = design.mT @ design
        empty = (normal.diagonal(dim1=1, dim2=2) == 0).double()
        solution = torch.linalg.solve(normal + torch.diag_embed(empty), design.mT)  # (u, 2K + 1, p)
        weights = solution[:, :-1].mT
        reader = weights @ torch.linalg.pinv(weights.mT @ self.gram @ weights, hermitian=True)
        offset = (solution[:, -1:] @ self.gram) @ reader
        return TurnedPlanes(self, turn, which, chosen + 1, weights, reader, offset[:, 0])

    def strongest(
        self, designs: Float[Tensor, "k p 2"], count: int, seen: Float[Tensor, "u p"]
    ) -> Int[Tensor, "u count"]:
        """Which `count` frequencies have the most power in the means of the answers that are seen (1, not 0)."""
        middle = seen / seen.sum(dim=1, keepdim=True)
        products = self.means @ self.means.T
        along = (middle @ products)[:, None]  # (u, 1, p)
        about = products - along - along.mT + (along @ middle[..., None])  # of the means about that of those seen
        power = torch.einsum("kpc,upq,kqc->uk", designs, about * seen[:, None] * seen[..., None], designs)
        return power.topk(min(count, len(designs)), dim=1).indices


@dataclass(frozen=True)
class TurnedPlanes:
    """The planes of a turn at one place: for each set of answers that is seen, u of them, K planes."""

    code: AnswerMeans
    turn: CodeTurn
    which: Int[Tensor, " n"]
    """The set of each prompt."""
    frequencies: Int[Tensor, "u k"]
    weights: Float[Tensor, "u p m"]
    """B."""
    reader: Float[Tensor, "u p m"]
    """B (Bᵀ G B)⁻¹: W in terms of the means."""
    offset: Float[Tensor, "u m"]
    """Coordinates of the circle's own centre μ."""

    def turned(self, states: Float[Tensor, "n d"], rows: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        """The states of the prompts `rows` after the turn."""
        rows = rows.cpu()
        which, code = self.which[rows], self.code
        read = (states.double().cpu() - code.centre) @ code.read
        held = torch.einsum("np,npm->nm", read, self.reader[which]) - self.offset[which]
        angle = (2 * math.pi / len(code.means)) * self.frequencies[which] * self.turn.steps[rows][:, None]
        change = turned_pairs(held, angle) - held
        return states + (torch.einsum("nm,npm->np", change, self.weights[which]) @ code.means).to(states)


def turned_pairs(held: Float[Tensor, "n m"], angle: Float[Tensor, "n k"]) -> Float[Tensor, "n m"]:
    """Pairs of coordinates, one after the other, each turned by its own angle."""
    x, y = held.unflatten(1, (-1, 2)).unbind(dim=2)
    turned = [x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()]
    return torch.stack(turned, dim=2).flatten(1)


def _designs(order: Order, period: int) -> Float[Tensor, "k p 2"]:
    """[cos, sin] of every frequency; the sine of the Nyquist frequency is a column of zeros."""
    angle = (2 * math.pi / period) * torch.outer(torch.arange(1, period // 2 + 1), order).double()
    waves = torch.stack([angle.cos(), angle.sin()], dim=2)
    return torch.where(waves.abs() < 1e-12, 0.0, waves)
