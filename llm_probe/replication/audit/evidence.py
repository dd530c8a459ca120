"""From a published claim to its evidence: the nulls of its search, what else reaches it, and the verdict.

The nulls, of which the one with the largest p counts:

    white noise                    `null_laws`, closed form
    untrained magnitude networks   `magnitude_networks`, drawn here with a fixed seed; at most 1,024 columns, so that a
                                   larger search is given a law that is too small
    random-weights Qwen3           `null_table`, measured once by scripts/calibration/null_class_means.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from llm_probe.replication.audit import counts, magnitude_networks, null_laws
from llm_probe.replication.audit.claims import PublishedClaim, beside
from llm_probe.replication.audit.confounds import DEGREES, Confound, confounds_of, least_polynomial_r2
from llm_probe.replication.audit.judge import (
    AblationEvidence,
    Evidence,
    FitEvidence,
    PerplexityEvidence,
    RivalEvidence,
    ShareEvidence,
    Verdict,
    judge,
)
from llm_probe.replication.audit.null_laws import Law
from llm_probe.replication.audit.null_table import NullTable
from llm_probe.replication.audit.searches import (
    Search,
    chance_of,
    domain_of,
    grid_of,
    questions_of,
    search_of,
    trial_of,
)
from toy.maths.intervals import newcombe, wilson

LARGEST_PERIOD = 128
"""Magnitude networks of a larger period are those of this one: a smooth function has few, slow class means."""
PRIMES = tuple(n for n in range(5, 36) if all(n % d for d in range(2, n)))
COMPOSITES = tuple(n for n in range(5, 36) if n not in PRIMES)
MEANS = {"mean_r2_primes_5_35": PRIMES, "mean_r2_composites_5_35": COMPOSITES}
WITHOUT, WITH, DROPS = ("base_acc", "baseline"), ("ablated_acc", "ablated"), ("acc_drop", "drop")
FIVE_POINTS, DISCORDANCE = 0.05, 0.15


@dataclass(frozen=True)
class Judgement:
    """A claim and what became of it; None where a column does not apply."""

    claim: PublishedClaim
    null: str | None
    """Name of the null with the largest p."""
    null_median: float | None
    null_95: float | None
    p_fwer: float | None
    confounds: tuple[Confound, ...]
    verdict: Verdict
    reason: str


class Nulls:
    """The laws of every search that the claims came from, each made once."""

    def __init__(self, table: NullTable | None) -> None:
        self.table = table
        self._made: dict[tuple, list[Law]] = {}

    def of(self, claim: PublishedClaim) -> list[Law]:
        """The laws of a claim's statistic; none for a fit that no null here describes."""
        search = search_of(claim)
        key = (claim.kind, claim.metric, claim.modulus, domain_of(claim), search.dims, search.layers)
        if key not in self._made:
            makers: dict[str, Callable[[PublishedClaim, Search], list[Law]]] = {
                "class_mean_r2": self._circle, "line_r2": self._line, "rival_r2": self._rival,
                "mean_r2": self._mean, "input_r2": self._input,
            }  # fmt: skip
            self._made[key] = makers[claim.kind](claim, search)
        return self._made[key]

    def _random_weights(self, claim: PublishedClaim, search: Search) -> list[Law]:
        law = self.table.law(domain_of(claim), search) if self.table else None
        return [law] if law else []

    def _circle(self, claim: PublishedClaim, search: Search) -> list[Law]:
        period = _period(claim)
        values = magnitude_networks.r2(min(period, LARGEST_PERIOD), grid_of(claim), "fourier")
        drawn = null_laws.of_draws(magnitude_networks.NAME, magnitude_networks.largest_of(values, search.columns))
        return [null_laws.white_noise(period, search.columns), drawn, *self._random_weights(claim, search)]

    def _line(self, claim: PublishedClaim, search: Search) -> list[Law]:
        period = _period(claim)
        values = magnitude_networks.r2(min(period, LARGEST_PERIOD), "positions", "linear")
        drawn = null_laws.of_draws(magnitude_networks.NAME, magnitude_networks.largest_of(values, search.columns))
        return [null_laws.fixed_fit(period, 1, search.columns), drawn, *self._random_weights(claim, search)]

    def _rival(self, claim: PublishedClaim, search: Search) -> list[Law]:
        period, degree = _period(claim), _degree(claim)
        values = magnitude_networks.r2(min(period, LARGEST_PERIOD), grid_of(claim), degree)
        drawn = null_laws.of_draws(magnitude_networks.NAME, values.ravel())
        return [null_laws.fixed_fit(period, DEGREES.index(degree) + 1), drawn]

    def _mean(self, claim: PublishedClaim, search: Search) -> list[Law]:
        periods = MEANS[claim.metric]
        # An output is the same function at every period, as a dimension is the same dimension.
        values = np.mean([magnitude_networks.r2(n, "square", "fourier") for n in periods], axis=0)
        return [null_laws.mean_of_noise(periods), null_laws.of_draws(magnitude_networks.NAME, values.ravel())]

    def _input(self, claim: PublishedClaim, search: Search) -> list[Law]:
        terms = {"fve_cos_w(a+b)": 1, "fve_sin_w(a+b)": 1, "fve_by_5_cos_terms": 5}.get(claim.metric)
        if terms is None:
            return []
        period = _period(claim)
        share = magnitude_networks.input_share(min(period, LARGEST_PERIOD), terms)
        drawn = null_laws.of_draws(magnitude_networks.NAME, share.ravel())
        return [null_laws.fixed_fit(period**2, 2 * terms), drawn]


def _period(claim: PublishedClaim) -> int:
    if claim.modulus is None:
        raise ValueError(f"{claim.metric} has no period")
    return claim.modulus


def _degree(claim: PublishedClaim) -> magnitude_networks.Statistic:
    degrees: dict[str, magnitude_networks.Statistic] = {"l": "linear", "q": "quadratic", "c": "cubic"}
    return degrees[claim.metric[0]]


def judge_claim(claim: PublishedClaim, claims: Sequence[PublishedClaim], nulls: Nulls) -> Judgement:
    """The verdict on one claim; `claims` are all of them, for numbers published about the same thing."""
    if claim.kind == "perplexity":
        return _judged(claim, PerplexityEvidence(claim.value, claim.metric))
    if claim.kind == "accuracy" or claim.metric in WITHOUT:
        return _judge_share(claim)
    if claim.kind == "ablation":
        return _judge_ablation(claim, claims)
    return _judge_rival(claim, claims, nulls) if claim.kind == "rival_r2" else _judge_fit(claim, claims, nulls)


def _judged(
    claim: PublishedClaim,
    evidence: Evidence,
    null: str | None = None,
    median: float | None = None,
    q95: float | None = None,
    p: float | None = None,
    confounds: tuple[Confound, ...] = (),
) -> Judgement:
    return Judgement(claim, null, median, q95, p, confounds, *judge(evidence))


def _judge_fit(claim: PublishedClaim, claims: Sequence[PublishedClaim], nulls: Nulls) -> Judgement:
    laws = nulls.of(claim)
    confounds = tuple(confounds_of(claim, claims))
    how = search_of(claim).how
    if not laws:
        return _judged(claim, FitEvidence(claim.value, how, None, 0.0, 0.0, 1.0, confounds), confounds=confounds)
    strongest = max(laws, key=lambda law: (law.above(claim.value), law.q95))
    found = (strongest.name, strongest.median, strongest.q95, strongest.above(claim.value))
    others = tuple((law.name, law.above(claim.value)) for law in laws if law is not strongest)
    return _judged(claim, FitEvidence(claim.value, how, *found, confounds, others), *found, confounds)


def _judge_rival(claim: PublishedClaim, claims: Sequence[PublishedClaim], nulls: Nulls) -> Judgement:
    strongest = max(nulls.of(claim), key=lambda law: law.below(claim.value))
    circle = beside(claim, claims, "fourier_r2_residue_means").get("fourier_r2_residue_means")
    frequency = next((one.frequency for one in claims if one.cell == claim.cell and one.frequency), None)
    least, degree = 0.0, _degree(claim)
    if circle is not None and frequency is not None:
        least = least_polynomial_r2(_period(claim), frequency, circle, degree)
    p = strongest.below(claim.value)
    evidence = RivalEvidence(claim.value, degree, strongest.name, strongest.median, p, circle, least)
    return _judged(claim, evidence, strongest.name, strongest.median, strongest.q95, p)


def _judge_share(claim: PublishedClaim) -> Judgement:
    trial, questions, chance = trial_of(claim), questions_of(claim), chance_of(claim)
    flaw = trial.flaw.replace("%s", str(claim.modulus)) if trial.flaw else None
    if questions is None or chance is None:
        unknown = ShareEvidence(claim.value, None, questions, chance, 1.0, 0.0, 1.0, flaw, trial.fatal)
        return _judged(claim, unknown)
    right = counts.right_of(claim.value, questions)
    p = counts.above_guessing(right, questions, chance)
    evidence = ShareEvidence(claim.value, right, questions, chance, p, *wilson(right, questions), flaw, trial.fatal)
    q95 = counts.guessing_quantile(0.95, questions, chance)
    return _judged(claim, evidence, "guessing", chance, q95, p)


def _judge_ablation(claim: PublishedClaim, claims: Sequence[PublishedClaim]) -> Judgement:
    def same(other: PublishedClaim) -> bool:
        return (other.experiment, other.domain, *other.cell) == (claim.experiment, claim.domain, *claim.cell)

    values = {one.metric: one.value for one in claims if same(one)}
    before = next((values[name] for name in WITHOUT if name in values), None)
    after = next((values[name] for name in WITH if name in values), None)
    questions = questions_of(claim)
    if before is None or after is None or questions is None:
        return Judgement(claim, None, None, None, None, (), "undetermined", _incomplete(before, after))
    first, second = (counts.right_of(value, questions) for value in (before, after))
    family = {
        (one.model, one.domain, one.layer, one.dim)
        for one in claims
        if one.experiment == claim.experiment and one.metric in WITH
    }
    drop = newcombe(first, second, questions)
    power = counts.paired_power(FIVE_POINTS, DISCORDANCE, questions)
    p, factor = counts.fisher(first, second, questions), _perplexity_factor(claim, claims)
    evidence = AblationEvidence(first, second, questions, p, len(family), *drop, power, factor)
    return _judged(claim, evidence, "no effect", None, None, evidence.corrected)


def _incomplete(before: float | None, after: float | None) -> str:
    with_it = "number of questions" if after is not None else "share with the ablation"
    missing = "share without the ablation" if before is None else with_it
    return f"The {missing} was not published, so that nothing can be compared."


def _perplexity_factor(claim: PublishedClaim, claims: Sequence[PublishedClaim]) -> float | None:
    """By which factor the perplexity rises under the same ablation; None where it was not published."""

    def place(one: PublishedClaim) -> tuple[str, str, int | None, int | None]:
        return one.experiment, one.model, one.layer, one.dim

    values = {one.metric: one.value for one in claims if one.kind == "perplexity" and place(one) == place(claim)}
    return values["ablated_ppl"] / values["base_ppl"] if {"ablated_ppl", "base_ppl"} <= set(values) else None


def facts(nulls: Nulls) -> list[str]:
    """What the nulls rest on, for the foot of the page."""
    networks = f"{magnitude_networks.NETWORKS} untrained two-layer networks of 1,024 outputs that see only a/n and b/n"
    table = f", and {nulls.table.summary()} of Qwen3-0.6B's width with random weights" if nulls.table else ""
    return [
        f"Nulls: white noise in closed form; {networks}{table}. The p-value is the largest of them, for the largest "
        "number of the search that a claim came from.",
        "Where these nulls are smaller than the search, p is too small, if anything: more than 1,024 columns are "
        "compared with 1,024 outputs of magnitude networks, 28 layers with the blocks that the random networks have.",
    ]
