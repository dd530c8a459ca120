"""Hard nulls: networks that know the answer, or the item, and have no circle of it - and, planted, those that have one.

    states = template + operands + noise + amplitude · code                    (N, cells, d); the code in the last cell

with a random vector for each template and each value of each operand, as large as the noise (items: the identity of the
item, twice as large). The code is a function of what the prompt is about, scaled to the size of one such vector:

    look-up       a random vector for each answer, drawn anew for every claim;   shared look-up: one for all claims
    helix         n/50 and circles of periods 2, 5, 10 and 100 of the integer result n = first + second
    tuning        bumps of one width over n, a random direction each: no period anywhere
    clusters      a random vector for each class of a partition (seasons, quarters, weekend; residues: runs of a third)
    line          the label itself along one direction;   parabola: the label and its square: an open arc
    fold          the distance from one label, there and back: warm to cold
    shuffled      a circle of the labels in a random order
    circle        k = 1: the signal

What is known of numbers is known of words too: n of a day or month is its index plus the offset. Questions without a
modulus have no answer, so that no code of answers is in them; the integer is.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.questions.claims import Claim
from llm_probe.questions.prompts import Prompt
from toy.maths import fourier

Code = Literal[
    "look-up", "shared look-up", "helix", "tuning", "clusters", "line", "parabola", "fold", "shuffled", "circle"
]  # fmt: skip
OF_INTEGERS = ("helix", "tuning")
VALUES, TEMPLATES, LARGEST = 200, 32, 220
"""Values of an operand, templates, and the largest integer result of which a network may know anything."""
WIDTH = 5.0
"""Of the tuning curves, in units of n."""
NOISE = {"sum": 1.0, "item": 0.5}


@dataclass(frozen=True)
class CodeNetwork:
    """One network; its states are a function of the prompts and the seed."""

    code: Code
    seed: int
    amplitude: float = 1.0
    d_model: int = 64

    def states(self, claim: Claim, prompts: Sequence[Prompt]) -> Float[Tensor, "n cells d"]:
        """What it makes of these prompts, float32."""
        generator = torch.Generator().manual_seed(self.seed)
        templates = torch.randn(TEMPLATES, self.d_model, generator=generator)
        operands = torch.randn(2, VALUES, self.d_model, generator=generator)
        texts = claim.domain.questions if claim.quantity == "sum" else claim.domain.statements
        names = list(texts)
        which, first, offset = (
            torch.tensor([value(prompt) for prompt in prompts])
            for value in (lambda one: names.index(one.template), lambda one: one.first, lambda one: one.offset)
        )
        base = templates[which % TEMPLATES] + operands[0][first % VALUES]
        if claim.quantity == "sum":
            base = base + operands[1][offset % VALUES]
        of_claim = zlib.crc32(f"{claim.name} {len(prompts)}".encode())
        noise = torch.Generator().manual_seed(self.seed + of_claim)
        cells = [base + NOISE[claim.quantity] * torch.randn(base.shape, generator=noise) for _ in range(2)]
        cells[1] = cells[1] + self.amplitude * self.of(claim, prompts)
        return torch.stack(cells, dim=1)

    def of(self, claim: Claim, prompts: Sequence[Prompt]) -> Float[Tensor, "n d"]:
        """The code alone."""
        label = torch.tensor([prompt.label for prompt in prompts])
        if self.code in OF_INTEGERS:
            table = self._table(claim, LARGEST)
            return table[torch.tensor([prompt.total for prompt in prompts]).clamp(0, LARGEST - 1)]
        if claim.is_arithmetic and "{modulus}" not in "".join(claim.domain.questions.values()):
            return torch.zeros(len(prompts), self.d_model)
        return self._table(claim, claim.period)[label]

    def _table(self, claim: Claim, count: int) -> Float[Tensor, "count d"]:
        """The vector of every label or integer, centred, of the size of a random vector on average."""
        own = self.code in (*OF_INTEGERS, "shared look-up")
        generator = torch.Generator().manual_seed(self.seed + 1 + (0 if own else zlib.crc32(claim.name.encode())))
        columns = self._columns(claim, torch.arange(count), generator)
        directions = torch.randn(columns.shape[1], self.d_model, generator=generator)
        if self.code not in ("look-up", "shared look-up", "clusters", "tuning"):
            directions = torch.linalg.qr(directions.T).Q.T
        vectors = columns.float() @ directions
        vectors = vectors - vectors.mean(dim=0)
        return vectors * math.sqrt(self.d_model) / vectors.square().sum(dim=1).mean().sqrt()

    def _columns(self, claim: Claim, s: Int[Tensor, " m"], generator: torch.Generator) -> Float[Tensor, "m c"]:  # noqa: PLR0911 - one return a code
        n = claim.period
        match self.code:
            case "look-up" | "shared look-up":
                return torch.eye(max(len(s), VALUES), dtype=torch.float64)[: len(s)]
            case "helix":
                return torch.cat(
                    [s[:, None] / 50, *(fourier.circle(s, 1, period) for period in (2, 5, 10, 100))], dim=1
                )
            case "tuning":
                centres = torch.arange(-10, LARGEST + 10, 3)
                return torch.exp(-((s[:, None] - centres) ** 2) / (2 * WIDTH**2)).double()
            case "clusters":
                classes = torch.tensor(_classes(claim, generator))
                return torch.nn.functional.one_hot(classes).double()
            case "line":
                return s[:, None].double()
            case "parabola":
                x = 2 * s.double() / (n - 1) - 1
                return torch.stack([x, 1.5 * x.square()], dim=1)
            case "fold":
                start = int(torch.randint(n, (), generator=generator))
                return ((s - start) % n - n / 2).abs()[:, None].double()
            case "shuffled":
                return fourier.circle(torch.randperm(n, generator=generator)[s], 1, n)
            case "circle":
                return fourier.circle(s, 1, n)


def _classes(claim: Claim, generator: torch.Generator) -> tuple[int, ...]:
    """A partition that the claim's domain names, or runs of a third of the labels."""
    named = list(claim.domain.partitions.values())
    if named:
        return named[int(torch.randint(len(named), (), generator=generator))]
    return tuple(3 * s // claim.period for s in range(claim.period))
