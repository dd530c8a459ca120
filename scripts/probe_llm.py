"""Probe a language model: tables, figures and a page in results/<model>, one table on the terminal.

python scripts/probe_llm.py                                         the reference model
python scripts/probe_llm.py --model Qwen/Qwen3-0.6B --domains mod days months --moduli 7 11
python scripts/probe_llm.py --model Qwen/Qwen3-0.6B --dry-run       what that takes here: prompts, FLOPs, memory, time
python scripts/probe_llm.py --model EleutherAI/pythia-160m --domains days months --checkpoints step1000 step8000

With checkpoints it says what appears when: tables, a page and films in checkpoints/ of the results folder.
"""

from _command import run

import sys
from dataclasses import dataclass

from _page import rewrite

from llm_probe.emergence.config import SeriesConfig


@dataclass(frozen=True, kw_only=True)
class Options(SeriesConfig):
    """A run, or its plan."""

    dry_run: bool = False
    """Print what the run would take on this machine, and do not run it."""


def main() -> int:
    kept = "finished cells are in {0.folder}/cells: the same command goes on"
    return run(__file__, Options, __doc__, probe, kept)


def probe(options: Options, command: str) -> None:
    """Probe, write the tables and the page, and print the verdicts."""
    from llm_probe.run.probe import plan_of, run as run_probe

    config = options.at(options.model, options.revision)
    if options.dry_run:
        from llm_probe.emergence.checkpoints import checkpoints_of
        from llm_probe.sweep.cost import plan_text, series_text

        if options.checkpoints:
            first, *others = checkpoints_of(options)
            print(series_text(options.at(first.model, first.revision), 1 + len(others)))
        else:
            print(plan_text(config))
        return
    if options.checkpoints:
        from causal.algorithms.over_training import interventions
        from llm_probe.emergence.series import run as run_series

        folder = options.series_folder
        result = run_series(options, folder, command, interventions(options.seed))
    else:
        folder = config.folder
        result = run_probe(plan_of(config), folder, command)
    result.write(folder)
    rewrite(config.folder)
    print(result)


if __name__ == "__main__":
    sys.exit(main())
