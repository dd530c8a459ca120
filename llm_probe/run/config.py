"""What a run probes: one frozen dataclass, importable without torch so that `--help` is instant."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from llm_probe.run.vocabulary import Position, Site, Weights

DEFAULT_DOMAINS = (
    "mod", "days", "months", "hours", "hours24", "alphabet", "compass", "notes", "zodiac", "seasons",
    "numbers", "planets", "sizes", "grades",
)  # fmt: skip
DEFAULT_MODULI = (7, 11, 12, 13, 17, 19, 23, 24)


def folder_name(model: str) -> str:
    """What a model's results folder is called: as its folder or file, or the hub id with its slash as two dashes."""
    path = Path(model)
    return path.stem if path.is_file() else path.name if path.exists() else model.replace("/", "--")


@dataclass(frozen=True)
class ProbeConfig:
    """Probe a language model for quantities that lie on a circle."""

    model: str = "reference"
    """Hub id, local folder or GGUF file (on the hub: owner/name:file.gguf); `reference` is the small model in this
    repository. The run directory (or a checkpoint file) of a toy is probed on the toy's own task."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    weights: Weights = "trained"
    """`random`: the model's architecture with weights that were never trained, drawn from the seed. Whatever is read of
    them is what the statistics say of nothing."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Discovery belongs in float32: a bfloat16 step can be larger than the signal."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model runs; auto takes CUDA, then MPS, then the CPU."""
    domains: tuple[str, ...] = DEFAULT_DOMAINS
    """`mod` (`mod-add`, `mod-sub`, `mod-mul`), days, months, hours, …: an unknown name lists them all."""
    moduli: tuple[int, ...] = DEFAULT_MODULI
    """Moduli of the `mod` domains, 5 or more."""
    layers: tuple[int, ...] = ()
    """0-based blocks; none given: all of them. The token embedding is read beside them, where items stand."""
    site: tuple[Site, ...] = ("resid_post",)
    """Which output of a block."""
    position: tuple[Position, ...] = ()
    """Which token; none given: `last` for questions, `item` for statements."""
    templates: Literal["published", "all"] = "all"
    """`published`: of the questions, each domain's first template only; statements have no published one."""
    domain_file: tuple[Path, ...] = ()
    """YAML files that describe domains of your own; they are probed as well."""
    prompt_file: tuple[Path, ...] = ()
    """CSV, JSONL or Parquet files with `prompt`, `label`, `period` and, if wanted, `position` text."""
    prompts: int = 1000
    """Discovery questions a claim; confirmation takes half as many."""
    renamings: int = 1999
    """Renamings of the null at most, all of them where the first 99, then 499, leave a chance; the smallest p is
    1 / (renamings + 1)."""
    random_control: bool = True
    """The same pass over the same architecture with random weights."""
    blocks_control: bool = True
    """Random blocks behind the trained embeddings: a third pass."""
    behaviour: bool = True
    """Ask the model for the answers too."""
    behaviour_prompts: int = 60
    """Questions asked a domain, part and grid."""
    shots: tuple[int, ...] = (0,)
    """Worked examples before the questions whose answers are asked for, beside the questions without any; several: once
    with each. What is read for the statistics has none."""
    chat: bool = False
    """Wrap each prompt in the tokenizer's chat template, thinking off."""
    seed: int = 0
    """Prompts, renamings, bootstrap and random weights."""
    batch_tokens: int = 8192
    """Tokens a batch at most; halved when memory runs out."""
    trust_remote_code: bool = False
    """Run code that comes with the model. Only for models whose code you have read."""
    out: Path | None = None
    """Results folder; none given: results/<model>, or results/<model>-random."""

    @property
    def folder(self) -> Path:
        """Where results go: `out`, or results/<model> with the slash of a hub id doubled to a dash."""
        name = folder_name(self.model)
        return self.out or Path("results") / (f"{name}-random" if self.weights == "random" else name)

    def hash(self, **also: object) -> str:
        """A short name for everything that can change a number; where results go is not part of it."""
        content = {key: value for key, value in asdict(self).items() if key not in ("out", "batch_tokens")} | also
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]
