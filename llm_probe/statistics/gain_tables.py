"""The gain tables of a family of claims: a column for each modulus, joined for the assignment test.

    column j   what every period of the family gains in the discovery prompts with modulus j, by plane and dimension

Columns are made claim by claim, because the states of one claim are let go before the next is read, and kept on disk.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.statistics.assignment import ModulusTest, modulus_tests, why_not
from llm_probe.statistics.gains import dimension_gain, plane_gain
from toy.maths.regression import RidgeSmoother


@dataclass(frozen=True)
class Gains:
    """One column of the gain tables: every period of a family under one modulus, or under none."""

    periods: tuple[int, ...]
    planes: Float[Tensor, "periods cells"]
    dimensions: Float[Tensor, "periods units"]
    """Units are cells x d."""

    def content(self) -> dict[str, Any]:
        """As JSON: planes in full, the many dimensions as half-precision bytes."""
        packed = base64.b64encode(self.dimensions.half().numpy().tobytes()).decode()
        return {"periods": list(self.periods), "planes": self.planes.tolist(), "dimensions": packed}

    @staticmethod
    def of_content(content: Mapping[str, Any]) -> Gains:
        """The inverse of `content`."""
        flat = torch.frombuffer(bytearray(base64.b64decode(content["dimensions"])), dtype=torch.float16).float()
        periods = tuple(content["periods"])
        planes = torch.tensor(content["planes"], dtype=torch.float64)
        return Gains(periods, planes, flat.view(len(periods), -1))


def gains_of(
    smoothers: Sequence[RidgeSmoother],
    adjusted: Float[Tensor, "n cells d"],
    labels: Labels,
    periods: tuple[int, ...],
) -> Gains:
    """A column from one modulus' discovery prompts; `adjusted` from `dimensions.adjusted_states`."""
    planes = plane_gain(smoothers, labels, periods).double()
    # Half precision, as it is kept on disk: a resumed run sees the same numbers.
    dimensions = dimension_gain(adjusted, labels, periods).flatten(1).cpu().half().float()
    return Gains(periods, planes, dimensions)


def tests_of(moduli: Sequence[int], columns: Sequence[Gains], seed: int) -> dict[int, ModulusTest]:
    """The assignment test of every modulus that has enough others beside it; column j is under `moduli[j]`."""
    planes = torch.stack([column.planes for column in columns], dim=2).permute(1, 0, 2)
    dimensions = torch.stack([column.dimensions for column in columns], dim=2).permute(1, 0, 2)
    return modulus_tests(list(moduli), planes, dimensions, seed)


def note_of(moduli: Sequence[int], modulus: int, test: ModulusTest | None) -> str:
    """In words: what the test of a modulus left out, or why there was none."""
    if test is None:
        return why_not(moduli, modulus) or ""
    left = ", ".join(str(other) for other in test.left_out if other % modulus == 0 or modulus % other == 0)
    return f"compared without {left}, which shares its periods" if left else ""
