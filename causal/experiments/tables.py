"""The row types of the experiments that are not about one accepted circle: the sweep, the next item, sums of digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llm_probe.questions.claims import Quantity

Form = Literal["list", "examples"]
"""How a question is asked: as a list that goes on, or after worked examples."""
Direction = Literal["class means", "circle", "principal axes", "trained subspace", "other order", "random"]


@dataclass(frozen=True)
class SweepRow:
    """One dimension of the stream, held at its mean."""

    domain: str
    """Domain whose questions were answered."""
    layer: int
    """Block whose output was edited, counted from 0."""
    dim: int
    """Dimension that was held at its mean."""
    n: int
    """Number of prompts."""
    accuracy_before: float
    """Exact match, unedited."""
    accuracy: float
    """Exact match without the dimension."""
    change_low: float
    """Lower end of the 95 % Newcombe interval of the change of accuracy."""
    change_high: float
    """Upper end of that interval."""
    p: float
    """Exact McNemar test of the change of accuracy."""
    p_holm: float
    """`p` corrected (Holm) for every dimension of the sweep and every domain."""
    log_p_change: float
    """Mean change of the right answer's log-probability, nats."""
    delta_norm: float
    """Mean length of the change, ||Δh||."""


@dataclass(frozen=True)
class SuccessionRow:
    """What a model answers when it is asked for another item of an order."""

    domain: str
    """Domain whose items were asked, such as `months`."""
    period: int
    """Number of items, the last followed by the first."""
    form: Form
    """`list`: three items of the succession and a comma; `examples`: four lines `item -> answer`, then `item ->`."""
    steps: int
    """How far on the answer is: 1 the next item, -1 the one before, 2 the one after the next."""
    n: int
    """Number of prompts."""
    accuracy: float
    """Share of prompts whose most probable item is the right one."""
    accuracy_low: float
    """Lower end of the 95 % Wilson interval."""
    accuracy_high: float
    """Upper end of that interval."""
    written: float
    """Share of prompts at which greedy decoding writes the right item."""
    chance: float
    """1 / period."""


@dataclass(frozen=True)
class MoveRow:
    """An item's state behind one block, moved from one item to another along some directions."""

    domain: str
    """Domain whose items were moved."""
    period: int
    """Number of items."""
    form: Form
    """How it was asked."""
    layer: int
    """Block whose output was edited at the last token of the item (or of the prompt), counted from 0."""
    direction: Direction
    """`class means`: the whole difference of the two items' mean states; `circle`: its part at the frequencies 1 to k;
    `principal axes`: its part on as many leading axes of the class means; `trained subspace`: its part on 2k directions
    trained on other prompts to move the answer, where the whole difference moves at least half of them; controls:
    `other order`, the part at those frequencies of the same means in another order; `random`, the circle's part turned
    into random directions."""
    k: int
    """Number of frequencies, each two axes (one at half an even period); 0 where the whole difference is taken."""
    times: float
    """How far along that part the state is moved: 1 is as far as the class means lie apart there."""
    draws: int
    """Draws of a control that were averaged."""
    n: int
    """Number of moves: prompts times steps from 1 to period - 1."""
    share: float
    """Share of the variance between class means along these directions; of `random` that of its circle."""
    moved: float
    """Share of moves after which the most probable answer is the right one for the item moved to."""
    moved_low: float
    """Lower end of the 95 % bootstrap interval, clustered on items."""
    moved_high: float
    """Upper end of that interval."""
    log_odds: float
    """Mean change of log P(right answer for the item moved to) - log P(right answer as asked), nats."""
    log_odds_low: float
    """Lower end of the 95 % bootstrap interval, clustered on items."""
    log_odds_high: float
    """Upper end of that interval."""
    accuracy_before: float | None = None
    """Share of the prompts that are answered right where nothing is changed."""
    accuracy: float | None = None
    """The same where every item's part along these directions is replaced by the mean of all items' parts, so that it
    tells no item from another: what is left when the directions are ablated."""
    accuracy_low: float | None = None
    """Lower end of the 95 % bootstrap interval of `accuracy`, clustered on items."""
    accuracy_high: float | None = None
    """Upper end of that interval."""
    angle: float | None = None
    """Of a trained subspace: its largest principal angle to the planes of `circle` with the same k, in radians."""
    angle_by_chance: float | None = None
    """What 5 % of random subspaces of its size stay below."""


@dataclass(frozen=True)
class AdditionRow:
    """How often a model names the sum of two digits that is below ten."""

    shots: int
    """Worked examples before the question."""
    n: int
    """Number of prompts."""
    accuracy: float
    """Share of prompts whose most probable answer, of 0 to 18, is the right one."""
    accuracy_low: float
    """Lower end of the 95 % Wilson interval."""
    accuracy_high: float
    """Upper end of that interval."""
    written: float
    """Share of prompts at which greedy decoding writes the right answer."""
    chance: float
    """Share of the most frequent right answer."""


@dataclass(frozen=True)
class AdditionMoveRow(MoveRow):
    """A digit's state behind one block of a sum of two digits, moved from one digit to another."""

    quantity: Quantity = "item"
    """`item`: the first operand, moved at its token; `sum`: the sum, moved at the prompt's last token."""
