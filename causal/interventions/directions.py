"""Directions: the planes of a claim's circle in a residual stream, fitted on discovery prompts.

Filter W, pattern A and basis Q are those of `llm_probe.statistics.patterns`. The ridge penalty is the one that predicts
left-out operand pairs best; μ is the mean of the states. A dimension of the stream is the direction whose basis is one
unit vector. Where the states hold several circles exactly, `regression_pattern` fits A by least squares instead, with
the columns of other circles beside it.

An answer of several tokens ("15") is decided at several columns: its first token after the prompt, its second behind
the first. A `SiteSet` holds the circle fitted at each: at the prompt's last token, and at every node of the answer
tree, where each discovery prompt is followed by that beginning, whether or not it is its own. Which frequencies: those
whose plane a probe run accepted (p_fwer <= 0.01, trained weights); `accepted` reads them from its r2_table.csv.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causal.interventions.engine import Edit, Edits, Engine
from causal.interventions.questions import ANSWER
from llm_probe.activations.answers import Tokens
from llm_probe.questions.claims import Labels
from llm_probe.run.reading import check_unchanged, read_frame, read_record
from llm_probe.run.table import R2Row
from llm_probe.run.vocabulary import ALPHA, Position, Site
from llm_probe.statistics.patterns import nearest_orthonormal, pattern_and_filter, targets_of
from llm_probe.statistics.planes import PENALTIES
from toy.maths.regression import Groups, RidgeSmoother, baseline_residuals
from toy.run.errors import InputError

Location = tuple[int, Site, Position]
"""Layer, site, position."""
Accepted = dict[str, dict[Location, tuple[int, ...]]]
"""Domain to location to the frequencies whose planes a probe run accepted."""
FEWEST = 3
"""Prompts a residue, at least, to fit a circle."""


@dataclass(frozen=True)
class Planes:
    """An orthonormal basis of what is intervened on, with the moments of the states that it was fitted on."""

    frequencies: tuple[int, ...]
    """Empty for a dimension: it cannot be rotated."""
    basis: Float[Tensor, "d m"]
    """Q, float64."""
    writer: Float[Tensor, "d m"]
    """A."""
    reader: Float[Tensor, "d m"]
    """W."""
    mean: Float[Tensor, " d"]
    """μ of the discovery prompts."""
    covariance: Float[Tensor, "d d"]
    """Σ_h of the discovery prompts."""

    @property
    def removed_variance(self) -> float:
        """Variance of the discovery states on the basis: also the mean ||Δh||² of mean ablation there."""
        return float((self.basis * (self.covariance @ self.basis)).sum())

    @property
    def variance_share(self) -> float:
        """The same as a share of all variance."""
        return self.removed_variance / float(self.covariance.trace())


@dataclass(frozen=True)
class Directions(Planes):
    """Planes, or a dimension, of a domain at one location of a language model."""

    name: str
    """`planes k = 1, 2, 3`, `dim 35`, …"""
    domain: str
    period: int
    layer: int
    site: Site
    position: Position


def pattern(
    states: Float[Tensor, "n d"], targets: Float[Tensor, "n m"], groups: Groups, smoother: RidgeSmoother | None = None
) -> tuple[Float[Tensor, "d m"], Float[Tensor, "d m"]]:
    """(A, W): pattern and filter of the ridge whose penalty predicts left-out groups best.

    W is scaled so that WᵀA = I. `smoother`: of these states, where it is at hand.
    """
    smoother = smoother or RidgeSmoother.of(states)
    base = baseline_residuals(targets, groups).square().sum()
    left = [float(errors.square().sum() / base) for errors in smoother.heldout_path(targets, groups, PENALTIES)]
    return pattern_and_filter(states, targets, smoother, PENALTIES[left.index(min(left))])


def regression_pattern(
    states: Float[Tensor, "n d"], targets: Float[Tensor, "n m"], beside: Float[Tensor, "n q"] | None = None
) -> Float[Tensor, "d m"]:
    """A by least squares: the coefficients of the targets in the regression of H on [1, targets, beside], transposed.

    What a constant and the columns `beside` explain is left to them: a circle of period 23/2 is nearly one of period 10
    and, fitted alone, would find the plane of the ones digit. The sums must span several beats of the two periods,
    1 / |1/10 - 2/23| = 77 units each, or nothing tells them apart.
    """
    others = [torch.ones(len(targets), 1, dtype=torch.float64), *([] if beside is None else [beside])]
    solution = torch.linalg.pinv(torch.cat([targets, *others], dim=1))
    return (solution[: targets.shape[1]] @ states.double()).T


def fit(
    states: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    groups: Groups,
    domain: str,
    period: int,
    frequencies: tuple[int, ...],
    location: Location,
    name: str = "",
    smoother: RidgeSmoother | None = None,
) -> Directions:
    """The planes of all frequencies at once, along their pattern.

    Raises:
        InputError: no frequency, or more coordinates than the stream has dimensions.
    """
    targets = targets_of(labels, frequencies, period) if frequencies else torch.empty(len(labels), 0)
    if not 0 < targets.shape[1] < states.shape[1]:
        raise InputError(
            f"{domain} has {len(frequencies)} frequencies, {targets.shape[1]} coordinates in a stream of "
            f"{states.shape[1]}: give one frequency or more, and fewer coordinates than dimensions"
        )
    writer, reader = pattern(states, targets, groups, smoother)
    words = name or "planes k = " + ", ".join(map(str, frequencies))
    basis = nearest_orthonormal(writer)
    return Directions(frequencies, basis, writer, reader, *moments(states), words, domain, period, *location)


def dimension(states: Float[Tensor, "n d"], domain: str, period: int, location: Location, dim: int) -> Directions:
    """One dimension of the stream.

    Raises:
        InputError: the stream is narrower.
    """
    width = states.shape[1]
    if not 0 <= dim < width:
        raise InputError(f"dimension {dim} does not exist: the stream has dimensions 0 to {width - 1}")
    unit = torch.eye(width, dtype=torch.float64)[:, dim : dim + 1]
    return span(states, domain, period, location, unit, f"dim {dim}")


def span(
    states: Float[Tensor, "n d"], domain: str, period: int, location: Location, basis: Float[Tensor, "d m"], name: str
) -> Directions:
    """Directions that are given by an orthonormal basis: they can be removed or swapped, not turned."""
    basis = basis.double()
    return Directions((), basis, basis, basis, *moments(states), name, domain, period, *location)


def moments(states: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Mean and covariance, float64."""
    states = states.double()
    centred = states - states.mean(dim=0)
    return states.mean(dim=0), centred.T @ centred / len(states)


@dataclass(frozen=True)
class SiteSet:
    """One circle at every node of the answer tree where an answer is decided."""

    at: Mapping[Tokens, Directions]
    """Node of the answer tree, () for the prompt's last token, to the directions there."""

    @property
    def root(self) -> Directions:
        return self.at[()]

    def map(self, change: Callable[[Directions], Directions]) -> SiteSet:
        """The directions of every node, changed."""
        return SiteSet({node: change(directions) for node, directions in self.at.items()})

    def edits(self, position: str, make: Callable[[Directions, Tokens], Edit]) -> Edits:
        """The same kind of edit at the root, or, at position `answer`, at every node."""
        if position != ANSWER:
            return make(self.root, ())
        return {node: make(directions, node) for node, directions in self.at.items()}


def states_at(engine: Engine, node: Tokens) -> tuple[Float[Tensor, "some d"], Tensor]:
    """(states, which prompts they are of): a node belongs to the prompts whose possible answers begin with it."""
    states = engine.states(node)
    has_node = states.abs().amax(dim=1) > 0
    return states[has_node], has_node


def fit_sites(
    engine: Engine, labels: Labels, domain: str, frequencies: tuple[int, ...], location: Location, name: str = ""
) -> SiteSet:
    """Fit the circle's planes at every node; `engine` holds the discovery prompts at position `answer`.

    Raises:
        InputError: too few operand pairs.
    """
    fitted = {}
    for node in engine.nodes if engine.position == ANSWER else ((),):
        states, rows = states_at(engine, node)
        if node and len(states) < FEWEST * labels.period:
            continue
        groups = Groups.of(labels.unit[rows])
        if groups.count < FEWEST * labels.period:
            raise InputError(
                f"{domain} has {groups.count} operand pairs for {labels.period} labels: give --prompts "
                f"{FEWEST * labels.period} or more"
            )
        fitted[node] = fit(states, labels.label[rows], groups, domain, labels.period, frequencies, location, name)
    return SiteSet(fitted)


def accepted(folder: Path, fingerprint: str | None) -> Accepted:
    """The planes of sums that a probe run accepted; fingerprint None: whatever weights it was of.

    Raises:
        InputError: the folder holds no probe run, one of other weights, or none that was accepted.
    """
    try:
        run = read_record(folder / "run.json")
        check_unchanged(folder, run)
        table = read_frame(folder / "r2_table.csv", R2Row)
    except InputError as error:
        raise InputError(
            f"{folder} holds no finished probe run: make one with python scripts/probe_llm.py --out {folder} ({error})"
        ) from error
    if fingerprint is not None and run.get("weights_fingerprint") != fingerprint:
        raise InputError(
            f"the directions in {folder} belong to weights {run.get('weights_fingerprint')}, this model has "
            f"{fingerprint}: give the folder of its own probe run (python scripts/probe_llm.py)"
        )
    chosen = table.query(
        "weights == 'trained' and quantity == 'sum' and unit == 'plane' and family == 'fourier' and p_fwer <= @ALPHA"
        " and layer >= 0"
    )
    planes: Accepted = {}
    for key, rows in chosen.groupby(["domain", "layer", "site", "position"], sort=False):
        domain, layer, site, position = key  # type: ignore[misc]
        planes.setdefault(domain, {})[int(layer), site, position] = tuple(sorted(map(int, rows["frequency"])))
    if not planes:
        raise InputError(f"no plane in {folder} was accepted (p_fwer <= {ALPHA}): there is nothing to intervene on")
    return planes
