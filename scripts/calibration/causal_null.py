"""How often a network is called clock or look-up by the causal tests, in networks whose algorithm is known.

python scripts/calibration/causal_null.py             five kinds, three moduli: 7 minutes of one core

Writes results/calibration/causal_words.csv: a row a kind, modulus and word.
"""

from __future__ import annotations

import _root
from _command import run

import sys
from dataclasses import dataclass
from pathlib import Path

from toy.run.errors import InputError


@dataclass(frozen=True)
class Options:
    """How much of it."""

    networks: int = 60
    """Networks of each kind and modulus."""
    out: Path = Path("results/calibration/causal_words.csv")
    """The table."""


def main() -> int:
    return run(__file__, Options, __doc__, _count, "nothing was written, the same command starts again")


def _count(options: Options, _: str) -> None:
    import pandas as pd

    from causal.algorithms.word_rates import KINDS, MODULI, word_rows
    from toy.run.cells import check_writable
    from toy.run.files import write_atomic

    if options.networks < 1:
        raise InputError(f"{options.networks} networks: give 1 or more")
    check_writable(options.out.parent)
    rows = []
    for kind in KINDS:
        for modulus in MODULI:
            rows += word_rows(kind, modulus, options.networks)
            print(f"{kind}, {modulus} answers", file=sys.stderr, flush=True)
    table = pd.DataFrame(map(vars, rows))
    write_atomic(options.out, table.to_csv(index=False, float_format="%.6g"))
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))


if __name__ == "__main__":
    sys.exit(main())
