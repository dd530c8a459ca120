"""The typed rows of the attribution tables; the docstrings are the column descriptions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AttributionRow:
    """What one component at one position does to the answer."""

    domain: str
    """The questions."""
    layer: int
    """Block."""
    component: str
    """`head` or `mlp`."""
    head: int | None
    """Number of the head; none for an MLP."""
    position: str
    """`item`, `offset`: the operands' last tokens; `last`: the token at which own and donor's answer part, which is the
    prompt's last or the last of what both answers begin with."""
    screen: float
    """Change of the logit difference (donor's answer minus own) by integrated gradients, mean over prompts."""
    first_order: float
    """The same by the gradient at the prompt alone."""
    exact: float | None
    """Measured change of it when this component's output is the donor's; none where not measured."""
    exact_low: float | None
    """95 % bootstrap interval, clustered on operand pairs: …"""
    exact_high: float | None
    """… upper end."""
    drawn: str
    """`top`: among the largest of the screen; `random`: drawn among the others; `not measured`."""
    whole: float
    """Change of the logit difference when the whole prompt is the donor's."""
    plane_share: float | None
    """At the prompt's last token, up to the planes' block: share of the variance of the circle's coordinates that this
    component writes; shares of all components and the embedding sum to 1. None elsewhere."""
    n: int
    """Prompts."""


@dataclass(frozen=True)
class AgreementRow:
    """Whether the screen is right where the exact effect was measured."""

    domain: str
    """The questions."""
    among: str
    """`top`, `random` or `both`."""
    n: int
    """Components."""
    spearman: float | None
    """Rank correlation of screen and exact effect; none below three components."""
    first_order: float | None
    """The same of the first-order effect."""
    largest: float
    """Largest |exact|: that of `random` should be below that of `top`."""


@dataclass(frozen=True)
class PlaneLogitRow:
    """How much of the right answer's logit comes directly from the planes."""

    domain: str
    """Whose circle."""
    layer: int
    """Block whose output holds the planes."""
    direction: str
    """The planes."""
    margin: float
    """Right answer's logit minus the mean of all answers' (first tokens), mean over prompts."""
    planes: float
    """Its part that the planes write."""
    share: float
    """planes / margin."""
    share_low: float
    """95 % bootstrap interval of the planes' part over the margin, clustered on operand pairs: …"""
    share_high: float
    """… upper end."""
    matched: float
    """The same share of bases of equal removed variance, orthogonal to the planes: mean …"""
    matched_high: float
    """… and largest of the draws."""
    n: int
    """Prompts."""
