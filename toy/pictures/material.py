"""What the pictures of a network are drawn from, gathered once.

A `Picture` is a figure with the sentences that belong to it, or the sentences alone where a family does not apply:
an MLP has no attention, a single file no history. Both are computed from the material, never canned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from toy.analysis import spectra
from toy.analysis.readout import Readout, read_out
from toy.config import ToyConfig
from toy.maths import fourier
from toy.networks.model import Toy, build_untrained
from toy.networks.scores import TableScores
from toy.networks.tasks import Task, named


@dataclass(frozen=True)
class Picture:
    """One family of figures for one network."""

    figure: Figure | None
    said: str
    """One or two sentences with the measured numbers; why there is no figure, where there is none."""


@dataclass(frozen=True)
class Material:
    """A network, what was measured on it, and the same architecture untrained."""

    config: ToyConfig
    step: int | None
    """Of the checkpoint; None where the file does not say it."""
    analysis: dict[str, Any]
    """`toy.analysis.measurements.analyse`."""
    readout: Readout
    untrained: Readout
    table: TableScores
    metrics: Sequence[dict[str, Any]] = ()
    """Lines of metrics.jsonl; empty for a single checkpoint."""
    progress: Sequence[dict[str, Any]] = ()
    """`toy.analysis.progress.progress`: one row a checkpoint; empty for a single checkpoint."""

    @property
    def n(self) -> int:
        """Positions on the circle."""
        return self.readout.size

    @property
    def task(self) -> Task:
        return named(self.config.task)

    @property
    def keys(self) -> list[int]:
        """Key frequencies by the neuron rule, strongest first."""
        return list(self.analysis["key_frequencies_neurons"])

    @property
    def shown(self) -> list[int]:
        """The keys; where there is none, the three frequencies strongest in the embedding."""
        shares: list[float] = self.analysis["spectra"]["embedding"]
        return self.keys or sorted(range(1, len(shares) + 1), key=lambda k: -shares[k - 1])[:3]

    @property
    def place(self) -> str:
        """What an axis along the circle counts."""
        return "position on the circle" if self.task.group == "multiplicative" else "number"

    @cached_property
    def neuron_shares(self) -> Float[Tensor, "k m"]:
        """Share of each neuron's variance at each frequency."""
        return spectra.grid_shares(self.readout.neurons)

    @cached_property
    def untrained_neuron_shares(self) -> Float[Tensor, "k m"]:
        """The same before training."""
        return spectra.grid_shares(self.untrained.neurons)


def gather(
    model: Toy,
    config: ToyConfig,
    analysis: dict[str, Any],
    step: int | None = None,
    metrics: Sequence[dict[str, Any]] = (),
    progress: Sequence[dict[str, Any]] = (),
) -> Material:
    """Read the network and an untrained one of its shape off on the whole grid."""
    return Material(
        config=config,
        step=step,
        analysis=analysis,
        readout=read_out(model, config),
        # The network that the numbers under `untrained` were measured on.
        untrained=read_out(build_untrained(config, analysis["seed"])[0], config),
        table=TableScores.of(model, config),
        metrics=metrics,
        progress=progress,
    )


def strongest_sum(shares: Sequence[float], count: int) -> float:
    """What the `count` largest shares hold together: the same choice as keys had, for an untrained network."""
    return sum(sorted(shares, reverse=True)[:count], start=0.0)


def rebuilt_logits(readout: Readout, coefficients: Sequence[float], keys: Sequence[int]) -> Float[Tensor, "rows n"]:
    """Σ_k β_k cos w_k(s - c) for every question whose answer s is on the circle, in the order of the grid."""
    n = readout.size
    cosines = torch.zeros(n, dtype=torch.float64)
    for k in keys:
        cosines += coefficients[k - 1] * fourier.angles(torch.arange(n), k, n).cos()
    answer = readout.answer[readout.answer >= 0]
    return cosines[(answer[:, None] - torch.arange(n)) % n]


def centred_logits(readout: Readout) -> Float[Tensor, "rows n"]:
    """The logits of those questions, each row around its mean, which is nothing to the softmax."""
    logits = readout.logits[readout.answer >= 0].double()
    return logits - logits.mean(dim=1, keepdim=True)
