"""What a deep dive runs and how it reads a model: its configuration, and one reader for each set of weights.

Importable without torch, so that `--help` is instant. A `Reader` loads its model when a cell first needs it, and fills
cells that the next run finds on disk. The reader of the random-weights twin is made after the trained model was let
go: two may not fit in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from llm_probe.run.config import ProbeConfig
from llm_probe.run.vocabulary import Weights
from toy.run.cells import key_of
from toy.run.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from llm_probe.models.loading import LoadedModel
    from llm_probe.questions.prompts import Prompt
    from llm_probe.replication.experiments.grids import Grid
    from llm_probe.run.study import Rows, Session

Frame = Any
"""A pandas DataFrame: its type stubs call what most of its methods return a union of everything."""
KEYS = ["layer", "weights"]
"""Columns that a summary has one row for."""

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


class Reader:
    """Reads prompts under one set of weights, and keeps what is made of them in the cells of a session."""

    def __init__(
        self, config: DeepDiveConfig, session: Session, make: Callable[[], LoadedModel], trained: Reader | None = None
    ) -> None:
        """`trained` is the reader of the trained weights, for its twin: cells are filed under the trained model.

        Raises:
            InputError: an encoder, or a layer that does not exist.
        """
        from llm_probe.models.loading import check_layers, weights_fingerprint

        self.config, self.session, self.make = config, session, make
        self.weights: Weights = "random" if trained else "trained"
        self.on_cell: Callable[[str], None] = lambda name: None
        """Is told the name of every cell before it is read or computed."""
        if trained:
            self.layers, self.d_model, self.fingerprint = trained.layers, trained.d_model, trained.fingerprint
            return
        if self.loaded.mute:
            raise InputError(f"{self.loaded.mute}: the deep dive needs a language model that answers questions")
        check_layers(self.loaded, config.layers)
        depth = len(self.loaded.layers)
        self.layers: tuple[int, ...] = tuple(dict.fromkeys(config.layers)) or tuple(sorted({depth // 2, depth - 1}))
        self.d_model: int = self.loaded.d_model
        self.fingerprint: str = weights_fingerprint(self.loaded.model)
        if wrong := [dim for dim in config.dims if not 0 <= dim < self.d_model]:
            raise InputError(f"dimension {wrong[0]} does not exist: {self.loaded.name} is {self.d_model} wide")

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model, made when it is first needed."""
        return self.make()

    def untrained(self) -> Reader:
        """The reader of the random-weights twin; this one lets its model go."""
        from llm_probe.models.loading import twin

        make = twin(self.loaded, self.config.seed + 1)
        del self.loaded
        return Reader(self.config, self.session, make, self)

    def rows(self, name: str, make: Callable[[], Rows], **settings: Any) -> Rows:
        """The rows of a cell by its name and by what else its numbers depend on, computed if it is not on disk."""
        return self.session.rows(self._key(name, settings), make)

    def cell(self, name: str, make: Callable[[], dict[str, Any]], **settings: Any) -> dict[str, Any]:
        """The same for what is no row yet."""
        return self.session.cells.get(self._key(name, settings), make)

    def _key(self, name: str, settings: dict[str, Any]) -> str:
        self.on_cell(name)
        place = {"name": name, "weights": self.weights, "layers": self.layers, "model": self.fingerprint}
        return key_of({**place, "seed": self.config.seed, "dtype": self.config.dtype, **settings})

    def states(self, prompts: Sequence[Prompt]) -> Tensor:
        """The last token of every prompt at every layer: (prompts, layers, d), float64."""
        from llm_probe.replication.experiments.grids import prompt_rows

        return prompt_rows(self.loaded, prompts, self.layers, batch_tokens=self.config.batch_tokens).double()

    def class_means(self, grid: Grid) -> Tensor:
        """Class means of a grid at every layer: (layers, n, d), float64."""
        from llm_probe.replication.experiments.grids import class_means

        return class_means(self.loaded, grid, self.layers, batch_tokens=self.config.batch_tokens)
