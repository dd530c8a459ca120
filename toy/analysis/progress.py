"""Progress measures over training: what goes on under a flat test loss (Nanda et al. 2023, 2301.05217, §5).

`progress` gives one row per checkpoint. The key frequencies are those of the last one, by the neuron rule, at every
step: the question is when the circuit that the network ends with appeared.

    restricted_loss      the keys' part of the logits alone, on all questions: falls while the circuit forms
    excluded_loss        the logits without it, on the training questions: rises when they come to rest on the circuit;
                         also without one key at a time
    logit_coefficients   of cos w_k(s - c) for each key
    gini, gini_w_l       sparsity of W_E and W_L in the Fourier basis
    sum_squared_weights  falls when weight decay takes away what memorised

`phases` reads three phases from the rows, by rules that are its own and stated (`RULES`); Nanda et al. set the same
boundaries by eye. A phase that a run never comes to is null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from toy.analysis import circuits, clock_pizza, keys, spectra
from toy.analysis.measurements import finite, weights_summary
from toy.analysis.readout import grid, read_out
from toy.analysis.restricted import AnswerPlanes
from toy.config import ToyConfig
from toy.networks.model import Toy
from toy.networks.scores import MEASURED, TableScores, trained_on
from toy.networks.tasks import table
from toy.training.runs import Run
from toy.training.train import THRESHOLD

ROWS_SCORED = 100_000
"""Longer tables (three operands) are not run at every checkpoint: their losses come from metrics.jsonl."""

RISEN = 2.0
"""By what factor the excluded loss must rise from its minimum to count."""

RULES = {
    "memorisation_ends": "the checkpoint of the smallest excluded loss up to the end of circuit formation, if the "
    f"excluded loss exceeds it {RISEN:g} times by the end of cleanup",
    "circuit_formation_ends": "the last checkpoint before the end of cleanup whose test loss is at least half of its "
    "maximum until then",
    "cleanup_ends": f"the first checkpoint with a test accuracy of {THRESHOLD:.0%}",
    "restricted_halved": "the first checkpoint from which on, until the end of cleanup, the restricted loss is below "
    "half of its maximum",
    "test_halved": "the same for the test loss",
}
"""Without an end of cleanup all checkpoints are looked at. What comes after it, such as a late jump of the loss, moves
no boundary."""


Watch = Callable[[str, Sequence[int]], Iterable[int]]
"""Passes steps on while it shows how far they are: (what is done, steps)."""


def unwatched(_what: str, steps: Sequence[int]) -> Iterable[int]:
    """Shows nothing."""
    return steps


def progress(run: Run, steps: Sequence[int] = (), watch: Watch = unwatched) -> list[dict[str, Any]]:
    """One row per checkpoint, ascending in step, of these steps or of all; keys are those of the last.

    Raises InputError if the run holds no checkpoint, or none of a step.
    """
    readout = read_out(run.model(max(steps, default=None)), run.config)
    final = keys.of_neurons(spectra.grid_shares(readout.neurons), readout.size)
    logged = {row["step"]: row for row in run.metrics()}
    watched = watch("progress", sorted(steps) or list(run.checkpoints()))
    return [measure(run.model(step), run.config, final, step, logged.get(step)) for step in watched]


def measure(
    model: Toy, config: ToyConfig, key_frequencies: Sequence[int], step: int, logged: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The row of one checkpoint; `logged` is its line of metrics.jsonl, if there is one."""
    readout = read_out(model, config)
    planes, coefficients = AnswerPlanes.of(readout), spectra.logit_coefficients(readout)
    train_rows = trained_on(config, grid(config.task, config.modulus))[readout.answer.flatten() >= 0]
    shares = spectra.grid_shares(readout.neurons)
    # In float64 where the table is short enough to run again.
    is_long = len(table(config.task, config.modulus).answers) > ROWS_SCORED
    losses = logged if logged is not None and is_long else TableScores.of(model, config).summary()
    row = {
        "step": step,
        **{name: losses[name] for name in MEASURED},
        "full_loss": planes.full_loss(),
        "restricted_loss": planes.restricted_loss(key_frequencies),
        "excluded_loss": planes.excluded_loss(key_frequencies, train_rows),
        "excluded_loss_by_frequency": {str(k): planes.excluded_loss([k], train_rows) for k in key_frequencies},
        "logit_coefficients": {str(k): float(coefficients[k - 1]) for k in key_frequencies},
        "logit_fve": sum(float(spectra.logit_shares(readout)[k - 1]) for k in key_frequencies),
        "logit_fve_planes": planes.share(key_frequencies),
        **weights_summary(model, readout),
        "neurons_explained": circuits.neurons(readout, shares)["neurons_explained"],
        "n_keys": len(keys.of_neurons(shares, readout.size)),
        "n_keys_embedding": len(keys.of_matrix(readout.embedding)),
        "circularity": clock_pizza.circularity(readout.embedding),
    }
    return finite(row)


def phases(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where memorisation, circuit formation and cleanup end (steps or None), with the rules and what changed in each.

    `restricted_before_test` says whether the restricted loss halved at an earlier checkpoint than the test loss: that
    the circuit was there before it showed.
    """
    grokked = next((row["step"] for row in rows if row["test_accuracy"] >= THRESHOLD), None)
    seen = [row for row in rows if grokked is None or row["step"] <= grokked]
    formed = _last_high(seen, "test_loss")
    boundaries = {
        "memorisation_ends": None if formed is None else _memorised(seen, formed),
        "circuit_formation_ends": formed,
        "cleanup_ends": grokked,
    }
    after = {name: _last_high(seen, name) for name in ("restricted_loss", "test_loss")}
    restricted, test = (
        None if last is None else next(row["step"] for row in seen if row["step"] > last) for last in after.values()
    )
    return {
        **boundaries,
        "restricted_halved": restricted,
        "test_halved": test,
        "restricted_before_test": None if restricted is None or test is None else restricted < test,
        "changes": _changes(rows, boundaries),
        "rules": RULES,
    }


def _memorised(rows: Sequence[Mapping[str, Any]], formed: int) -> int | None:
    """The step of the smallest excluded loss, if it rises from there."""
    known = [row for row in rows if row["excluded_loss"] is not None]
    lowest = min((row for row in known if row["step"] <= formed), key=lambda row: row["excluded_loss"], default=None)
    if lowest is None:
        return None
    following = [row["excluded_loss"] for row in known if row["step"] > lowest["step"]]
    return lowest["step"] if following and max(following) > RISEN * lowest["excluded_loss"] else None


def _last_high(rows: Sequence[Mapping[str, Any]], name: str) -> int | None:
    """The last step at half of the maximum or above; None if it never comes below."""
    line = max((row[name] for row in rows), default=0) / 2
    high = [row["step"] for row in rows if row[name] >= line]
    return high[-1] if high and high[-1] < rows[-1]["step"] else None


def _changes(rows: Sequence[Mapping[str, Any]], boundaries: Mapping[str, int | None]) -> dict[str, Any]:
    """Each measure at the start and at the end of each phase that the run came to."""
    at = {row["step"]: row for row in rows}
    measures = ("train_loss", "test_loss", "restricted_loss", "excluded_loss", "sum_squared_weights", "gini")
    result, start = {}, rows[0]["step"] if rows else None
    for boundary, end in boundaries.items():
        if start is None or end is None:
            break
        result[boundary.removesuffix("_ends")] = {name: [at[start][name], at[end][name]] for name in measures}
        start = end
    return result
