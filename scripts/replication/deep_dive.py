"""The published deep-dive experiments with the controls they lacked: tables, figures and a sentence each.

python scripts/replication/deep_dive.py                                             the reference model, all experiments
python scripts/replication/deep_dive.py --model Qwen/Qwen3-0.6B --dims 35 867 505  the published dimensions followed too
python scripts/replication/deep_dive.py --experiments primes range --layers 1 2

Results go to results/deep_dive/<model>; an interrupted run goes on where it was.
"""

import _root
from _command import ended

import shlex
import sys

import tyro

from llm_probe.replication.experiments.reader import DeepDiveConfig


def main() -> int:
    config = tyro.cli(DeepDiveConfig, description=__doc__, prog="python scripts/replication/deep_dive.py")
    return ended(lambda: _dive(config), f"finished cells are in {config.folder / 'cells'}: the same command goes on")


def _dive(config: DeepDiveConfig) -> None:
    from llm_probe.replication.experiments.deep_dive import deep_dive

    result = deep_dive(config, shlex.join(["python", "scripts/replication/deep_dive.py", *sys.argv[1:]]))
    result.write(config.folder)
    print(f"{result}\ntables and figures  {config.folder}")


if __name__ == "__main__":
    sys.exit(main())
