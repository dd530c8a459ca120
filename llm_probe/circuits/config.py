"""What a run asks: one frozen dataclass, importable without torch so that `--help` is instant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from llm_probe.run.config import ProbeConfig

ITEMS = (
    "days", "months", "hours", "hours24", "alphabet", "compass", "notes", "zodiac",
    "numbers", "planets", "sizes", "grades",
)  # fmt: skip


@dataclass(frozen=True)
class CircuitsConfig:
    """Attention, logit lens, analogies, embeddings and the number helix of a language model."""

    model: str = "reference"
    """Hub id, local folder, `reference`, or a toy's run directory (embeddings and helix only)."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Numbers of the weights."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model runs."""
    domains: tuple[str, ...] = ("mod", "days", "months", "hours")
    """Questions for attention and logit lens, as in probe_llm.py."""
    moduli: tuple[int, ...] = (7, 12, 23)
    """Moduli of `mod`."""
    items: tuple[str, ...] = ITEMS
    """Domains whose items are compared (analogies, embeddings)."""
    prompts: int = 300
    """Questions a domain."""
    numbers: int = 100
    """The helix is fitted to the integers 0 … numbers - 1, at most 1,000."""
    periods: tuple[float, ...] = (2.0, 5.0, 10.0, 100.0)
    """Periods of the helix (Kantamneni & Tegmark 2025: 2, 5, 10, 100)."""
    renamings: int = 499
    """Draws of every null; the smallest p is 1 / (renamings + 1)."""
    seed: int = 0
    """Prompts, nulls, bootstrap; the random weights are drawn with seed + 1."""
    trust_remote_code: bool = False
    """Run code that comes with the model. Only for models whose code you have read."""
    out: Path | None = None
    """Results folder; none given: results/<model>/circuits."""

    @property
    def probed(self) -> ProbeConfig:
        """The same model as the main probe is asked about it."""
        return ProbeConfig(
            model=self.model,
            revision=self.revision,
            dtype=self.dtype,
            device=self.device,
            domains=self.domains,
            moduli=self.moduli,
            prompts=self.prompts,
            renamings=self.renamings,
            seed=self.seed,
            trust_remote_code=self.trust_remote_code,
            out=self.out,
        )

    @property
    def folder(self) -> Path:
        """Where results go."""
        return self.out or self.probed.folder / "circuits"

    def decides(self) -> dict[str, object]:
        """Everything that can change a number, for the names of cells."""
        return {name: value for name, value in asdict(self).items() if name not in ("out", "device")}
