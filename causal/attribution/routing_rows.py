"""The typed row of the routing table; the docstrings are the column descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llm_probe.run.table import Weights

Route = Literal["head", "layer", "straight", "through", "modulus"]
Destination = Literal["last", "between"]


@dataclass(frozen=True)
class RoutingRow:
    """One way from the modulus' tokens to the answer: what comes along it when they are those of another modulus."""

    weights: Weights
    """`trained`, or `random`: the same architecture with freshly drawn weights."""
    domain: str
    """The questions; `mod-add, all moduli`: those of all moduli together."""
    route: Route
    """`head`, `layer`: one head, or all of a block, read the donor's modulus; `straight`: all that the last token reads
    of the modulus itself, in every block; `through`: all that it reads of the tokens between; `modulus`: both."""
    layer: int | None
    """Block that reads; none for all."""
    head: int | None
    """0-based; none for all."""
    destination: Destination
    """Who reads: `last`, the token at which the answers part; `between`, every token from the modulus up to it."""
    total: float | None
    """Change of the logit difference (donor's answer minus own) as a share of `whole`, later blocks reacting; none if
    the 95 % interval of `whole` reaches down to 0."""
    total_low: float | None
    """95 % bootstrap interval, clustered on operand pairs: …"""
    total_high: float | None
    """… upper end."""
    other: float | None
    """The same share when the modulus is a third one, the logit difference unchanged: what merely breaking does."""
    direct: float | None
    """`total` with everything behind the head frozen, straight to the logits; none where it cannot be read."""
    change: float
    """The same in nats, not as a share."""
    whole: float
    """Change of the logit difference when the whole prompt is the donor's, nats."""
    p: float | None
    """One-sided, that what the head sends moves to this prompt's answers (`total` - `other`) no more than to those of
    other operands under the same moduli: answers exchanged, corrected over heads (max-T). None for other routes."""
    attention: float | None
    """Mean attention of the head from the last token to the modulus; none for other routes and destinations."""
    n: int
    """Prompts."""
