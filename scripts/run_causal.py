"""Rotate, exchange or remove the circles that a probe run accepted, beside controls, and measure how answers change.

python scripts/run_causal.py                                             every accepted circle of the reference model
python scripts/run_causal.py --claims "mod-add 7" days --prompts 1000
python scripts/run_causal.py --claims "mod-add 7" --places 1:offset      its circle at a place that was not accepted
python scripts/run_causal.py --claims days --quantity item --places 0:item   the circle of the items it is asked with
python scripts/run_causal.py --succession                                the next item, moved along the items' circle
python scripts/run_causal.py --addition                                  sums of digits, an operand and the sum moved
python scripts/run_causal.py --neurons                                   do the sums share the neurons they need?
python scripts/run_causal.py --claims "mod-add 7" --sweep 2              every dimension of a layer, one at a time
python scripts/run_causal.py --model Qwen/Qwen3-0.6B --sweep all --dry-run
python scripts/run_causal.py --model Qwen/Qwen3-0.6B --dims 7:8 9:35 14:867 14:100 9:500 --protocol published

Tables and figures go to causal/ in the probe run's folder, a section to its page; an interrupted run goes on where it
was.
"""

from _command import run

import sys

from _page import rewrite

from causal.run.config import CausalConfig


def main() -> int:
    return run(
        __file__, CausalConfig, __doc__, _run, "finished cells are in {0.folder}/cells: the same command goes on"
    )


def _run(config: CausalConfig, command: str) -> None:
    from causal.run.plan import plan
    from causal.run.causal_run import run as study

    if config.dry_run:
        print(plan(config))
        return
    result = study(config, command)
    result.write(config.folder)
    if config.folder in [
        config.source / name for name in ("causal", "causal-succession", "causal-addition", "causal-neurons")
    ]:
        rewrite(config.source)
    print(result)
    print(f"\ntables and figures  {config.folder}")


if __name__ == "__main__":
    sys.exit(main())
