"""From a published claim to its evidence: the nulls of its search, what else reaches its value, and the verdict.

The nulls of an R², of which the one with the largest p counts:

    white noise                    `llm_probe.statistics.class_mean_null`, closed form
    untrained magnitude networks   `magnitude_networks`, drawn here with a fixed seed; at most 1,024 columns, so that a
                                   larger search is given a law that is too small
    random-weights Qwen3           `random_networks`, measured once by scripts/calibration/null_class_means.py

Shares of right answers:

- above guessing: P(Bin(n, chance) ≥ right), exact, beside the Wilson interval;
- two shares: Fisher's exact test, two-sided, and Newcombe's interval of the difference (1998, method 10), which
  combines the Wilson limits l, u:  d - √((p₁-l₁)² + (u₂-p₂)²)  to  d + √((u₁-p₁)² + (p₂-l₂)²);
- power: whether the number of questions could have shown a drop at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from llm_probe.replication.audit import magnitude_networks
from llm_probe.replication.audit.claims import PublishedClaim, beside
from llm_probe.replication.audit.confounds import DEGREES, Confound, confounds_of, least_polynomial_r2
from llm_probe.replication.audit.judge import (
    NO_EVIDENCE,
    AblationEvidence,
    Evidence,
    FitEvidence,
    PerplexityEvidence,
    RivalEvidence,
    ShareEvidence,
    Verdict,
    judge,
)
from llm_probe.replication.audit.random_networks import NullTable
from llm_probe.replication.audit.searches import (
    Search,
    chance_of,
    domain_of,
    grid_of,
    questions_of,
    search_of,
    trial_of,
)
from llm_probe.statistics.class_mean_null import Law, fixed_fit, law_of_draws, white_noise
from toy.maths.intervals import newcombe, wilson
from toy.maths.regression import class_mean_r2

LARGEST_PERIOD = 128
"""Magnitude networks of a larger period are those of this one: a smooth function has few, slow class means."""
PRIMES = tuple(n for n in range(5, 36) if all(n % d for d in range(2, n)))
COMPOSITES = tuple(n for n in range(5, 36) if n not in PRIMES)
MEANS = {"mean_r2_primes_5_35": PRIMES, "mean_r2_composites_5_35": COMPOSITES}
INPUT_TERMS = {"fve_cos_w(a+b)": 1, "fve_sin_w(a+b)": 1, "fve_by_5_cos_terms": 5}
"""Frequencies in a fit to all inputs; of a polynomial there no null is known."""
WITHOUT, WITH, DROPS = ("base_acc", "baseline"), ("ablated_acc", "ablated"), ("acc_drop", "drop")
FIVE_POINTS, DISCORDANCE = 0.05, 0.15
Z_95 = 1.959964


@dataclass(frozen=True)
class Judgement:
    """A claim and its verdict; None where a column does not apply."""

    claim: PublishedClaim
    verdict: Verdict
    reason: str
    null: str | None = None
    """Name of the null with the largest p."""
    null_median: float | None = None
    null_95: float | None = None
    p_fwer: float | None = None
    confounds: tuple[Confound, ...] = ()


# ------------------------------------------------------------------------------------------------------------- nulls


class Nulls:
    """The laws of every search that the claims came from, each computed once."""

    def __init__(self, table: NullTable | None) -> None:
        self.table = table
        self._known: dict[tuple, list[Law]] = {}

    def of(self, claim: PublishedClaim) -> list[Law]:
        """The laws of a claim's statistic; none for a fit that no null here describes."""
        search = search_of(claim)
        key = (claim.kind, claim.metric, claim.modulus, domain_of(claim), search.dims, search.layers)
        if key not in self._known:
            self._known[key] = _mean_laws(claim) if claim.kind == "mean_r2" else self._laws(claim, search)
        return self._known[key]

    def _laws(self, claim: PublishedClaim, search: Search) -> list[Law]:
        assert claim.modulus is not None, "`METRICS` says that these kinds need a modulus"
        n, period = claim.modulus, min(claim.modulus, LARGEST_PERIOD)
        if claim.kind == "input_r2":
            if (terms := INPUT_TERMS.get(claim.metric)) is None:
                return []
            return [fixed_fit(n**2, 2 * terms), _law_of_networks(magnitude_networks.input_share(period, terms))]
        if claim.kind == "rival_r2":
            degree = degree_of(claim)
            values = magnitude_networks.r2(period, grid_of(claim), degree)
            return [fixed_fit(n, DEGREES.index(degree) + 1), _law_of_networks(values)]
        if claim.kind == "line_r2":
            noise, values = fixed_fit(n, 1, search.columns), magnitude_networks.r2(period, "positions", "linear")
        else:
            noise = white_noise(n, search.columns)
            values = magnitude_networks.r2(period, grid_of(claim), "fourier")
        measured = self.table.law(domain_of(claim), search.dims, search.layers) if self.table else None
        networks = _law_of_networks(magnitude_networks.largest_of(values, search.columns))
        return [noise, networks, *([measured] if measured else [])]


def _law_of_networks(values: np.ndarray) -> Law:
    return law_of_draws(magnitude_networks.NAME, values.ravel())


def _mean_laws(claim: PublishedClaim, draws: int = 4000) -> list[Law]:
    """Laws of the mean over several periods: one column of white noise for each, and outputs of the networks."""
    periods, generator = MEANS[claim.metric], torch.Generator().manual_seed(0)
    noise = torch.zeros(draws, dtype=torch.float64)
    for n in periods:
        noise += class_mean_r2(torch.randn(n, draws, generator=generator, dtype=torch.float64)).amax(dim=0)
    # An output is the same function at every period, as a dimension is the same dimension.
    values = np.mean([magnitude_networks.r2(n, "square", "fourier") for n in periods], axis=0)
    return [law_of_draws("white noise", (noise / len(periods)).numpy()), _law_of_networks(values)]


def degree_of(claim: PublishedClaim) -> magnitude_networks.Statistic:
    """`linear`, `quadratic` or `cubic`: the first word of a rival's metric."""
    return claim.metric.split("_")[0]  # type: ignore[return-value]


# ------------------------------------------------------------------------------------------------------------ shares


def fisher(first: int, second: int, questions: int) -> float:
    """Two-sided exact p of two counts out of equally many questions."""
    from scipy.stats import fisher_exact

    return float(fisher_exact([[first, questions - first], [second, questions - second]])[1])  # type: ignore[index]


def paired_power(drop: float, discordance: float, questions: int) -> float:
    """Power of McNemar's test at 5 % when the same questions are asked twice and a share `discordance` changes sides.

    Normal approximation (Connor 1987): Φ((drop √n - 1.96 √d) / √(d - drop²)).
    """
    from scipy.stats import norm

    spread = math.sqrt(discordance - drop**2)
    return float(norm.cdf((drop * math.sqrt(questions) - Z_95 * math.sqrt(discordance)) / spread))


# ---------------------------------------------------------------------------------------------------------- verdicts


def judge_claim(claim: PublishedClaim, claims: Sequence[PublishedClaim], nulls: Nulls) -> Judgement:
    """The verdict on one claim; `claims` are all of them, for numbers published about the same thing."""
    if claim.kind == "perplexity":
        return _judgement(claim, PerplexityEvidence(claim.value, claim.metric))
    if claim.kind == "accuracy" or claim.metric in WITHOUT:
        return _judge_share(claim)
    if claim.kind == "ablation":
        return _judge_ablation(claim, claims)
    return _judge_rival(claim, claims, nulls) if claim.kind == "rival_r2" else _judge_fit(claim, claims, nulls)


def _judgement(
    claim: PublishedClaim, evidence: Evidence, *null: str | float | None, confounds: tuple[Confound, ...] = ()
) -> Judgement:
    """`null`: its name, median, 95 % quantile and p."""
    return Judgement(claim, *judge(evidence), *null, confounds=confounds)  # type: ignore[arg-type]


def _judge_fit(claim: PublishedClaim, claims: Sequence[PublishedClaim], nulls: Nulls) -> Judgement:
    laws, confounds, how = nulls.of(claim), tuple(confounds_of(claim, claims)), search_of(claim).how
    if not laws:
        return _judgement(claim, FitEvidence(claim.value, how, confounds=confounds), confounds=confounds)
    strongest = max(laws, key=lambda law: (law.above(claim.value), law.q95))
    null = (strongest.name, strongest.median, strongest.q95, strongest.above(claim.value))
    others = tuple((law.name, law.above(claim.value)) for law in laws if law is not strongest)
    return _judgement(claim, FitEvidence(claim.value, how, *null, confounds, others), *null, confounds=confounds)


def _judge_rival(claim: PublishedClaim, claims: Sequence[PublishedClaim], nulls: Nulls) -> Judgement:
    assert claim.modulus is not None
    strongest = max(nulls.of(claim), key=lambda law: law.below(claim.value))
    circle = beside(claim, claims, "fourier_r2_residue_means").get("fourier_r2_residue_means")
    frequency = next((one.frequency for one in claims if one.cell == claim.cell and one.frequency), None)
    least, degree = 0.0, degree_of(claim)
    if circle is not None and frequency is not None:
        least = least_polynomial_r2(claim.modulus, frequency, circle, degree)
    p = strongest.below(claim.value)
    evidence = RivalEvidence(claim.value, degree, strongest.name, strongest.median, p, circle, least)
    return _judgement(claim, evidence, strongest.name, strongest.median, strongest.q95, p)


def _judge_share(claim: PublishedClaim) -> Judgement:
    from scipy.stats import binom

    trial, questions, chance = trial_of(claim), questions_of(claim), chance_of(claim)
    flaw = trial.flaw.replace("%s", str(claim.modulus)) if trial.flaw else None
    if questions is None or chance is None:
        unknown = ShareEvidence(claim.value, None, questions, chance, 1.0, 0.0, 1.0, flaw, trial.fatal)
        return _judgement(claim, unknown)
    right = round(claim.value * questions)
    p, q95 = float(binom.sf(right - 1, questions, chance)), float(binom.ppf(0.95, questions, chance)) / questions
    evidence = ShareEvidence(claim.value, right, questions, chance, p, *wilson(right, questions), flaw, trial.fatal)
    return _judgement(claim, evidence, "guessing", chance, q95, p)


def _judge_ablation(claim: PublishedClaim, claims: Sequence[PublishedClaim]) -> Judgement:
    experiment = [one for one in claims if one.experiment == claim.experiment]
    values = {one.metric: one.value for one in experiment if (one.domain, one.cell) == (claim.domain, claim.cell)}
    before, after = (next((values[name] for name in names if name in values), None) for names in (WITHOUT, WITH))
    questions = questions_of(claim)
    if before is None or after is None or questions is None:
        missing = "number of questions" if after is not None else "share with the ablation"
        missing = "share without the ablation" if before is None else missing
        reason = f"The {missing} was not published, so that nothing can be compared."
        return Judgement(claim, NO_EVIDENCE, reason)
    first, second = (round(value * questions) for value in (before, after))
    ablations = len({(one.model, one.domain, one.layer, one.dim) for one in experiment if one.metric in WITH})
    place = (claim.model, claim.layer, claim.dim)
    perplexity = {one.metric: one.value for one in experiment if (one.model, one.layer, one.dim) == place}
    both = {"ablated_ppl", "base_ppl"} <= set(perplexity)
    evidence = AblationEvidence(
        first, second, questions, fisher(first, second, questions), ablations, *newcombe(first, second, questions),
        paired_power(FIVE_POINTS, DISCORDANCE, questions),
        perplexity["ablated_ppl"] / perplexity["base_ppl"] if both else None,
    )  # fmt: skip
    return _judgement(claim, evidence, "no effect", None, None, evidence.corrected)


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
