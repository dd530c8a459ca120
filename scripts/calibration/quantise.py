"""Does a circle survive four-bit weights? The reference model under the block formats of GGUF, verdict by verdict.

python scripts/calibration/quantise.py             four runs of the probe, some 3 minutes of one core each

Writes results/calibration/quantised.csv, a row a claim and format, and the figure quantised.
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
    """Which model, which formats."""

    model: str = "reference"
    """Hub id, folder or GGUF file."""
    kinds: tuple[str, ...] = ("Q8_0", "Q4_1", "Q4_0")
    """Formats of the `gguf` package, beside the model's own weights."""
    domains: tuple[str, ...] = ("mod", "days", "months", "hours")
    """As of scripts/probe_llm.py."""
    out: Path = Path("results/calibration")
    """Folder of the table and the figure."""


def main() -> int:
    return run(__file__, Options, __doc__, compare, "nothing was written, the same command starts again")


def compare(options: Options, _: str) -> None:
    """Probe every kind, write and print."""
    import pandas as pd

    from llm_probe.calibration.quantised import KINDS, quantised_rows, write_figure
    from llm_probe.run.config import ProbeConfig
    from llm_probe.run.probe import load_probed
    from toy.run.cells import check_writable
    from toy.run.files import write_atomic

    if unknown := [kind for kind in options.kinds if kind not in KINDS]:
        raise InputError(f"unknown format {unknown[0]!r}: choose from {', '.join(KINDS[1:])}")
    check_writable(options.out)
    config, rows = ProbeConfig(model=options.model, domains=options.domains, blocks_control=False), []
    for kind in ("", *options.kinds):
        print(f"weights as {kind or 'they are'}", file=sys.stderr, flush=True)
        rows += quantised_rows(config, lambda: load_probed(config), kind)
    table = pd.DataFrame(map(vars, rows))
    write_atomic(options.out / "quantised.csv", table.to_csv(index=False, float_format="%.6g"))
    write_figure(options.out, rows)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))


if __name__ == "__main__":
    sys.exit(main())
