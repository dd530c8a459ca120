"""What a deep dive runs: one frozen dataclass, importable without torch so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llm_probe.run.config import ProbeConfig
from toy.run.errors import InputError

EXPERIMENT_NAMES = ("primes", "range", "calendar", "polynomial", "composites")


@dataclass(frozen=True)
class DeepDiveConfig:
    """The published deep-dive experiments with their controls."""

    model: str = "reference"
    """Hub id or local folder of a language model; `reference` is the small model in this repository."""
    experiments: tuple[str, ...] = EXPERIMENT_NAMES
    """Which of primes, range, calendar, polynomial, composites."""
    layers: tuple[int, ...] = ()
    """0-based blocks; none given: the published half depth (14 of 28) and the last one."""
    dims: tuple[int, ...] = ()
    """Dimensions to follow besides the selected ones (published: 35 867 505)."""
    primes: tuple[int, ...] = (7, 11, 13, 17, 19, 23, 29, 31)
    """Moduli of the primes and polynomial experiments."""
    composites: tuple[int, ...] = (10, 12, 24, 60, 100)
    """Moduli of the composites experiment."""
    scanned: tuple[int, int] = (5, 35)
    """First and last modulus of the range scan."""
    selected_at: int = 23
    """The modulus of the range scan whose best dimension is followed."""
    prompts: int = 2000
    """Most prompts a composite's grid may have; of larger ones a sample with equally many of each residue."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """A bfloat16 step can be larger than the signal."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model runs; auto takes CUDA, then MPS, then the CPU."""
    seed: int = 0
    """Samples, splits and the random weights."""
    batch_tokens: int = 8192
    """Tokens a batch at most; halved when memory runs out."""
    out: Path | None = None
    """Results folder; none given: results/deep_dive/<model>."""

    @property
    def folder(self) -> Path:
        """Where results go."""
        return self.out or Path("results") / "deep_dive" / ProbeConfig(model=self.model).folder.name


def checked(config: DeepDiveConfig) -> DeepDiveConfig:
    """The configuration, if it can be run.

    Raises:
        InputError: an unknown experiment, a modulus that has no polynomial or no sample, or a scan without its n.
    """
    for name in config.experiments:
        if name not in EXPERIMENT_NAMES:
            raise InputError(f"unknown experiment {name!r}: choose from {', '.join(EXPERIMENT_NAMES)}")
    first, last = config.scanned
    if not 5 <= first <= config.selected_at <= last <= 90:
        raise InputError(
            f"a scan from {first} to {last} selected at {config.selected_at} cannot be run: give --scanned within 5 "
            "to 90 (operands keep two digits) and --selected-at inside it"
        )
    if smallest := [p for p in (*config.primes, *config.composites) if p < 7]:
        raise InputError(f"modulus {smallest[0]} is too small for halves and cubics: give moduli of 7 or more")
    if short := [n for n in config.composites if config.prompts // n < 4]:
        raise InputError(
            f"{config.prompts} prompts are fewer than four for each residue mod {short[0]}: "
            f"give --prompts {4 * short[0]} or more"
        )
    return config
