"""Held out by wraps: does what was learnt on some turns of the circle hold on the others?

The integer result n = q p + s has turned round q times. A residue read from the *size* of n - from bumps or steps
that tile the numbers - is a fit to each turn of its own and fails on turns it has not seen; a residue that is
represented as such does not change with q (science.md §3, held-out R² by wraps: fit on even quotients, test on odd).

The two groups interleave, so that a test turn always has a fitted one on either side (but at the ends): what fails
has failed to interpolate, not only to extrapolate.
"""

from __future__ import annotations

import torch

from llm_probe.questions.claims import Labels
from toy.maths.regression import Groups


def wrap_groups(labels: Labels) -> Groups | None:
    """Two groups, the prompts of even and of odd quotients floor(total / period), each predicted from the other.

    None where either parity has fewer than two different quotients (published grids have q = 0 and 1 only, items
    q = 0): one turn a side cannot tell a residue from a range of sizes.
    """
    quotient = torch.div(labels.total, labels.period, rounding_mode="floor")
    if any(len(quotient[quotient % 2 == parity].unique()) < 2 for parity in (0, 1)):
        return None
    return Groups.of(quotient % 2)
