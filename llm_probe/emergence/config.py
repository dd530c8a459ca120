"""What a series probes: the options of a run, and checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from llm_probe.run.config import ProbeConfig


@dataclass(frozen=True, kw_only=True)
class SeriesConfig(ProbeConfig):
    """A model at several steps of its training."""

    checkpoints: tuple[str, ...] = ()
    """Steps of its training instead of the model as it is: revisions on the hub (`step1000 step8000`), or folders
    inside the model's folder (`checkpoint-*`). Each name holds the number of its step."""
    causal: bool = False
    """With checkpoints: at each of them also move the answers of sums along their circles, beside as many trained
    directions, and ask which algorithm adds (some ten seconds a sum and checkpoint of a small model)."""
    tokens_a_step: int | None = None
    """Tokens that the training saw in each step, where the checkpoints do not say how many they have seen."""

    @property
    def series_folder(self) -> Path:
        """Where a series goes: beside the tables of the model that the training ended with."""
        return self.folder / "checkpoints"

    def at(self, model: str, revision: str | None) -> ProbeConfig:
        """The configuration of one checkpoint, or of anything else of the same questions."""
        own = {field.name: getattr(self, field.name) for field in fields(ProbeConfig)}
        return ProbeConfig(**{**own, "model": model, "revision": revision})
