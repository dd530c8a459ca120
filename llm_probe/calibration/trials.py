"""One trial: a network whose answer is known goes through the job that users run, and its p-values are noted.

    magnitudes   a `MagnitudeNetwork`, asked for sums mod p or for hours: it holds n, never a residue
    names        the same, asked for weekdays and months: their names are random vectors
    qwen3        a small Qwen3 with random weights, read through the reference model's tokenizer
    shuffled     the trained reference model; prompts whose labels were shuffled, given as a user gives a prompt file

Only where the states come from differs from the main job: renamings, searches, scan, assignment test, controls,
confirmation and verdict are those of `run`. The verdict's random-weights control is taken to reach nothing, so that it
cannot help: a trial here is its own random network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from llm_probe.activations.states import States
from llm_probe.calibration.networks import CELLS, MagnitudeNetwork, Planted, plant
from llm_probe.models.loading import REFERENCE_FOLDER, LoadedModel, load, wrap
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.questions.own import GivenClaim
from llm_probe.questions.prompts import Prompt, published_grid
from llm_probe.run.config import ProbeConfig
from llm_probe.run.job import Job
from llm_probe.run.probe_run import judged_together
from llm_probe.run.store import Store
from llm_probe.statistics.class_mean_null import white_noise
from llm_probe.statistics.nulls import undecidable
from llm_probe.verdicts.joined import Judged
from llm_probe.verdicts.judgement import judge

Null = Literal["magnitudes", "names", "qwen3", "shuffled"]
MODULI = ProbeConfig().moduli
SUMS = tuple(Claim(modular("add", modulus), "sum") for modulus in MODULI)
CLAIMS: dict[Null, tuple[Claim, ...]] = {
    "magnitudes": (*SUMS, Claim(DOMAINS["hours"], "sum"), Claim(DOMAINS["hours24"], "sum")),
    "names": tuple(Claim(DOMAINS[name], kind) for name in ("days", "months") for kind in ("sum", "item")),
    "qwen3": (*SUMS, *(Claim(DOMAINS[name], "sum") for name in ("days", "months", "hours", "hours24"))),
    "shuffled": SUMS,
}
"""What each null is asked; trial i is asked claim i mod their number."""
SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
"""The random Qwen3: as many dimensions and layers as the ReLU networks have."""


@dataclass(frozen=True)
class Trial:
    """The p-values that one network was given, each corrected over everything that was searched for it."""

    p: dict[str, float]
    """Statistic to p; one that does not apply is absent."""
    verdict: str


@dataclass(frozen=True)
class Setting:
    """Which trial: with the seed it determines everything."""

    null: Null
    seed: int
    planted: Planted | None = None
    config: ProbeConfig = field(default_factory=lambda: ProbeConfig(behaviour=False))

    @property
    def claim(self) -> Claim:
        claims = CLAIMS[self.null]
        return claims[self.seed % len(claims)]


class NullJob(Job):
    """A job whose states are those of a `MagnitudeNetwork`."""

    def __init__(self, setting: Setting) -> None:
        config = replace(setting.config, seed=setting.seed, layers=tuple(range(CELLS)))
        super().__init__(config, Store(None), _no_model, "trained", f"network {setting.seed}")
        self.setting, self.network = setting, MagnitudeNetwork(setting.seed)

    def item_kinds(self, claim: Claim) -> list[int]:
        """Every item is a vector of its own."""
        return [] if claim.renames_digits else [0] * claim.period

    def _read(
        self,
        claim: Claim,
        discovery: list[Prompt],
        confirmation: list[Prompt],
        tick: Callable[[int], None],
        *,
        grid: bool = True,
    ) -> States:
        asked = (
            published_grid(claim.domain) if grid and claim.quantity == "sum" and claim.domain.has_grid else discovery
        )
        means = torch.zeros(CELLS, claim.period, self.network.d_model, dtype=torch.float64)
        label = torch.tensor([prompt.label for prompt in asked])
        means.index_add_(1, label, self._states(claim, asked).double().transpose(0, 1))
        means /= label.bincount(minlength=claim.period).clamp_min(1)[:, None]
        both = self._states(claim, [*discovery, *confirmation])
        cells = tuple(self.cells(claim))
        return States(cells, both[: len(discovery)], both[len(discovery) :], means)

    def _states(self, claim: Claim, prompts: list[Prompt]) -> torch.Tensor:
        states, planted = self.network.states(claim, prompts), self.setting.planted
        says_modulus = "without the modulus" not in claim.domain.name
        if planted is None or not says_modulus or not (planted.everywhere or claim == self.setting.claim):
            return states
        label = torch.tensor([prompt.label for prompt in prompts])
        return plant(states, label, claim.period, planted, self.setting.seed)


def run_trial(setting: Setting) -> Trial:
    """Put one network through the job and note what it was given."""
    claim = setting.claim
    job, asked = (NullJob(setting), claim) if setting.null in ("magnitudes", "names") else _model_job(setting, claim)
    judged = judged_together(job, [asked])[0]
    config = job.config
    kinds = job.item_kinds(asked)
    reason = undecidable(asked, kinds, config.renamings)
    silent = replace(judged, findings=replace(judged.findings, best=replace(judged.best, r2=-1.0, r2_high=-1.0)))
    verdict, _ = judge(asked.quantity, judged, silent, reason)
    return Trial(_noted(judged, asked, job), verdict)


def _noted(judged: Judged, claim: Claim, job: Job) -> dict[str, float]:
    rows = [row for row in judged.findings.rows if row.p_fwer is not None]
    found = {
        f"p_fwer ({kind}s)": min(
            (row.p_fwer for row in rows if row.unit == kind and row.p_fwer is not None), default=None
        )
        for kind in ("plane", "dimension")
    }
    found |= {
        "p_selective": judged.p_selective,
        "p_assignment": judged.p_assignment,
        "p_period": judged.best.p_period,
        "renaming alone (not printed)": judged.p_renaming,
    }
    published = judged.best.published
    if published is not None:
        searched = len(job.cells(claim)) * (64 if isinstance(job, NullJob) else job.loaded.d_model)
        found["class-mean R² against noise"] = white_noise(claim.period, searched).above(published.r2)
    return {name: p for name, p in found.items() if p is not None}


def _model_job(setting: Setting, claim: Claim) -> tuple[Job, Claim]:
    """A job on a language model, and the claim that is put to it."""
    config = replace(setting.config, seed=setting.seed)
    if setting.null == "shuffled":
        return Job(config, Store(None), _reference, "trained", "reference"), _shuffled(claim, setting.seed, config)
    return Job(config, Store(None), lambda: _small_qwen3(setting.seed), "trained", f"qwen3 {setting.seed}"), claim


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


def _reference() -> LoadedModel:
    return load(str(REFERENCE_FOLDER))


def _small_qwen3(seed: int) -> LoadedModel:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    reference = load(str(REFERENCE_FOLDER))
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=len(reference.tokenizer), **SMALL)).eval()
    return wrap(model, reference.tokenizer, name=f"qwen3 {seed}")


def _no_model() -> LoadedModel:
    raise AssertionError("a magnitude network is not loaded")
