"""The tables of a run: one dataclass a row. An empty cell means "not applicable".

attention.csv    AttentionRow   what a head at the answer position gives an operand, and the same place otherwise
lens.csv         LensRow        the answer read after every block with the final norm and the vocabulary head
analogies.csv    AnalogyRow     a is to b as c is to d, among the other items
embeddings.csv   EmbeddingRow   a circle in the rows of the input matrix
points.csv       PointRow       where those rows lie on the best circle
helix.csv        HelixRow       a family of curves fitted to the states of numbers, on numbers left out
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llm_probe.run.table import Weights

Role = Literal["item", "offset", "modulus", "first"]
Method = Literal["parallelogram", "rotation", "published sign"]


@dataclass(frozen=True)
class AttentionRow:
    """One head, from the prompt's last token to one part of the prompt."""

    weights: Weights
    """`trained`, or `random`: the same architecture with freshly drawn weights."""
    domain: str
    """`mod-add 7`, `days`, …"""
    layer: int
    """0-based block."""
    head: int
    """0-based head."""
    role: Role
    """All tokens of the first operand (item), the second (offset) or the modulus; `first`: token 0, whatever it is."""
    attention: float
    """Mean attention from the last token, summed over the role's tokens."""
    control: float
    """The same places in the same prompts when their tokens are replaced by others from around the operands."""
    difference: float
    """attention - control, prompt by prompt: what is due to the content."""
    half_width: float
    """Of its 95 % band, simultaneous over all heads and roles of the domain."""
    uniform: float
    """What even attention over the prompt would give."""
    distance: float
    """Mean number of tokens from the role's last token to the prompt's last."""
    most_attended: str
    """What gets most of this head's attention in most prompts: an operand, or a word and its place."""
    most_attended_share: float
    """Share of prompts in which it does."""
    n: int
    """Prompts."""


@dataclass(frozen=True)
class LensRow:
    """The answer as the vocabulary head would read it after one block."""

    weights: Weights
    """As above."""
    domain: str
    """As above."""
    period: int
    """Number of possible answers."""
    part: Literal["all", "no wrap", "wrap"]
    """All prompts; those whose integer result is already the answer; those that must be reduced."""
    layer: int
    """Read after this block, with the final norm applied once."""
    accuracy: float
    """Share of prompts whose most probable answer, of all of them and over all their tokens, is right."""
    low: float
    """95 % Wilson interval."""
    high: float
    """95 % Wilson interval."""
    p_right: float
    """Mean probability of the right answer among the possible ones."""
    p_half_width: float
    """Of its 95 % band, simultaneous over layers."""
    chance: float
    """Share of the most frequent right answer, never below 1 / period: what guessing one answer gives."""
    n: int
    """Prompts."""


@dataclass(frozen=True)
class AnalogyRow:
    """Every quadruple of a domain, at one layer."""

    weights: Weights
    """As above."""
    domain: str
    """Items that are compared; `published words`: fourteen quadruples of words."""
    cyclic: bool
    """False for a linear control and for words."""
    layer: int
    """0-based block, read at the item's last token."""
    method: Method
    """`parallelogram`: b - a + c; `published sign`: a - b + c; `rotation`: the angle of c and the step from a to b."""
    beaten: float
    """Share of the other candidates (without a, b, c) that are farther from the prediction than d; chance 0.5."""
    low: float
    """95 % interval (jackknife over items; for words over quadruples)."""
    high: float
    """95 % interval."""
    first: float
    """Share of quadruples whose nearest candidate is d."""
    chance_first: float
    """1 / candidates."""
    null_mean: float
    """Mean of `beaten` under the null: renamed items; for words, quadruples that trade their first pairs."""
    null_high: float
    """95th percentile under the null of the largest layer."""
    p_fwer: float | None
    """Corrected over layers; empty where the items' names cannot change places."""
    quadruples: int
    """How many were asked."""


@dataclass(frozen=True)
class EmbeddingRow:
    """One frequency of one set of tokens in the input matrix."""

    weights: Weights
    """As above."""
    domain: str
    """Items that are one token each; `digits`, `numbers`: as many integers from 0 on as are."""
    cyclic: bool
    """False for a linear control."""
    n: int
    """Rows of the matrix."""
    frequency: int
    """Turns over the n items."""
    r2_heldout: float
    """Each item's point on the circle predicted from the others' rows (ridge, best of three penalties)."""
    quadratic: float
    """The same of a parabola: beyond it a circle is more than a bent line."""
    null_high: float
    """95th percentile of the search over frequencies and penalties when the tokens change places."""
    p_fwer: float
    """Corrected over frequencies and penalties; exact where rows are exchangeable, as in an untrained matrix."""


@dataclass(frozen=True)
class PointRow:
    """One token on the best circle of its set."""

    weights: Weights
    """As above."""
    domain: str
    """As above."""
    frequency: int
    """Turns over the items."""
    label: int
    """Place in the order."""
    item: str
    """Its text."""
    x: float
    """Predicted from the other rows; the target has radius 1."""
    y: float
    """Predicted from the other rows."""


@dataclass(frozen=True)
class HelixRow:
    """One family of curves and the states of the integers 0 … n - 1."""

    weights: Weights
    """As above."""
    context: str
    """`statement`: a number in a sentence; `operand`: in a question; `embedding`: rows of the input matrix."""
    layer: int
    """0-based block; -1 for the input matrix."""
    family: str
    """`helix`: line and circles; `line`, `circles`: its parts; `polynomial`: as many columns as the helix; `digits`: an
    indicator of each digit at each place, alone and with the helix; `shuffled helix`: values in another order;
    `other periods`: drawn ones."""
    columns: int
    """Columns beside the constant."""
    r2: float
    """Share of the variance over all dimensions, each number predicted from the others."""
    low: float
    """95 % bootstrap interval over numbers; for drawn families the 2.5th percentile of the draws."""
    high: float
    """95 % bootstrap interval over numbers; for drawn families the 97.5th percentile."""
    r2_scaled: float
    """The same with every dimension at unit variance: no outlier dimension decides."""
    r2_tens: float
    """As r2, each ten (20 to 29) predicted from the other tens: the curve must carry over."""
    p_renamed: float | None
    """Helix: corrected over layers, numbers renamed so that an untrained network cannot notice (`nulls`)."""
    p_periods: float | None
    """Helix: share of drawn periods that do as well, at this layer."""
    n: int
    """Integers."""


TABLES: dict[str, type] = {
    "attention": AttentionRow,
    "lens": LensRow,
    "analogies": AnalogyRow,
    "embeddings": EmbeddingRow,
    "points": PointRow,
    "helix": HelixRow,
}
"""Table name to what a row is."""
