"""Turn, swap or remove the circles that a probe run found, beside controls, and watch the answers.

python scripts/run_causal.py                                             every accepted circle of the reference model
python scripts/run_causal.py --claims "mod-add 7" days --prompts 1000
python scripts/run_causal.py --model Qwen/Qwen3-0.6B --dims 7:8 9:35 14:867 --protocol published

Tables and figures go to causal/ in the probe run's folder; an interrupted run goes on where it was.
"""

import _root

import shlex
import sys

import tyro

from causal.config import CausalConfig
from toy.errors import InputError


def main() -> int:
    config = tyro.cli(CausalConfig, description=__doc__, prog="python scripts/run_causal.py")
    command = shlex.join(["python", "scripts/run_causal.py", *sys.argv[1:]])
    try:
        from causal.run import run
        from causal.write import write_results

        result = run(config, command)
        write_results(result, config.folder)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; finished cells are in {config.folder / 'cells'}: the same command goes on", file=sys.stderr)
        return 130
    print(result)
    print(f"\ntables and figures  {config.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
