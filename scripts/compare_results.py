"""Compare runs with the first one: verdicts, differences of R² with intervals, dimensions, provenance, a figure.

python scripts/compare_results.py results/reference results/random-Qwen3-0.6B
python scripts/compare_results.py results/reference published                     the published class-mean R²
python scripts/compare_results.py A B --fail-if-verdict-changes                   exit code 1 when one changed
"""

from _command import run

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Options:
    """Reads tables only: no model, a few seconds."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Results folders of scripts/probe_llm.py, or `published`; the first is the baseline."""
    out: Path | None = None
    """Folder of compare.csv, compare_layers.csv, compare_provenance.csv and the figure; none given:
    results/compare/<the others>-against-<baseline>."""
    fail_if_verdict_changes: bool = False
    """Exit code 1 if a claim that two runs share has another verdict than in the baseline."""


def main() -> int:
    return run(__file__, Options, __doc__, compare_runs, "what was written is whole")


def compare_runs(options: Options, _: str) -> int:
    """Compare, write the tables and the figure, and print them; 1 for changed verdicts where that is asked for."""
    from llm_probe.compare.comparison import compare, read_sides
    from llm_probe.compare.output import terminal, write
    from llm_probe.replication.audit.published_run import published_run

    comparison = compare(read_sides(options.runs, published_run))
    first, *others = (run.name.replace("/", "--") for run in comparison.runs)
    folder = options.out or Path("results") / "compare" / f"{'-and-'.join(others)}-against-{first}"
    write(comparison, folder)
    print(terminal(comparison))
    print(f"\ntables  {folder}/compare.csv, compare_layers.csv      figure  {folder}/compare.png")
    if options.fail_if_verdict_changes and len(comparison.changed):
        print(f"{len(comparison.changed)} verdicts changed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
