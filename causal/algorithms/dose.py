"""The angle as a dial: a circle turned by any number of steps, and what the answers do on the way.

If the answer is read off a circle, a turn by φ steps moves the whole distribution of the answers by φ: with
L(c) the logarithm of the clean probabilities, as a Fourier series of the answer c,

    predicted    softmax of L(c - φ)          φ need not be whole: the series is evaluated between the answers

and on the way from one answer to the one j steps on the answers between them come in turn. The straight line between
the same two states, the chord, leads through the inside of the circle: there an answer weakens and the other takes
over, with nothing of what lies between. Both end at the same state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from causal.algorithms.algorithm_probe import shares
from causal.algorithms.tables import DoseRow, Route
from causal.experiments.experiment import Experiment
from causal.interventions.directions import Directions
from causal.interventions.engine import Edit
from llm_probe.statistics.patterns import displace, rotation

POINTS = 8
"""Equal parts of the way."""
ROUTES: tuple[Route, ...] = ("circle", "chord")


def dose_rows(experiment: Experiment) -> Iterator[DoseRow]:
    """Both paths to the answer a third of the circle on, on the first of the causal prompts."""
    engine, baseline = experiment.subset
    period, labels, position = experiment.claim.period, baseline.questions.labels, experiment.position
    j = max(2, period // 3)
    clean = shares(baseline.clean)
    ways: list[tuple[Route, int]] = [(route, part) for route in ROUTES for part in range(POINTS + 1)]
    edits = [experiment.sites.edits(position, lambda d, _, way=way: _part_of_the_way(d, j, *way)) for way in ways]
    d = experiment.root
    turns = torch.arange(period)
    for (route, part), answers in zip(ways, engine.answers(edits, experiment.tick), strict=True):
        steps, after = j * part / POINTS, shares(answers)
        from_own = after.gather(1, (labels[:, None] + turns) % period)
        own, between, end = (
            from_own[:, some].sum(dim=1).mean() for some in (slice(0, 1), slice(1, j), slice(j, j + 1))
        )
        yield DoseRow(
            d.domain, period, d.layer, d.site, position, route, j, steps, len(labels), float(own), float(between),
            float(end), divergence(after, moved_on(clean, steps)), divergence(after, clean),
        )  # fmt: skip


def _part_of_the_way(d: Directions, j: int, route: Route, part: int) -> Edit:
    """A turn by that part of j steps, or that part of the straight line to the turn's end."""
    share = part / POINTS
    turned = rotation(d.frequencies, d.period, j * share if route == "circle" else j)
    change = turned - torch.eye(len(turned), dtype=turned.dtype)
    change = change if route == "circle" else share * change
    return lambda states, _: displace(states, d.reader, d.mean, change, d.writer)


def moved_on(distribution: Float[Tensor, "n p"], steps: float) -> Float[Tensor, "n p"]:
    """The distribution moved on by any number of steps: its logarithm, as a Fourier series of the answer, turned.

    At the Nyquist frequency of an even period the wave keeps its place and loses height, as its sine is 0 at every
    answer.
    """
    period = distribution.shape[1]
    waves = torch.fft.rfft(distribution.clamp_min(1e-300).log(), dim=1)
    angles = -2 * math.pi * steps / period * torch.arange(waves.shape[1], dtype=torch.float64)
    turn = torch.polar(torch.ones_like(angles), angles)
    if period % 2 == 0:
        turn[-1] = turn[-1].real.clone()
    return torch.fft.irfft(waves * turn, n=period, dim=1).softmax(dim=1)


def divergence(measured: Float[Tensor, "n p"], expected: Float[Tensor, "n p"]) -> float:
    """Mean KL(measured, expected) over prompts, in nats."""
    logs = [one.clamp_min(1e-300).log() for one in (measured, expected)]
    return float((measured * (logs[0] - logs[1])).sum(dim=1).mean())
