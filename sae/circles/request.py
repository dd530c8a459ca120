"""What a probe of sparse features runs on: a frozen dataclass, importable without torch: `--help` is instant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from llm_probe.run.config import ProbeConfig


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
    """Of the model's weights."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model runs."""
    weights_seed: int = 0
    """What the random weights were drawn with (train_sae.py)."""
    domains: tuple[str, ...] = ("days", "mod")
    """As in probe_llm.py; a toy is asked about its own task."""
    moduli: tuple[int, ...] = (7, 12, 23)
    """Moduli of the `mod` domains."""
    prompts: int = 1000
    """Discovery questions a claim; confirmation takes half as many."""
    renamings: int = 499
    """Renamings of the null; the smallest p is 1 / (renamings + 1)."""
    seed: int = 0
    """Prompts, renamings and bootstraps."""
    out: Path = Path("results/reference/sae")
    """Results folder."""

    @property
    def asked(self) -> ProbeConfig:
        """The claims' side of it, as the main probe is asked."""
        default = ProbeConfig()
        from llm_probe.models.hub import is_toy

        own = is_toy(self.model)
        return ProbeConfig(
            model=self.model,
            dtype=self.dtype,
            device=self.device,
            domains=default.domains if own else self.domains,
            moduli=default.moduli if own else self.moduli,
            prompts=self.prompts,
            renamings=self.renamings,
            seed=self.seed,
        )

    def numbers(self) -> dict[str, Any]:
        """Everything that can change a number, for the names of cells."""
        left_out = ("saes", "random", "out", "device")
        return {name: value for name, value in asdict(self).items() if name not in left_out}
