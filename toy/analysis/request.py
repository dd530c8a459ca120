"""What to look at and how: the one record behind scripts/analyze_toy.py, importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """One network to examine."""

    path: Path
    """A run directory, or a checkpoint: ours, or of a published layout."""
    out: Path | None = None
    """Where the results go; by default the run directory, or <stem>-analysis beside a checkpoint."""
    task: str | None = None
    """What a checkpoint that does not say it was trained on: add, subtract, multiply, …; add if nothing is given."""
    split_seed: int | None = None
    """Seed of the training rows, in place of the one in the file."""
    train_frac: float | None = None
    """Share of the rows that were trained on, in place of the one in the file."""
    step: int | None = None
    """Which checkpoint of a run directory to analyse; by default the last."""
    steps: tuple[int, ...] = ()
    """Which checkpoints of a run directory the progress table and the film show; by default all."""
    film: bool = True
    """Whether to make the film."""
    seed: int = 0
    """Of the controls and of the untrained network."""

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.out or (self.path if self.path.is_dir() else self.path.parent / f"{self.path.stem}-analysis")
