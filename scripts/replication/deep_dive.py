"""The published deep-dive experiments with the controls they lacked: tables, figures and a sentence each.

python scripts/replication/deep_dive.py                                             the reference model, all experiments
python scripts/replication/deep_dive.py --model Qwen/Qwen3-0.6B --dims 35 867 505  the published dimensions followed too
python scripts/replication/deep_dive.py --experiments primes range --layers 1 2

Results go to results/deep_dive/<model>; an interrupted run goes on where it was.
"""

import _root
from _command import run

import sys

from llm_probe.replication.experiments.reader import DeepDiveConfig


def main() -> int:
    kept = "finished cells are in {0.folder}/cells: the same command goes on"
    return run(__file__, DeepDiveConfig, __doc__, dive, kept)


def dive(config: DeepDiveConfig, command: str) -> None:
    """Run the experiments, write the tables and figures, and print what they say."""
    from llm_probe.replication.experiments.deep_dive import deep_dive

    result = deep_dive(config, command)
    result.write(config.folder)
    print(f"{result}\n\ntables and figures  {config.folder}")


if __name__ == "__main__":
    sys.exit(main())
