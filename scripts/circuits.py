"""Circuit questions: attention of the answer position, the logit lens, analogies, embeddings, the helix.

python scripts/circuits.py                                   the reference model, beside random weights
python scripts/circuits.py --model Qwen/Qwen3-0.6B --numbers 361
python scripts/circuits.py --model work/toy/fast/seed0       a toy: its embedding and the helix

Tables and figures go to circuits/ in the model's results folder; an interrupted run goes on where it was.
"""

from _command import run

import sys

from _page import rewrite

from llm_probe.circuits.table import CircuitsConfig


def main() -> int:
    return run(
        __file__, CircuitsConfig, __doc__, _run, "finished cells are in {0.folder}/cells: the same command goes on"
    )


def _run(config: CircuitsConfig, command: str) -> None:
    from llm_probe.circuits.run import run as study

    result = study(config, command)
    result.write(config.folder)
    if config.folder.name == "circuits":
        rewrite(config.folder.parent)
    print(result)
    print(f"\ntables and figures  {config.folder}")


if __name__ == "__main__":
    sys.exit(main())
