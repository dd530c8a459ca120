"""The bars of the toy: circles removed and turned, each beside controls, and the answers that follow.

    remove         h - Q Qᵀ(h - μ)               accuracy falls to chance if the circle is used
    turn by j      h + Q (R_j - I) Qᵀ(h - μ)     the answer moves by j if the circle is all that is used

    keys                    the planes of the key frequencies
    keys, oblique           h + A (R_j - I) Wᵀ(h - μ), Wᵀ A = I: exact where circles are ellipses or not orthogonal
    random                  as many random planes
    random, equal norm      the keys' own change of every state, written along random planes
    random, equal variance  random planes beside the keys that hold as much variance (`controls.matched`); where a site
                            holds no such variance their change is multiplied (`gain`) until it is as long
    other frequencies       planes of as many frequencies p/k that are no key: wrong periods
    shuffled labels         planes of the key frequencies fitted to labels that changed places
    equal norm, of a turn   every state's change has the length of the keys' change

Removing planes that were fitted to shuffled labels can destroy the answer too: where a site is nearly all circles, any
fitted plane lies among them. Only the turn tells them apart: it says *where* the answer must go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from causal.algorithms.toys import Network, ToySite, halves, planes_of, sample, sites
from causal.controls.random_controls import matched
from causal.interventions.directions import Planes, regression_pattern
from causal.interventions.edits import mean
from llm_probe.statistics.patterns import displace, nearest_orthonormal, random_basis, rotate, rotation, targets_of
from toy.analysis.readout import grid
from toy.maths import fourier
from toy.networks.scores import trained_on
from toy.pictures.style import colour_bar, heat, new_figure
from toy.run.errors import InputError

REMOVALS = ("keys", "random", "random, equal norm", "random, equal variance", "other frequencies", "shuffled labels")
TURNS = ("keys", "keys, oblique", "random, equal norm", "other frequencies, equal norm", "shuffled labels, equal norm")
FITTED_ON = 4000
"""Questions at most on which planes are fitted."""


@dataclass(frozen=True)
class Bench:
    """One site of one network, its keys' planes, and the questions on which they are tested."""

    network: str
    site: ToySite
    keys: Planes
    fitted_on: Int[Tensor, " fitted"]
    rows: Int[Tensor, " rows"]

    @staticmethod
    def all_of(network: Network, *, questions: int, seed: int) -> list[Bench]:
        """Every site of a network.

        Raises:
            InputError: the task is no circle of two operands, or no question is left to test.
        """
        benches = []
        for site in sites(network.model, network.config).values():
            # Far from the seeds of training splits, which are drawn in the same way.
            generator = torch.Generator().manual_seed(2_000_003 + seed)
            fitting = halves(site, generator)
            tested = ~fitting
            if network.memorised:
                tested &= trained_on(network.config, grid(network.config.task, network.config.modulus))
            fitted_on = torch.arange(len(fitting)) if network.exact else sample(fitting, FITTED_ON, generator)
            rows = sample(tested, questions, generator)
            if not len(rows):
                raise InputError(f"{network.name} leaves no question to test: give 1 or more --questions")
            benches.append(Bench(network.name, site, planes_of(site, fitted_on, network.frequencies), fitted_on, rows))
        return benches

    @cached_property
    def states(self) -> Float[Tensor, "rows d"]:
        """Of the tested questions, untouched."""
        return self.site.states[self.rows]

    @property
    def free(self) -> list[int]:
        """Frequencies of whole planes that are no key."""
        period = self.site.period
        return [k for k in fourier.frequencies(period) if k not in self.keys.frequencies and 2 * k != period]

    def possible(self, conditions: Sequence[str]) -> list[str]:
        """Those of which there are enough planes: a control of another size would be none."""
        enough = len(self.free) >= len(self.keys.frequencies)
        return [what for what in conditions if enough or not what.startswith("other")]

    def removals(self, what: str, draws: int, generator: torch.Generator) -> Iterator[tuple[Tensor, float]]:
        """For each draw the states (rows, d) without what is removed, and the gain of its change; the keys once."""
        keys, states = self.keys, self.states
        basis = keys.basis
        if what == "random, equal variance":
            for random in matched(basis, keys.covariance, draws, generator):
                yield states + random.gain * (mean(states, random.basis, keys.mean) - states), random.gain
        for _ in range({"keys": 1, "random, equal variance": 0}.get(what, draws)):
            if what == "random, equal norm":
                along = random_basis(basis, generator)
                yield displace(states, basis, keys.mean, -torch.eye(basis.shape[1], dtype=torch.float64), along), 1.0
                continue
            if what == "random":
                basis = random_basis(keys.basis, generator)
            elif what != "keys":
                basis = self._wrong(what, generator)[0]
            yield mean(states, basis, keys.mean), 1.0

    def turned(self, what: str, step: int, generator: torch.Generator) -> Float[Tensor, "rows d"]:
        """The states after what is turned was turned by `step`."""
        keys, states = self.keys, self.states
        turn = rotation(keys.frequencies, self.site.period, step)
        if what == "keys, oblique":
            return rotate(states, keys.reader, keys.mean, turn, keys.writer)
        if what == "random, equal norm":
            return rotate(states, keys.basis, keys.mean, turn, random_basis(keys.basis, generator))
        new = rotate(states, keys.basis, keys.mean, turn, keys.basis)
        if what == "keys":
            return new
        basis, frequencies = self._wrong(what, generator)
        wrong = rotate(states, basis, keys.mean, rotation(frequencies, self.site.period, step), basis) - states
        return states + ((new - states).norm(dim=1) / wrong.norm(dim=1).clamp_min(1e-300))[:, None] * wrong

    def _wrong(self, what: str, generator: torch.Generator) -> tuple[Float[Tensor, "d m"], tuple[int, ...]]:
        """Planes of other frequencies, or of labels that changed places."""
        keys, period = self.keys.frequencies, self.site.period
        labels, states = self.site.labels[self.fitted_on], self.site.states[self.fitted_on]
        if what.startswith("other"):
            order = torch.randperm(len(self.free), generator=generator)[: len(keys)]
            chosen = tuple(self.free[i] for i in order.tolist())
            targets, beside = targets_of(labels, chosen, period), targets_of(labels, keys, period)
            return nearest_orthonormal(regression_pattern(states, targets, beside)), chosen
        mixed = torch.randperm(period, generator=generator)[labels]
        return nearest_orthonormal(regression_pattern(states, targets_of(mixed, keys, period))), keys


def removal_rows(bench: Bench, draws: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row a condition: accuracy before and after, over the draws."""
    site, rows = bench.site, bench.rows
    scale = float(bench.keys.covariance.trace()) ** 0.5
    for what in bench.possible(REMOVALS):
        generator = torch.Generator().manual_seed(seed)
        accuracy, length, gains = [], [], []
        for states, gain in bench.removals(what, draws, generator):
            accuracy.append(site.accuracy(rows, states))
            length.append(float((states - bench.states).square().sum(dim=1).mean().sqrt()) / scale)
            gains.append(gain)
        yield {
            "network": bench.network,
            "site": site.name,
            "removed": what,
            "frequencies": " ".join(map(str, bench.keys.frequencies)),
            "length": sum(length) / len(length),
            "gain": sum(gains) / len(gains),
            "draws": len(accuracy),
            "n_questions": len(rows),
            "accuracy_before": site.accuracy(rows, bench.states),
            "accuracy": sum(accuracy) / len(accuracy),
            "accuracy_least": min(accuracy),
            "accuracy_most": max(accuracy),
            "chance": 1 / site.period,
        }


def histograms(bench: Bench, what: str, seed: int) -> Float[np.ndarray, "steps p"]:
    """Row j - 1: the shares of (answer - s) mod p after a turn by j, j = 1 … p - 1; controls are new for each j."""
    site, period = bench.site, bench.site.period
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for step in range(1, period):
        answers = site.answered(bench.rows, bench.turned(what, step, generator))
        moved = (answers - site.answers[bench.rows]) % period
        rows.append(torch.bincount(moved, minlength=period).numpy() / len(moved))
    return np.stack(rows)


def turning_rows(bench: Bench, what: str, shares: Float[np.ndarray, "steps p"]) -> Iterator[dict[str, Any]]:
    """One row a step: the share of the answers that moved by j, and of those that stayed."""
    for step, row in enumerate(shares, start=1):
        yield {
            "network": bench.network,
            "site": bench.site.name,
            "turned": what,
            "step": step,
            "n_questions": len(bench.rows),
            "moved": row[step],
            "stayed": row[0],
            "chance": 1 / bench.site.period,
        }


def summary(ablation: pd.DataFrame, rotation: pd.DataFrame) -> pd.DataFrame:
    """One row a site: accuracy without the keys and without as much at random, P(s + j) at its worst step."""
    sites = ["network", "site"]
    keys = ablation[ablation.removed == "keys"].set_index(sites)
    alike = ablation[ablation.removed.str.startswith("random")].groupby(sites, sort=False).accuracy.min()
    moved = rotation.groupby([*sites, "turned"], sort=False).moved
    average = moved.mean().unstack()
    return pd.DataFrame(
        {
            "accuracy": keys.accuracy_before,
            "without keys": keys.accuracy,
            "chance": keys.chance,
            "without random, worst kind": alike,
            "P(s + j), worst j": moved.min().unstack()["keys"],
            "mean over j": average["keys"],
            "worst j, oblique": moved.min().unstack()["keys, oblique"],
            "worst control": average.drop(columns=["keys", "keys, oblique"]).max(axis=1),
        }
    ).loc[keys.index]


def draw(title: str, panels: Sequence[tuple[str, Float[np.ndarray, "steps p"]]]) -> Figure:
    """Histograms of the answers that turn with j, one panel each: what follows the turn lies on the diagonal."""
    figure = new_figure(3.4, title)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    image = None
    for panel, (name, shares) in zip(axes, panels, strict=True):
        image = heat(
            panel,
            shares,
            "(answer − s) mod p",
            "turned by j" if panel is axes[0] else "",
            name.replace(", ", ",\n"),  # panels are narrower than their names
            vmin=0,
            vmax=1,
        )
        image.set_extent((-0.5, shares.shape[1] - 0.5, 0.5, len(shares) + 0.5))
    assert image is not None
    colour_bar(image, list(axes), "share of answers")
    return figure
