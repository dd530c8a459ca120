"""Probe a language model: tables, figures and a page in results/<model>, one table on the terminal.

python scripts/probe_llm.py                                         the reference model
python scripts/probe_llm.py --model Qwen/Qwen3-0.6B --domains mod days months --moduli 7 11
"""

from _command import run

import sys

from _page import rewrite

from llm_probe.run.config import ProbeConfig


def main() -> int:
    kept = "finished cells are in {0.folder}/cells: the same command goes on"
    return run(__file__, ProbeConfig, __doc__, probe, kept)


def probe(config: ProbeConfig, command: str) -> None:
    """Probe, write the tables and the page, and print the verdicts."""
    from llm_probe.run.probe import plan_of, run as run_probe

    plan = plan_of(config)
    result = run_probe(plan, config.folder, command)
    result.write(config.folder)
    rewrite(config.folder)
    print(result)


if __name__ == "__main__":
    sys.exit(main())
