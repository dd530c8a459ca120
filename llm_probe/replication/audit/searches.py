"""The search behind every published number: what it was chosen from, as far as files and scripts published with it say.

An R² that is the largest of 1,024 dimensions must be compared with the largest of 1,024 under the null, one of a
dimension that was fixed before with a single one. `SEARCHES` has one entry for each experiment (facts from the scripts,
arguments and result files of unixsysdev/grokking-fourier at 536610f, and from arXiv:2301.05217). A row lower in a
published ranking gets the law of the *largest*: that is what family-wise means.

`TRIALS` says on how many questions a published share of right answers rests, and what is known to be wrong with them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from llm_probe.replication.audit.claims import PublishedClaim
from llm_probe.replication.audit.magnitude_networks import Grid
from llm_probe.replication.audit.random_networks import POSITION_DOMAIN

LAYERS, WIDTH = 28, 1024
"""Blocks and residual dimensions of Qwen3-0.6B."""


@dataclass(frozen=True)
class Search:
    """What one published R² is the best of; every frequency is always searched."""

    dims: int
    """Dimensions or features at a layer."""
    layers: int
    how: str
    """The search in words, for the reason."""

    @property
    def columns(self) -> int:
        return self.dims * self.layers


_ALL_AT_14 = Search(WIDTH, 1, "the best of 1,024 dimensions at layer 14")
_ALL_LAYERS = Search(WIDTH, LAYERS, "the best of 1,024 dimensions, layer 14 being the best of a scan of 28")
_FIXED = Search(1, 1, "one dimension, chosen elsewhere")
_SCAN = Search(1, LAYERS, "one dimension, chosen by its size, over 28 layers")
SEARCHES: dict[str, Search] = {
    "qwen3_deep": _SCAN,
    "qwen3_deep_best": Search(5, LAYERS, "the best of 28 layers for five dimensions, chosen by their size"),
    "prime_generalization_dim35": replace(_FIXED, how="one dimension at one layer, chosen at p = 23 and layer 9"),
    "prime_generalization_top10": _ALL_AT_14,
    "composites_top10": _ALL_AT_14,
    "dim867_range_scan": replace(_FIXED, how="one dimension, chosen among 1,024 at other moduli"),
    "cyclic_domains_best": _ALL_LAYERS,
    "cyclic_domains_top5": _ALL_LAYERS,
    "alphabet_linear": Search(WIDTH, 1, "the five best of 1,024 dimensions at layer 14, a straight line"),
    "poly_vs_fourier": _FIXED,
    "poly_vs_fourier_readme": _FIXED,
    "sae_layer7_features": Search(4096, 1, "the best of 4,096 sparse features"),
    "nanda_paper": Search(1, 1, "one direction, read from the weights at one of five key frequencies"),
}
"""By experiment."""
WINNERS = {(11, 112): _ALL_AT_14, **{(p, 867): _ALL_AT_14 for p in (17, 19, 23, 29)}}
"""(modulus, dimension) whose R² was the largest of all dimensions at layer 14: wherever the number is repeated, it is
the outcome of that search."""
REPEATS = ("dim867_range_scan", "poly_vs_fourier_readme")
UNSEARCHED = Search(1, 1, "an unknown search, taken as one dimension")


def search_of(claim: PublishedClaim) -> Search:
    """The search a claim came from; of an experiment that is not listed, the smallest possible."""
    if claim.modulus is None or claim.dim is None:
        return SEARCHES.get(claim.experiment, UNSEARCHED)
    if claim.experiment in REPEATS and (claim.modulus, claim.dim) in WINNERS:
        return WINNERS[claim.modulus, claim.dim]
    if claim.experiment == "prime_generalization_dim35" and claim.modulus == 23:
        return replace(_SCAN, how="one dimension that a scan of 28 layers at this modulus had singled out")
    if claim.experiment.startswith("cyclic_domains") and domain_of(claim) == "alphabet":
        return _ALL_AT_14
    return SEARCHES.get(claim.experiment, UNSEARCHED)


def domain_of(claim: PublishedClaim) -> str:
    """The domain's name in the table of random networks."""
    starts = {"days_of_week": "days", "months": "months", "clock_hours": "hours", 'alphabet "The': POSITION_DOMAIN}
    for start, name in {**starts, "alphabet": "alphabet"}.items():
        if claim.domain.startswith(start):
            return name
    return f"mod-add {claim.modulus}"


def grid_of(claim: PublishedClaim) -> Grid:
    """Which operand pairs the class means average over."""
    named: dict[str, Grid] = {"alphabet": "alphabet", POSITION_DOMAIN: "positions"}
    return named.get(domain_of(claim), "square")


@dataclass(frozen=True)
class Trial:
    """The questions behind a share of right answers."""

    questions: int | Literal["pairs", "train", "test"] | None
    """Their number; all modulus² pairs, or the 30 % of them trained on or the rest; None where it is not published."""
    flaw: str | None = None
    """What is wrong with them; "%s" takes the modulus."""
    fatal: bool = False
    """The flaw contradicts the claim; otherwise it leaves it open."""
    chance: float | None = None
    """Share right by guessing; None means 1/modulus."""


GUESS_A_SUM = 0.1
"""Always "9" is right for a tenth of the sums of two digits, and every other kind of sum is harder to guess."""
_SWEEP = Trial(200, chance=GUESS_A_SUM)
TRIALS: dict[str, Trial] = {
    "qwen3_accuracy": Trial(100),
    "causal_ablation_zero": Trial(50),
    "miras_mechanics": Trial("pairs"),
    "miras_extrapolation": Trial("pairs"),
    "miras_sinpe_headline": Trial("pairs"),
    "toy_modular_addition": Trial("test"),
    "phase_transition": Trial("test"),
    "addition_sweep": _SWEEP,
    "addition_headline": Trial(None, chance=GUESS_A_SUM),
}
"""By experiment, without the epoch in its name."""
FLAWED: dict[str, Trial] = {
    "1d+1d": replace(_SWEEP, flaw="all 200 questions were trained on"),
    "small_exhaustive": replace(_SWEEP, questions=400, flaw="298 of the 400 questions were trained on"),
    "interpolation_accuracy": Trial(2500, chance=GUESS_A_SUM),
    "summary": Trial(None, chance=GUESS_A_SUM),
    "unseen_p71": Trial(
        "pairs", "the held-out primes were drawn anew at every resume: %s became a training prime", True
    ),
}
"""By the beginning of the domain, or by metric: these come first."""
TRAINED_UP_TO = 120
"""The "universal" network was trained on moduli from 2 to 120."""


def trial_of(claim: PublishedClaim) -> Trial:
    """The questions behind a claim; their number is unknown where the experiment is not listed."""
    if claim.model.startswith("MIRAS universal") and claim.experiment == "miras_extrapolation":
        if claim.modulus is not None and claim.modulus <= TRAINED_UP_TO:
            return Trial("pairs", f"%s lies in the training range of 2 to {TRAINED_UP_TO}: no extrapolation", True)
        return Trial("pairs")
    for key, trial in FLAWED.items():
        if claim.domain.startswith(key) or claim.metric == key:
            return trial
    name = claim.experiment.split("_epoch_")[0]
    trial = TRIALS.get(name, Trial(None))
    return replace(trial, questions="train") if trial.questions == "test" and "train" in claim.metric else trial


def questions_of(claim: PublishedClaim) -> int | None:
    """How many questions a share of right answers rests on, None where that is not known."""
    questions = trial_of(claim).questions
    if questions is None or isinstance(questions, int):
        return questions
    if claim.modulus is None:
        return None
    pairs = claim.modulus**2
    trained = int(0.3 * pairs)
    return {"pairs": pairs, "train": trained, "test": pairs - trained}[questions]


def chance_of(claim: PublishedClaim) -> float | None:
    """Share right by guessing, None where that is not known."""
    chance = trial_of(claim).chance
    if chance is not None:
        return chance
    return None if claim.modulus is None else 1 / claim.modulus
