"""Probe a language model: tables, figures and a page in results/<model>, one table on the terminal.

python scripts/probe_llm.py                                         the reference model
python scripts/probe_llm.py --model Qwen/Qwen3-0.6B --domains mod days months --moduli 7 11
"""

import _root

import shlex
import sys

import tyro
from _frame import ended
from _page import rewrite

from llm_probe.config import ProbeConfig


def main() -> int:
    config = tyro.cli(ProbeConfig, description=__doc__, prog="python scripts/probe_llm.py")
    return ended(lambda: _probe(config), f"finished cells are in {config.folder / 'cells'}: the same command goes on")


def _probe(config: ProbeConfig) -> None:
    from llm_probe.run import run_config
    from llm_probe.write import write_results

    command = shlex.join(["python", "scripts/probe_llm.py", *sys.argv[1:]])
    result = run_config(config, command)
    write_results(result, config.folder)
    rewrite(config.folder)
    print(result)


if __name__ == "__main__":
    sys.exit(main())
