"""One trial: a network whose answer is known goes through the job that users run; its p-values are kept.

    magnitudes   a `MagnitudeNetwork` given questions about sums mod p or hours: it holds n, never a residue
    names        the same, given questions about weekdays and months: their names are random vectors
    qwen3        a small Qwen3 with random weights, read through the reference model's tokenizer
    shuffled     the trained reference model; prompts whose labels were shuffled, given as a user gives a prompt file
    code of …    a `CodeNetwork` that knows the answers (items) without a circle
    renamed MiniLM, memoriser …    networks that were trained (`calibration/trained_nulls.py`)

Only where the states come from differs from the main job: `NetworkStates` stands in place of a model; renamings,
searches, scan, assignment test, controls, confirmation and verdict are those of `run`. The verdict's random-weights
control is taken to reach nothing, so that it cannot help: a trial here is its own random network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.activations.streaming import ReadPlan, States
from llm_probe.calibration.codes import Code, CodeNetwork
from llm_probe.calibration.networks import CELLS, MagnitudeNetwork, Planted, plant
from llm_probe.calibration.trained_nulls import (
    MEMORISED_CLAIMS,
    RENAMED_CLAIMS,
    TRAINED_NULLS,
    TrainedNull,
    memoriser,
    minilm,
    renamed_items,
)
from llm_probe.models.loading import REFERENCE_FOLDER, LoadedModel, load, wrap
from llm_probe.questions.claims import Claim, families
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.questions.own import GivenClaim
from llm_probe.questions.prompts import Prompt, published_grid
from llm_probe.run.config import ProbeConfig
from llm_probe.run.job import Job
from llm_probe.run.probe import answered, hypotheses
from llm_probe.run.result import PROBE
from llm_probe.run.study import Session
from llm_probe.run.vocabulary import EMBEDDING
from llm_probe.statistics.class_mean_null import white_noise
from llm_probe.statistics.renaming import FIRST
from llm_probe.verdicts.evidence import with_selectivity
from llm_probe.verdicts.judgement import Hypothesis, verdicts

Null = Literal["magnitudes", "names", "qwen3", "shuffled", "code of sums", "code of items"] | TrainedNull
MODULI = ProbeConfig().moduli
SUMS = tuple(Claim(modular("add", modulus), "sum") for modulus in MODULI)
CLAIMS: dict[Null, tuple[Claim, ...]] = {
    "magnitudes": (*SUMS, Claim(DOMAINS["hours"], "sum"), Claim(DOMAINS["hours24"], "sum")),
    "names": tuple(Claim(DOMAINS[name], kind) for name in ("days", "months") for kind in ("sum", "item")),
    "qwen3": (*SUMS, *(Claim(DOMAINS[name], "sum") for name in ("days", "months", "hours", "hours24"))),
    "shuffled": SUMS,
    "code of sums": (
        *(Claim(DOMAINS[name], "sum") for name in ("days", "months")),
        *(Claim(modular("add", modulus), "sum") for modulus in (7, 12, 13, 23)),
    ),
    "code of items": tuple(Claim(DOMAINS[name], "item") for name in ("days", "months")),
    "renamed MiniLM": RENAMED_CLAIMS,
    "memoriser": MEMORISED_CLAIMS,
    "memoriser (shown)": MEMORISED_CLAIMS,
}
"""The claims that each null is tested on; trial i takes claim i mod their number (`claim_of` has its own labels)."""
SMALL: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 16}  # fmt: skip
"""The random Qwen3: as many dimensions and layers as the ReLU networks have."""


@dataclass(frozen=True)
class Trial:
    """The p-values that one network was given, each corrected over everything that was searched for it."""

    p: dict[str, float]
    """Statistic to p; one that does not apply is absent."""
    verdict: str
    level: str = ""
    shape: str = ""
    """What exactly the level is (`verdicts/levels.py`)."""
    reason: str = ""


@dataclass(frozen=True)
class Setting:
    """Which trial: with the seed it determines everything."""

    null: Null
    seed: int
    planted: Planted | None = None
    code: Code | None = None
    """Of the two nulls that are codes: what the network knows."""
    amplitude: float = 1.0
    """Of that code, in sizes of a random vector."""
    config: ProbeConfig = field(default_factory=lambda: ProbeConfig(behaviour=False, renamings=FIRST))
    """One claim by itself: p <= 0.01 needs no second stage of renamings."""

    @property
    def claim(self) -> Claim:
        claims = CLAIMS[self.null]
        return claims[self.seed % len(claims)]

    @property
    def planted_in(self) -> dict[str, Planted]:
        """The name of every claim that carries a planted circle, with that circle.

        The questions without a modulus that the job reads as a control are never among them.
        """
        if self.planted is None:
            return {}
        # Companions are the same sums under other moduli; hours have none.
        everywhere = families([self.claim]) if self.planted.everywhere else []
        companions = [claim for family in everywhere for claim in family.companions]
        return {claim.name: self.planted for claim in (self.claim, *companions)}


@runtime_checkable
class Network(Protocol):
    """Puts out states for prompts; nothing else of a model is asked."""

    @property
    def seed(self) -> int: ...

    @property
    def d_model(self) -> int: ...

    def states(self, claim: Claim, prompts: Sequence[Prompt]) -> Float[Tensor, "n cells d"]:
        """The states of these prompts."""
        ...


@dataclass(frozen=True)
class NetworkStates:
    """Reads the states of a magnitude network where a job would read those of a model (`Job.read_states`)."""

    network: Network
    planted: Mapping[str, Planted]
    """A claim's name to the circle that is planted in its states."""

    def __call__(
        self, claim: Claim, discovery: Sequence[Prompt], confirmation: Sequence[Prompt], plan: ReadPlan,
        *, grid: bool = True, **_: Any,
    ) -> States:  # fmt: skip
        """The states of one claim; no model is read."""
        has_grid = grid and claim.quantity == "sum" and claim.domain.has_grid
        averaged = published_grid(claim.domain) if has_grid else discovery
        means = torch.zeros(CELLS, claim.period, self.network.d_model, dtype=torch.float64)
        label = torch.tensor([prompt.label for prompt in averaged])
        means.index_add_(1, label, self.of(claim, averaged).double().transpose(0, 1))
        means /= label.bincount(minlength=claim.period).clamp_min(1)[:, None]
        both = self.of(claim, [*discovery, *confirmation])
        return States(tuple(plan.cells), both[: len(discovery)], both[len(discovery) :], means)

    def of(self, claim: Claim, prompts: Sequence[Prompt]) -> Float[Tensor, "n cells d"]:
        """The network's states of these prompts, with the claim's planted circle."""
        states, planted = self.network.states(claim, prompts), self.planted.get(claim.name)
        if planted is None:
            return states
        label = torch.tensor([prompt.label for prompt in prompts])
        return plant(states, label, claim.period, planted, self.network.seed)


def job_of(setting: Setting) -> Job:
    """The job of a trial; every item of a magnitude network is a vector of its own."""
    config, seed = replace(setting.config, seed=setting.seed), setting.seed
    if setting.null == "renamed MiniLM":
        return Job(config, Session(PROBE), minilm, "trained", "MiniLM")
    if setting.null in TRAINED_NULLS:
        return Job(config, Session(PROBE), lambda: memoriser(seed).loaded(), "trained", f"memoriser {seed}")
    if setting.null == "shuffled":
        return Job(config, Session(PROBE), lambda: load(str(REFERENCE_FOLDER)), "trained", "reference")
    if setting.null == "qwen3":
        return Job(config, Session(PROBE), lambda: _small_qwen3(seed), "trained", f"qwen3 {seed}")
    network = CodeNetwork(setting.code, seed, setting.amplitude) if setting.code else MagnitudeNetwork(seed)
    return NetworkJob(config, NetworkStates(network, setting.planted_in))


class NetworkJob(Job):
    """The job of a network that is no language model."""

    def __init__(self, config: ProbeConfig, states: NetworkStates) -> None:
        self.network = states.network
        config, name = replace(config, layers=tuple(range(CELLS))), f"network {states.network.seed}"
        super().__init__(config, Session(PROBE), _no_model, "trained", name, states, _item_kinds)

    @property
    def d_model(self) -> int:
        return self.network.d_model


def _item_kinds(claim: Claim) -> list[int]:
    return [] if claim.renames_digits else [0] * claim.period


def run_trial(setting: Setting) -> Trial:
    """Put one network through the job and keep its p-values and verdict."""
    claim, job = claim_of(setting), job_of(setting)
    hypothesis = answered(job, hypotheses(job, [claim]), {})[0]
    confirmation = replace(hypothesis.evidence.confirmation, r2=-1.0, high=-1.0, agreement_high=-1.0)
    hypothesis = replace(hypothesis, random=replace(hypothesis.evidence, confirmation=confirmation))
    row = next(verdicts([hypothesis]))
    return Trial(_p_values(hypothesis), row.verdict, row.level, row.shape or "", row.reason)


def claim_of(setting: Setting) -> Claim:
    """The claim as it is put to the network, with the labels that this network is asked for."""
    claim, seed = setting.claim, setting.seed
    if setting.null == "shuffled":
        return _shuffled(claim, seed, replace(setting.config, seed=seed))
    if setting.null == "renamed MiniLM":
        return replace(claim, domain=renamed_items(claim.domain, seed))
    if setting.null in TRAINED_NULLS:
        return memoriser(seed).claim(shown=setting.null == "memoriser (shown)")
    return claim


def _p_values(of: Hypothesis) -> dict[str, float]:
    """Statistic to p, each corrected over everything that was searched for the claim."""
    rows = with_selectivity(of.evidence.rows["r2_table"], of.p_selective)
    raised = [(row.unit, row.p_fwer) for row in rows if row.p_fwer is not None and row.layer != EMBEDDING]
    values: dict[str, float | None] = {
        f"p_fwer ({kind}s)": min((p for unit, p in raised if unit == kind), default=None)
        for kind in ("plane", "dimension")
    }
    class_mean = of.evidence.class_mean
    values |= {
        "p_selective": of.p_selective,
        "p_assignment": of.test and of.test.p,
        "p_period": of.evidence.p_period,
        "p_contrast": of.test and of.test.p_contrast,
        "p_repeats": of.evidence.geometry.p_repeats,
        "p_order": of.evidence.geometry.p_order,
        "renaming alone (not printed)": of.evidence.chosen.p_renaming,
        "class-mean R² against noise": class_mean
        and white_noise(of.claim.period, of.n_dimensions).above(class_mean.r2),
    }
    return {name: p for name, p in values.items() if p is not None}


def _shuffled(claim: Claim, seed: int, config: ProbeConfig) -> GivenClaim:
    """The claim's prompts, operand pairs with labels of other pairs, as a prompt file would give them."""
    prompts = claim.prompts("discovery", config.prompts, seed)
    order = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(seed)).tolist()
    given = tuple(
        Prompt(one.text, {"item": (0, len(one.text))}, "given", other.label, 0, other.label, other.label, None)
        for one, other in zip(prompts, (prompts[index] for index in order), strict=True)
    )
    domain = replace(claim.domain, operands=None, questions={}, statements={"given": "{item}"})
    return GivenClaim(domain, "item", given)


def _small_qwen3(seed: int) -> LoadedModel:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    reference = load(str(REFERENCE_FOLDER))
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=len(reference.tokenizer), **SMALL)).eval()
    return wrap(model, reference.tokenizer, name=f"qwen3 {seed}")


def _no_model() -> LoadedModel:
    raise AssertionError("a magnitude network is not loaded")
