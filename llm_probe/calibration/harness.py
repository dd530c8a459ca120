"""Many trials, each kept on disk: how often each statistic fires, with intervals.

    false_positives.csv   share of null networks with p <= 0.05, or with the verdict `supported`, by statistic and null
    power.csv             share of networks with a planted signal that the same statistic finds

Each trial is a cell of its own (`run.cells`): an interrupted run goes on, and more networks are added to those there.
Intervals are Clopper-Pearson's, 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from llm_probe.calibration.networks import Planted
from llm_probe.calibration.trials import SUMS, Null, Setting, Trial, run_trial
from toy.maths.intervals import clopper_pearson
from toy.run.cells import Cells, key_of
from toy.run.errors import InputError

LEVEL = 0.05
VERSION = 7
"""Raise it when a trial's numbers change."""
SHARES: dict[Null, float] = {"magnitudes": 0.55, "names": 0.12, "qwen3": 0.23, "shuffled": 0.1}
"""Of the null networks."""
FIRST_PLANTED = 400_000
"""First seed of the networks with a signal: none on which a rule was chosen."""
AMPLITUDES = (0.05, 0.1, 0.2, 0.5)
SIGNALS: dict[str, Planted] = {
    "plane, k = 1, every modulus": Planted(0.0),
    "plane, k = 2, every modulus": Planted(0.0, frequency=2),
    "plane, k = 3, every modulus": Planted(0.0, frequency=3),
    "dimension, k = 1, every modulus": Planted(0.0, unit="dimension"),
    "plane, k = 1, one modulus": Planted(0.0, everywhere=False),
}
ITEM_AMPLITUDES = (0.25, 0.35, 0.5, 0.7, 1.0)
"""Of a circle of items, in sizes of their identity vectors: at 1/2 it has a quarter of their variance."""
OF_ITEMS = "circle of items, in sizes of their identity"


@dataclass(frozen=True)
class FalsePositiveRow:
    """How often a statistic fires on one kind of network that has nothing to find."""

    statistic: str
    """Name of a p-value of the tables (at 0.05), `supported`, or of one that is not printed, for comparison."""
    null: str
    """Kind of null network: `magnitudes`, `names`, `qwen3`, `shuffled` (`calibration/trials.py`), or `all`."""
    n_networks: int
    """Number of networks to which the statistic applies."""
    false_positive_rate: float
    """Share of these networks on which the statistic fires."""
    lower: float
    """Lower end of the 95 % Clopper-Pearson interval."""
    upper: float
    """Upper end of that interval."""


@dataclass(frozen=True)
class PowerRow:
    """How often a statistic finds a signal of known size."""

    statistic: str
    """Name of the statistic, as in false_positives.csv."""
    planted: str
    """Planted signal: a rotated plane or a single dimension, its frequency, and under how many moduli."""
    amplitude: float
    """Radius of the circle, in standard deviations of a dimension."""
    n_networks: int
    """Number of networks in which the signal was planted."""
    power: float
    """Share of these networks in which the statistic fires."""
    lower: float
    """Lower end of the 95 % Clopper-Pearson interval."""
    upper: float
    """Upper end of that interval."""


def null_settings(networks: int) -> list[Setting]:
    """The null networks, by their shares; more of them begin with the same ones."""
    counts: dict[Null, int] = {null: round(share * networks) for null, share in SHARES.items()}
    return [Setting(null, seed) for null, count in counts.items() for seed in range(count)]


def planted_settings(networks: int) -> list[tuple[str, Setting]]:
    """Networks with a signal, for every kind and amplitude; their seeds are not those of the nulls.

    A modulus that shares a factor with the frequency is left out: there the planted circle is that of a divisor. Of
    items there are so many networks for days and for months each.
    """
    planted = []
    for name, signal in SIGNALS.items():
        # Sums only: ten claims in turn, of which the last two are hours.
        able = [place for place, claim in enumerate(SUMS) if math.gcd(claim.period, signal.frequency) == 1]
        seeds = [seed for seed in range(FIRST_PLANTED, FIRST_PLANTED + 10 * networks) if seed % 10 in able][:networks]
        planted += [
            (name, Setting("magnitudes", seed, replace(signal, amplitude=amplitude)))
            for amplitude in AMPLITUDES
            for seed in seeds
        ]
    seeds = range(FIRST_PLANTED, FIRST_PLANTED + 2 * networks)
    return planted + [
        (OF_ITEMS, Setting("code of items", seed, code="circle", amplitude=amplitude))
        for amplitude in ITEM_AMPLITUDES
        for seed in seeds
    ]


def run_all(
    settings: Sequence[Setting], folder: Path, workers: int, on_trial: Callable[[], object] = lambda: None
) -> list[Trial]:
    """Every trial, from disk where it is there, in `workers` processes.

    Raises:
        InputError: a worker was killed.
    """
    trials = []
    try:
        with ProcessPoolExecutor(min(workers, len(settings) or 1)) as pool:
            for trial in pool.map(partial(_stored, folder=folder), settings, chunksize=1):
                trials.append(trial)
                on_trial()
    except BrokenProcessPool as error:
        raise InputError(
            f"a worker was killed after {len(trials)} of {len(settings)} networks, perhaps for memory: the same "
            "command goes on, with fewer --workers if it happens again"
        ) from error
    return trials


def _stored(setting: Setting, folder: Path) -> Trial:
    import torch

    torch.set_num_threads(1)
    key = key_of({"setting": asdict(setting)})
    with redirect_stderr(StringIO()):  # what a job says of its progress
        return Trial(**Cells(folder, VERSION).get(key, lambda: asdict(run_trial(setting))))


def false_positives(settings: Sequence[Setting], trials: Sequence[Trial]) -> list[FalsePositiveRow]:
    """One row a statistic and null, and one for all nulls together."""
    groups: dict[str, list[Trial]] = {"all": list(trials), **{null: [] for null in SHARES}}
    for setting, trial in zip(settings, trials, strict=True):
        groups[setting.null].append(trial)
    return [FalsePositiveRow(statistic, null, *rate) for statistic, null, rate in rates(groups)]


def power(groups: Mapping[tuple[str, float], Sequence[Trial]]) -> list[PowerRow]:
    """One row a statistic, kind of signal and amplitude."""
    return [PowerRow(name, kind, amplitude, *rate) for name, (kind, amplitude), rate in rates(groups)]


def by_signal(settings: Sequence[tuple[str, Setting]], trials: Sequence[Trial]) -> dict[tuple[str, float], list[Trial]]:
    """The trials of each kind of signal and amplitude."""
    groups: dict[tuple[str, float], list[Trial]] = {}
    for (kind, setting), trial in zip(settings, trials, strict=True):
        size = setting.amplitude if setting.planted is None else setting.planted.amplitude
        groups.setdefault((kind, size), []).append(trial)
    return groups


def rates(groups: Mapping[Any, Sequence[Trial]]) -> Iterator[tuple[str, Any, tuple[int, float, float, float]]]:
    """(statistic, group, its rate) for every p-value that some trial has, and the verdict, where it applies."""
    names = dict.fromkeys(name for trials in groups.values() for trial in trials for name in trial.p)
    for statistic in (*names, "supported", "refuted"):
        for group, trials in groups.items():
            if rate := rate_of(statistic, trials):
                yield statistic, group, rate


def rate_of(statistic: str, trials: Sequence[Trial]) -> tuple[int, float, float, float] | None:
    """(networks, share on which it fires, its 95 % interval); None where the statistic applies to none."""
    if statistic in ("supported", "refuted"):
        fires = [trial.verdict == statistic for trial in trials]
    else:
        fires = [trial.p[statistic] <= LEVEL for trial in trials if statistic in trial.p]
    if not fires:
        return None
    return len(fires), sum(fires) / len(fires), *clopper_pearson(sum(fires), len(fires))
