"""Read, or used? Networks that carry an idle circle beside the one they read, and closed forms that use theirs.

python scripts/calibration/idle_circles.py                   50 networks with an idle circle, 50 clocks (minutes)
python scripts/calibration/idle_circles.py --networks 5 --out work/idle.csv
python scripts/calibration/idle_circles.py --toys work/calibration/toys-8/seed* work/toy/fast    also trained toys

The table has a row a circle: what moving along its plane and along as many trained directions does, the angle between
the two beside its chance, and the word that follows (`causal/algorithms/mediators.py`).
"""

import _root
from _command import run

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from causal.algorithms.mediators import Mediation

from toy.run.errors import InputError
from toy.run.files import write_atomic

MODULI = (7, 11, 13, 17)
BELOW, QUESTIONS = 60, 800
OF_AN_ANSWER = 40
"""Questions of a toy for each of its answers, so that every answer has a mean."""


@dataclass(frozen=True)
class Options:
    """Some seconds a network."""

    networks: int = 50
    """Of each kind."""
    toys: tuple[Path, ...] = ()
    """Run directories of grokked toys (`scripts/train_toy.py`, or those that `scripts/calibrate.py` leaves in
    work/calibration): their key frequencies behind the last block."""
    out: Path = Path("results/calibration/idle_circles.csv")
    """The table."""


def main() -> int:
    return run(__file__, Options, __doc__, measure, "nothing was written, the same command starts again")


def measure(options: Options, _: str) -> None:
    """Measure every circle, write the table and count the words."""
    import pandas as pd
    import torch
    from tqdm import tqdm

    from toy.run.limits import check_counts

    check_counts(options, "networks")
    torch.set_num_threads(1)
    total = 3 * options.networks + len(options.toys)
    rows = list(tqdm(chain(circles(options.networks), toys(options.toys)), total=total, unit="circle", disable=None))
    table = pd.DataFrame(rows)
    write_atomic(options.out, table.to_csv(index=False, float_format="%.4g"))
    counts = table.value_counts(["circle", "use", "agrees"], sort=False).reset_index(name="networks")
    print(counts.to_string(index=False))


def circles(networks: int) -> Iterator[dict[str, Any]]:
    """A row for each circle of each network."""
    import torch

    from causal.algorithms.known_networks import Clock, IdleCircle
    from causal.algorithms.mediators import AdderPlace, Mediator, halves
    from toy.maths.fourier import frequencies

    for seed in range(networks):
        modulus = MODULI[seed % len(MODULI)]
        known = list(frequencies(modulus))
        first, second = torch.randperm(len(known), generator=torch.Generator().manual_seed(seed))[:2].tolist()
        idle, read = known[first], known[second]
        adders = IdleCircle(modulus, BELOW, idle, read, seed=seed), Clock(modulus, BELOW, [read])
        network, clock = (Mediator(AdderPlace(adder, *halves(adder, QUESTIONS, seed)), seed=seed) for adder in adders)
        for name, mediator, k in (("idle", network, idle), ("read", network, read), ("clock", clock, read)):
            yield row_of(name, seed, modulus, [k], mediator.mediation([k]))


def toys(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """A row for the key frequencies of each trained network."""
    from causal.algorithms.mediators import AdderPlace, Mediator, halves
    from causal.algorithms.toys import SiteAdder, key_frequencies, sites
    from toy.training.runs import open_run

    for path in paths:
        run = open_run(path)
        model = run.model()
        keys = key_frequencies(model, run.config)
        if not keys:
            raise InputError(f"{path} has no key frequency, so no circle to move along: give a run that has grokked")
        adder = SiteAdder(sites(model, run.config)["resid_post"])
        questions = max(QUESTIONS, OF_AN_ANSWER * adder.modulus)
        mediator = Mediator(AdderPlace(adder, *halves(adder, questions, run.config.seed)), seed=run.config.seed)
        yield row_of("toy", run.config.seed, adder.modulus, keys, mediator.mediation(keys))


def row_of(circle: str, seed: int, modulus: int, frequencies: Sequence[int], mediation: "Mediation") -> dict[str, Any]:
    """A row of the table."""
    return {
        "circle": circle, "seed": seed, "modulus": modulus, "frequency": " ".join(map(str, frequencies)),
        "use": mediation.use, "agrees": mediation.agrees, "angle": mediation.angle, "angle_by_chance": mediation.haar,
        **{f"moved_{way.replace(' ', '_')}": share for way, share in mediation.moved.items()},
        **{f"right_without_{way}": share for way, share in mediation.ablated.items()},
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
