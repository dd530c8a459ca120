"""Answers under an edit as a row of the table: paired with the unedited answers of the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causal.controls.bases import manifold_share
from causal.experiments import effects
from causal.interventions.directions import Directions
from causal.interventions.engine import Edit
from causal.interventions.questions import Questions
from causal.run.table import CausalRow, RotationRow
from llm_probe.activations.answers import Answers
from toy.maths.intervals import mean_interval


@dataclass(frozen=True)
class Bench:
    """One domain's prompts, their unedited answers, and the states that are edited."""

    questions: Questions
    clean: Answers
    states: Float[Tensor, "n d"]
    """At the prompt's last token."""
    seed: int

    @property
    def right(self) -> Bool[Tensor, " n"]:
        return self.clean.written == self.questions.labels


@dataclass(frozen=True)
class Label:
    """What a row is about."""

    directions: Directions
    position: str
    direction: str
    intervention: str
    condition: str

    def row(self, n: int, **numbers: object) -> CausalRow:
        d = self.directions
        return CausalRow(
            d.domain, d.period, d.layer, d.site, self.position, self.direction, self.intervention, self.condition, n,
            **numbers,  # type: ignore[arg-type]
        )  # fmt: skip


def accuracy(bench: Bench, after: Answers) -> dict[str, float]:
    """Exact match before and after, with its tests."""
    labels = bench.questions.labels
    found = effects.change(bench.right, after.written == labels)
    rows = torch.arange(len(labels))
    return {
        "accuracy_before": found.before,
        "accuracy": found.after,
        "change_low": found.low,
        "change_high": found.high,
        "p": found.p,
        "constrained": float((after.chosen == labels).double().mean()),
        "log_p_change": float((after.log_p - bench.clean.log_p)[rows, labels].double().mean()),
    }


def size(bench: Bench, directions: Directions, edit: Edit) -> dict[str, float]:
    """How far the edit moves the states, and how much of that stays where states are."""
    change = edit(bench.states, torch.arange(len(bench.states))) - bench.states
    return {
        "delta_norm": float(change.double().norm(dim=1).mean()),
        "removed_variance": directions.removed_variance,
        "manifold_share": manifold_share(change, directions.covariance),
    }


def hits(bench: Bench, after: Answers, target: Int[Tensor, " n"]) -> dict[str, float]:
    """How often the answer is the target, with its clustered interval."""
    hit = (after.written == target).double()
    low, high = mean_interval(hit, bench.questions.pairs, bench.seed)
    return {"moved": float(hit.mean()), "moved_low": low, "moved_high": high}


def turned(bench: Bench, after: Sequence[Answers], steps: Sequence[int]) -> dict[str, float]:
    """P(answer = s + j) averaged over the steps, and the regression of the shift on them."""
    period, labels = bench.questions.period, bench.questions.labels
    moved = [effects.shifts(one.written, labels, period) for one in after]
    share = torch.stack([(row == j % period).double() for row, j in zip(moved, steps, strict=True)]).mean(dim=0)
    low, high = mean_interval(share, bench.questions.pairs, bench.seed)
    slope, resultant = effects.circular_regression(moved, steps, period)
    return {
        "moved": float(share.mean()),
        "moved_low": low,
        "moved_high": high,
        "stayed": float(torch.stack([(row == 0).double().mean() for row in moved]).mean()),
        "slope": slope,
        "resultant": resultant,
    }


def rotation_rows(label: Label, bench: Bench, after: Answers, j: int) -> list[RotationRow]:
    """The histogram of shifts after a turn by j."""
    d, period = label.directions, bench.questions.period
    shares = effects.histogram(effects.shifts(after.written, bench.questions.labels, period), period)
    return [
        RotationRow(
            d.domain, d.period, d.layer, d.site, label.position, label.direction, label.intervention,
            j, shift if shift < period else -1, share, len(after.written),
        )
        for shift, share in enumerate(shares.tolist())
    ]  # fmt: skip
