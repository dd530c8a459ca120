"""Probe a language model: tables, figures and a page in results/<model>, one table on the terminal.

python scripts/probe_llm.py                                         the reference model
python scripts/probe_llm.py --model Qwen/Qwen3-0.6B --domains mod days months --moduli 7 11
"""

from _command import ended

import shlex
import sys

import tyro
from _page import rewrite

from llm_probe.run.config import ProbeConfig


def main() -> int:
    config = tyro.cli(ProbeConfig, description=__doc__, prog="python scripts/probe_llm.py")
    return ended(lambda: _probe(config), f"finished cells are in {config.folder / 'cells'}: the same command goes on")


def _probe(config: ProbeConfig) -> None:
    from llm_probe.run.probe import plan_of, run

    command = shlex.join(["python", "scripts/probe_llm.py", *sys.argv[1:]])
    plan = plan_of(config)
    result = run(plan, config.folder, command)
    result.write(config.folder)
    rewrite(config.folder)
    print(result)


if __name__ == "__main__":
    sys.exit(main())
