"""What is trained, and what is probed: two frozen dataclasses, importable without torch so that `--help` is instant.

SaeConfig      which sparse autoencoders are trained, on which states          scripts/train_sae.py
FeatureProbe   which of them are searched for circles, by which questions      scripts/probe_sae.py
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from llm_probe.run.config import DEFAULT_DOMAINS, DEFAULT_MODULI, ProbeConfig
from llm_probe.run.vocabulary import Site
from toy.run.errors import InputError
from toy.run.limits import check_counts

Architecture = Literal["topk", "batchtopk", "matryoshka", "jumprelu", "standard"]

TOKENS_PER_LATENT = 200
"""Fewer states a latent than this leave it untrained: with 1,024 latents on the reference model's second block, 50,
100, 200, 500 and 1,000 of them leave 14, 10, 8, 7 and 6 % of the variance unexplained and 5, 2, 0.4, 0.1, 0 % dead."""


@dataclass(frozen=True)
class SaeConfig:
    """Train sparse autoencoders on the blocks of a language model, or of a toy."""

    model: str = "reference"
    """Hub id, local folder, `reference` (the small model in this repository), or the run directory of a toy."""
    revision: str | None = None
    """Branch, tag or commit of the model on the hub."""
    weights: Literal["trained", "random"] = "trained"
    """`random`: the same architecture with weights that were never trained, the baseline of every result."""
    weights_seed: int = 0
    """Seed of the random weights."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the model's weights; the SAE is always float32."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where model and SAE run; auto takes CUDA, then MPS, then the CPU."""
    layers: tuple[int, ...] = ()
    """0-based blocks; none given: all of them, from one forward."""
    site: tuple[Site, ...] = ("resid_post",)
    """Outputs of a block whose states are encoded."""
    seeds: tuple[int, ...] = (0,)
    """One SAE for each seed, layer and site; seeds differ in the first weights and see the same states in order."""
    architecture: Architecture = "topk"
    """`topk` keeps k latents a state, `batchtopk` and `matryoshka` k on average; `sparsity` rules the others."""
    width: int = 1024
    """Number of latents."""
    k: int = 32
    """Latents that may be active at once (topk, batchtopk, matryoshka)."""
    sparsity: float = 1.0
    """Weight of the sparsity loss (standard: of L1; jumprelu: of L0)."""
    tokens: int = 2_000_000
    """States that each SAE is trained on."""
    undertrained: bool = False
    """Train although there are too few tokens for the width."""
    batch: int = 1024
    """States in one training step."""
    learning_rate: float = 3e-3
    """Learning rate of Adam; it rises over the first twentieth of the steps and falls to 0 over the last fifth."""
    text: Path | None = None
    """A text file whose documents are separated by empty lines; none given: the help topics of Python."""
    dataset: str | None = None
    """A data set of the hub (or a folder) with a `text` column, streamed, instead of a text file."""
    task_share: float | None = None
    """Share of the states that come from task prompts. None given: 0.05; for the reference model 0.75, about the share
    in its own training; for a toy, which knows nothing else, 1."""
    domains: tuple[str, ...] = DEFAULT_DOMAINS
    """Domains whose task prompts are trained on: those that the probe asks about."""
    moduli: tuple[int, ...] = DEFAULT_MODULI
    """Moduli of the `mod` domains."""
    context: int = 64
    """Tokens in a window of text."""
    buffer_tokens: int = 65_536
    """States of a layer that are in memory and shuffled together: 4 d_model bytes each."""
    largest_norm: float = 10.0
    """States longer than this many times the median are left out and counted; 0 keeps all."""
    batch_tokens: int = 8192
    """Most tokens in one forward pass."""
    held_out_tokens: int = 32_768
    """States of text, and as many of task prompts, that an SAE is measured by: of documents and operand pairs that it
    was not trained on; fewer where there are fewer."""
    data_seed: int = 0
    """Seed of which windows and prompts are drawn, and in which order."""
    trust_remote_code: bool = False
    """Run code that comes with the model. Only for models whose code you have read."""
    out: Path | None = None
    """Folder for the SAEs; none given: work/sae/<model>, with -random behind it for random weights."""

    @property
    def folder(self) -> Path:
        """Where the SAEs are written, each in <layer>.<site>/seed<k>."""
        name = Path(self.model).name if Path(self.model).exists() else self.model.replace("/", "--")
        return self.out or Path("work/sae") / (name + ("-random" if self.weights == "random" else ""))

    @property
    def steps(self) -> int:
        """Training steps of each SAE."""
        return self.tokens // self.batch

    def hash(self, **also: object) -> str:
        """A short name for everything that can change an SAE; layers and seeds trained beside it cannot."""
        left_out = ("out", "batch_tokens", "layers", "site", "seeds", "undertrained", "device")
        content = {key: value for key, value in asdict(self).items() if key not in left_out} | also
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]


def check(config: SaeConfig) -> None:
    """Refuse impossible settings before anything is loaded.

    Raises:
        InputError: a setting is impossible, or too few tokens are given for the width.
    """
    check_counts(config, "seeds", "site", "batch_tokens")
    if config.width < 2:
        raise InputError(f"an SAE of width {config.width} has no features: give --width 2 or more")
    if config.architecture in ("topk", "batchtopk", "matryoshka") and not 1 <= config.k < config.width:
        raise InputError(f"k = {config.k} of {config.width} latents cannot be: give --k from 1 to {config.width - 1}")
    if not 1 <= config.batch <= config.buffer_tokens:
        raise InputError(
            f"a batch of {config.batch} states does not come from a buffer of {config.buffer_tokens}: "
            "give --batch 1 or more, --buffer-tokens at least as many"
        )
    if config.task_share is not None and not 0 <= config.task_share <= 1:
        raise InputError(f"--task-share {config.task_share} is no share: give a number from 0 to 1")
    if config.largest_norm != 0 and config.largest_norm < 1:
        raise InputError(f"--largest-norm {config.largest_norm} would leave out the median: give 1 or more, or 0")
    if config.text and config.dataset:
        raise InputError("--text and --dataset exclude each other: give one")
    for name in ("context", "held_out_tokens", "learning_rate", "tokens"):
        if getattr(config, name) <= 0:
            raise InputError(f"--{name.replace('_', '-')} {getattr(config, name)} cannot be: give a positive number")
    needed = TOKENS_PER_LATENT * config.width
    if config.tokens < needed and not config.undertrained:
        raise InputError(
            f"{config.tokens} tokens are too few for {config.width} latents: give --tokens {needed} or more, a smaller "
            "--width, or --undertrained to train all the same and find many latents dead and the fit poor"
        )
    if config.steps < 1:
        raise InputError(f"{config.tokens} tokens are less than one batch of {config.batch}: give a smaller --batch")


@dataclass(frozen=True)
class FeatureProbe:
    """Find latents, and groups of latents, that lie on circles."""

    saes: tyro.conf.Positional[tuple[str, ...]]
    """Folders of sparse autoencoders (searched below them) or `<release>/<id>` of SAELens' registry."""
    random: tuple[str, ...] = ()
    """The same, trained on the model with random weights: what features of nothing look like."""
    model: str = "reference"
    """The model they were trained on: hub id, folder, `reference`, or a toy's run directory."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the model's weights."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model runs."""
    weights_seed: int = 0
    """Seed of the random weights, as it was given to train_sae.py."""
    domains: tuple[str, ...] = ("days", "mod")
    """Domains as in probe_llm.py; a toy is asked about its own task."""
    moduli: tuple[int, ...] = (7, 12, 23)
    """Moduli of the `mod` domains."""
    prompts: int = 1000
    """Discovery questions of each hypothesis; confirmation takes half as many."""
    renamings: int = 499
    """Renamings in the null; the smallest p is 1 / (renamings + 1)."""
    seed: int = 0
    """Seed of prompts, renamings and bootstraps."""
    out: Path = Path("results/reference/sae")
    """Results folder."""

    @property
    def probe_config(self) -> ProbeConfig:
        """The configuration of the main probe that asks the same questions."""
        from llm_probe.models.hub import is_toy

        own_questions = {} if is_toy(self.model) else {"domains": self.domains, "moduli": self.moduli}
        shared = ("model", "dtype", "device", "prompts", "renamings", "seed")
        return ProbeConfig(**own_questions, **{name: getattr(self, name) for name in shared})

    def numbers(self) -> dict[str, Any]:
        """Everything that can change a number, for the names of cached results."""
        left_out = ("saes", "random", "out", "device")
        return {name: value for name, value in asdict(self).items() if name not in left_out}
