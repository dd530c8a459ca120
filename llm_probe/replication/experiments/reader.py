"""One set of weights of a deep dive: its model, made when a cell first needs it, and the cells it fills.

The random-weights twin is a reader of its own, made after the trained model was let go: two may not fit in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.models.loading import LoadedModel, check_layers, twin, weights_fingerprint
from llm_probe.questions.prompts import Prompt
from llm_probe.replication.experiments.class_means import prompt_rows
from llm_probe.replication.experiments.settings import DeepDiveConfig
from llm_probe.run.table import Weights
from toy.run.cells import Cells, key_of
from toy.run.errors import InputError

Frame = Any
"""A pandas DataFrame: its type stubs call what most of its methods return a union of everything."""


class Reader:
    """Reads prompts under one set of weights."""

    def __init__(
        self,
        config: DeepDiveConfig,
        cells: Cells,
        make: Callable[[], LoadedModel],
        like: Reader | None = None,
        on_cell: Callable[[Weights, str], None] = lambda weights, name: None,
    ) -> None:
        """`like` is the reader of the trained weights, for its twin: cells are filed under the trained model.

        Raises:
            InputError: an encoder, or a layer that does not exist.
        """
        self.config, self.cells, self.make, self.on_cell = config, cells, make, on_cell
        self.weights: Weights = "random" if like else "trained"
        if like:
            self.layers, self.d_model, self.fingerprint = like.layers, like.d_model, like.fingerprint
            return
        if self.loaded.is_encoder:
            raise InputError(
                f"{self.loaded.name} is an encoder, which answers no question: the deep dive needs a language model"
            )
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
        make = twin(self.loaded, self.config.seed + 1)
        del self.loaded
        return Reader(self.config, self.cells, make, self, self.on_cell)

    def cell(self, name: str, make: Callable[[], dict[str, Any]], **also: Any) -> dict[str, Any]:
        """A finished piece by its name and by what else its numbers depend on, computed if it is not on disk."""
        key = key_of(
            {"name": name, "weights": self.weights, "layers": self.layers, "model": self.fingerprint}
            | {"seed": self.config.seed, "dtype": self.config.dtype}
            | also
        )
        self.on_cell(self.weights, name)
        return self.cells.get(key, make)

    def rows(self, prompts: Sequence[Prompt]) -> Float[Tensor, "prompts layers d"]:
        """The last token of every prompt at every layer."""
        return prompt_rows(self.loaded, prompts, self.layers, batch_tokens=self.config.batch_tokens).to(torch.float64)
