"""Probe a language model: tables, figures and a page in results/<model>, one table on the terminal.

python scripts/probe_llm.py                                         the reference model
python scripts/probe_llm.py --model Qwen/Qwen3-0.6B --domains mod days months --moduli 7 11
"""

import _root

import shlex
import sys

import tyro
from _page import rewrite

from llm_probe.config import ProbeConfig
from toy.errors import InputError


def main() -> int:
    config = tyro.cli(ProbeConfig, description=__doc__, prog="python scripts/probe_llm.py")
    command = shlex.join(["python", "scripts/probe_llm.py", *sys.argv[1:]])
    try:
        from llm_probe.run import run_config
        from llm_probe.write import write_results

        result = run_config(config, command)
        write_results(result, config.folder)
        rewrite(config.folder)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; finished cells are in {config.folder / 'cells'}: the same command goes on", file=sys.stderr)
        return 130
    print(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
