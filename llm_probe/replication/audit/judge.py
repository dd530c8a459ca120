"""What a published number says by itself: ordered rules, the first that applies decides.

    above chance             nothing simpler that is named here gives the number; no more is said than that
    not evidence by itself   a null or something simpler gives it as well, or it cannot be compared with anything
    contradicted             the numbers or the questions behind it say the opposite of the sentence it stands for

A number that is merely weak is not contradicted: the sentence may be true and rest on something else.

R² of a circle or a line
  1. a polynomial published beside it explains as much                     not evidence by itself
  2. a simple function of the operands explains as much                    not evidence by itself
  3. no null is known                                                      not evidence by itself
  4. typical of a null of its search, p > 0.05                             not evidence by itself
  5. a simple function or polynomial comes within 0.02                     not evidence by itself
  6. 0.01 < p ≤ 0.05                                                       not evidence by itself
  7. otherwise                                                             above chance

R² of a rival (a polynomial said to explain less than the circle)
  1. less than the R² of the circle published beside it allows             contradicted: impossible
  2. as much as the circle                                                 contradicted: wrong sign
  3. so little is not rare under a null, p > 0.01                          not evidence by itself
  4. otherwise                                                             above chance

Share of right answers ("more often than guessing")
  1. the questions contradict a word of the sentence (asked as "unseen", but trained on)    contradicted
  2. they leave it open, or are not counted, or guessing is not known                       not evidence by itself
  3. p > 0.01                                                                               not evidence by itself
  4. otherwise                                                                              above chance
What guessing gives is an upper end for some questions, so that a share below it has no wrong sign.

Ablation ("this part is needed for the task"): never above chance by itself, since any large damage lowers a share
  1. more right answers without the part, p ≤ 0.05 corrected               contradicted: wrong sign
  2. otherwise, with the test, its interval, its power and whether the
     perplexity rises by the factor by which the share falls               not evidence by itself

Perplexity on ten sentences: not evidence by itself.

Levels are the conventional 0.05 and 0.01. An `*Evidence` holds what the rules of its kind read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from llm_probe.replication.audit.confounds import Confound

Verdict = Literal["above chance", "not evidence by itself", "contradicted"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
ABOVE, NO_EVIDENCE, CONTRADICTED = VERDICTS
TYPICAL, RARE = 0.05, 0.01
ADEQUATE = 0.8
"""Power from which on a number of questions is not called few."""
Ruling = tuple[Verdict, str]


@dataclass(frozen=True)
class FitEvidence:
    """An R² of a circle or a line, with what else reaches it."""

    value: float
    search: str
    """The search that the number came from, in words."""
    null: str | None = None
    """Name of the strongest null; None where no null describes this fit."""
    null_median: float = 0.0
    null_95: float = 0.0
    p: float = 1.0
    """Largest over the nulls."""
    confounds: tuple[Confound, ...] = ()
    """Best first; fitted polynomials are named "a fitted …"."""
    others: tuple[tuple[str, float], ...] = ()
    """(name, p) of the other nulls."""


@dataclass(frozen=True)
class RivalEvidence:
    """An R² of a polynomial in the residue, published to show that it is small."""

    value: float
    degree: str
    null: str
    null_median: float
    p: float
    """P(at most this), the largest over the nulls."""
    circle: float | None
    """R² of the circle published about the same dimension."""
    least: float
    """The smallest value that the circle's R² allows; 0 if any."""


@dataclass(frozen=True)
class ShareEvidence:
    """A share of right answers against guessing."""

    value: float
    right: int | None
    questions: int | None
    chance: float | None
    p: float
    low: float
    high: float
    flaw: str | None = None
    fatal: bool = False


@dataclass(frozen=True)
class AblationEvidence:
    """Right answers without and with a part removed."""

    before: int
    after: int
    questions: int
    p: float
    """Fisher, two-sided."""
    ablations: int
    """How many parts were removed one after the other."""
    low: float
    high: float
    """Newcombe's interval of the drop."""
    power: float
    """Power of a paired test for a drop of five points if 15 % of the answers change."""
    perplexity: float | None = None
    """Factor by which the perplexity published beside it rises."""

    @property
    def corrected(self) -> float:
        """Bonferroni over the ablations."""
        return min(1.0, self.p * self.ablations)


@dataclass(frozen=True)
class PerplexityEvidence:
    """A perplexity, or its change, on ten one-line sentences."""

    value: float
    metric: str


Evidence = FitEvidence | RivalEvidence | ShareEvidence | AblationEvidence | PerplexityEvidence


def judge(evidence: Evidence) -> Ruling:
    """(verdict, the reason in one sentence)."""
    if isinstance(evidence, FitEvidence):
        return _explained(evidence) or _against_nulls(evidence)
    if isinstance(evidence, RivalEvidence):
        return _rival(evidence)
    if isinstance(evidence, ShareEvidence):
        return _share(evidence)
    if isinstance(evidence, AblationEvidence):
        return _ablation(evidence)
    what = f"a change of {evidence.value:.1f} %" if evidence.metric.endswith("pct") else f"{evidence.value:.2f}"
    return NO_EVIDENCE, f"Ten one-line sentences, a perplexity of {what}: too few, and no interval was published."


def _explained(e: FitEvidence) -> Ruling | None:
    """Rules 1 and 2: something simpler is at least as good."""
    equal = [one for one in e.confounds if one.r2 >= e.value]
    fitted = [one for one in equal if one.name.startswith("a fitted")]
    if fitted:
        best = fitted[0]
        return NO_EVIDENCE, f"No circle needed: {best.name}, published beside it, has {best.r2:.3f}, not {e.value:.3f}."
    if equal:
        best = equal[0]
        return NO_EVIDENCE, f"Something simpler does it: {best.name} alone has {best.r2:.3f} on the same prompts."
    return None


def _against_nulls(e: FitEvidence) -> Ruling:
    """Rules 3 to 7."""
    if e.null is None:
        return NO_EVIDENCE, f"For this kind of fit no null is at hand that {e.value:.3f} could be compared with."
    null = f"p = {p_text(e.p)} for {e.search}; {e.null}: median {e.null_median:.3f}, 95 % below {_r2(e.null_95)}"
    null += "".join(f"; {name} p = {p_text(p)}" for name, p in e.others)
    if e.p > TYPICAL:
        return NO_EVIDENCE, f"Typical of a null: {null}."
    if e.confounds:
        near = e.confounds[0]
        return NO_EVIDENCE, f"Nearly explained: {near.name} alone has {near.r2:.3f}; {null}."
    if e.p > RARE:
        return NO_EVIDENCE, f"Neither rare nor typical: {null}."
    return ABOVE, f"Nothing simple reaches it: {null}."


def _r2(value: float) -> str:
    return f"{value:.3f}" if value < 0.9995 else f"{value:.5f}"


def _rival(e: RivalEvidence) -> Ruling:
    text = f"a {e.degree} polynomial's {e.value:.3f}"
    if e.circle is not None and e.value < e.least:
        return CONTRADICTED, (
            f"Impossible: class means of which the circle explains {e.circle:.3f}, as published, have a {e.degree} R² "
            f"of at least {e.least:.3f}, not {e.value:.3f}."
        )
    if e.circle is not None and e.value >= e.circle:
        return CONTRADICTED, f"Not little: {text} is at least the circle's {e.circle:.3f}, published beside it."
    text += f" has p = {p_text(e.p)} ({e.null}: median {e.null_median:.3f})."
    return _by_p(e.p), f"{'So small by chance' if e.p > TYPICAL else 'Smaller than chance'}: {text}"


def _by_p(p: float) -> Verdict:
    return NO_EVIDENCE if p > RARE else ABOVE


def _share(e: ShareEvidence) -> Ruling:
    if e.flaw is not None:
        return (CONTRADICTED if e.fatal else NO_EVIDENCE), f"{e.value:.3f} right, but {e.flaw}."
    if e.questions is None or e.chance is None:
        missing = "how many questions it rests on" if e.questions is None else "what guessing would give"
        return NO_EVIDENCE, f"{e.value:.3f} right, but {missing} was not published."
    text = f"{e.right:,} of {e.questions:,} right ({e.low:.3f} to {e.high:.3f}), guessing gives {e.chance:.3f}"
    return _by_p(e.p), f"{'Not more' if e.p > TYPICAL else 'More'} than guessing: {text}, p = {p_text(e.p)}."


def _ablation(e: AblationEvidence) -> Ruling:
    counts = f"{e.before:,} of {e.questions:,} right without and {e.after:,} with it"
    test = f"{counts}, Fisher p = {p_text(e.p)}, corrected for {e.ablations} ablations {p_text(e.corrected)}"
    if e.perplexity is not None and e.after < e.before and e.perplexity >= e.before / max(e.after, 0.5):
        return (
            NO_EVIDENCE,
            f"It damages everything: {test}, but the perplexity rises by a factor of {e.perplexity:.1f}.",
        )
    if e.after > e.before and e.corrected <= TYPICAL:
        return CONTRADICTED, f"The wrong sign: {test}, so that removing it helps."
    drop = f"a drop of {100 * e.low:.1f} to {100 * e.high:.1f} points (95 %)"
    if e.corrected <= TYPICAL:
        return NO_EVIDENCE, f"{test}: {drop}, but no control that changes the network as much was published."
    weak = f"; so few questions show a drop of five points with a chance of {e.power:.0%}" if e.power < ADEQUATE else ""
    return NO_EVIDENCE, f"No effect shown and none excluded: {test}, {drop}{weak}."


def p_text(p: float) -> str:
    """A p-value as it is printed."""
    if p > 0.99:
        return "1.00"
    return f"{p:.2g}" if p >= 0.001 else f"{p:.0e}" if p > 1e-12 else "below 1e-12"
