"""From effects to a word: causal, not causal at this power, or not specific.

`causal` needs all of these, each of which could have come out the other way:

1. the model can do the task: its accuracy is above chance (else `cannot be tested`: there is nothing to lose);
2. turning the circle by j moves the answer by j more often than chance (lower end of the interval above 1 / p), more
   often than it leaves it, and more often than at least 99 % of the draws of every control: random patterns of equal
   norm, bases of equal removed variance, planes of shuffled labels;
   a direction that cannot be turned: ablation lowers the accuracy (McNemar p <= 0.01) more than 1 % of the draws do;
3. ordinary text is left alone: the same ablation changes it by less than 0.01 nat per token (TOST, p < 0.05), at
   every position or at those that look like an answer's place; else `not specific`.

An effect that controls have too is `not specific` as well. Everything else is `not causal at this power`: what this
many prompts could have shown is part of the sentence. The thresholds are conventional and were not tuned.
"""

from __future__ import annotations

from dataclasses import dataclass

from causal.run.table import Verdict

ALPHA = 0.01


@dataclass(frozen=True)
class Evidence:
    """The numbers a verdict is made from."""

    period: int
    accuracy: float
    accuracy_low: float
    """Lower end of its 95 % interval."""
    moved: float | None
    """P(answer = s + j) over j; None where there is no circle to turn."""
    moved_low: float | None
    stayed: float | None
    """P(answer = s) under the same turns."""
    moved_rank: float | None
    """The largest empirical p over the controls."""
    moved_control: float | None
    """Largest mean of a control."""
    ablated: float
    """Accuracy without the direction."""
    ablated_p: float
    """McNemar."""
    ablated_rank: float | None
    ablated_control: float | None
    """Lowest mean accuracy of a control."""
    nats_everywhere: float | None
    """Change of text, edited at every position; None where no text was read."""
    nats_like: float | None
    """The same at positions like the answer's."""
    equivalent: bool | None
    """Either is shown to be below 0.01 nat."""
    nats_random: float | None
    """The same of random bases of as many dimensions, at every position."""
    like_share: float | None
    """Share of the text at positions like the answer's."""
    draws: int | None
    """Fewest draws of a control; None without controls."""
    others: tuple[tuple[str, float, float], ...]
    """Other domains with their accuracy before and after the ablation."""
    power: str
    """What this many prompts can show, in words."""


def judge(found: Evidence) -> tuple[Verdict, str]:
    """(verdict, sentence)."""
    if found.accuracy_low <= 1 / found.period:
        return "cannot be tested", (
            f"the model answers {found.accuracy:.0%}, no better than guessing (1 in {found.period}): nothing to lose"
        )
    effect, beyond = _effect(found)
    numbers = f"{_rotation(found)}{_ablation(found)}"
    if not effect:
        return "not causal at this power", f"{numbers}; {found.power}"
    if found.draws is not None and 1 / (1 + found.draws) > ALPHA:
        return "not causal at this power", f"{numbers}; {found.draws} draws of a control cannot show p <= {ALPHA}"
    if not beyond:
        return "not specific", f"{numbers}: controls of equal size do as much"
    if found.equivalent is None:
        return "causal", f"{numbers}; no text was read"
    return ("causal" if found.equivalent else "not specific"), f"{numbers}; {_nats(found)}{_others(found)}"


def _effect(found: Evidence) -> tuple[bool, bool]:
    """(is there an effect, is it beyond the controls')."""
    if found.moved is not None and found.moved_low is not None:
        return found.moved_low > max(
            1 / found.period, found.stayed or 0.0
        ), found.moved_rank is None or found.moved_rank <= ALPHA
    lost = found.ablated_p <= ALPHA and found.ablated < found.accuracy
    return lost, found.ablated_rank is None or found.ablated_rank <= ALPHA


def _rotation(found: Evidence) -> str:
    if found.moved is None:
        return ""
    control = "" if found.moved_control is None else f" (controls {found.moved_control:.2f} at most)"
    return f"turned by j, the answer moves by j in {found.moved:.0%}{control}; "


def _ablation(found: Evidence) -> str:
    control = "" if found.ablated_control is None else f" (controls {found.ablated_control:.0%} at least)"
    return f"without it accuracy falls from {found.accuracy:.0%} to {found.ablated:.0%}{control}"


def _nats(found: Evidence) -> str:
    parts = []
    if found.nats_everywhere is not None:
        random = "" if found.nats_random is None else f" (random bases {found.nats_random:+.3f})"
        parts.append(f"text changes by {found.nats_everywhere:+.3f} nat at every position{random}")
    if found.nats_like is not None and found.like_share is not None:
        parts.append(f"by {found.nats_like:+.3f} at the {found.like_share:.2%} of it that look like an answer's place")
    return ", ".join(parts)


def _others(found: Evidence) -> str:
    """The other domain that loses most."""
    if not found.others:
        return ""
    name, before, after = max(found.others, key=lambda other: other[1] - other[2])
    return f"; of other questions {name} loses most, {before:.0%} to {after:.0%}"
