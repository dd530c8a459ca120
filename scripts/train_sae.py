"""Train sparse autoencoders on the blocks of a model: SAELens folders and what each is worth, in work/sae/<model>.

python scripts/train_sae.py                                                  every layer of the reference model
python scripts/train_sae.py --layers 1 2 --seeds 0 1 2                       three each, from one pass
python scripts/train_sae.py --layers 1 2 --seeds 0 1 2 --weights random      the baseline: an untrained model
python scripts/train_sae.py --model Qwen/Qwen3-0.6B --layers 9 14 --width 16384 --k 64 --tokens 100000000 \\
    --dataset HuggingFaceFW/fineweb-edu

An interrupted run goes on where it was; SAEs that are there are not trained again.
"""

from _command import run

import sys
from collections.abc import Callable

from sae.config import SaeConfig

COLUMNS = (
    "l0", "fvu", "fvu_text", "fvu_task", "ce_recovered", "ce_recovered_text", "ce_recovered_task", "dead_share",
    "dense_share",
)  # fmt: skip


def main() -> int:
    kept = "{0.folder} keeps the last minute's checkpoints: the same command goes on"
    return run(__file__, SaeConfig, __doc__, _train, kept)


def _train(config: SaeConfig, command: str) -> None:
    from sae.training.train import train

    print(table(train(config, command, progress(config.batch))))
    print(f"\nSAEs  {config.folder}")


def progress(batch: int) -> Callable[[int, int], None]:
    """A progress bar in states and states per second, of the slowest SAE."""
    from tqdm import tqdm

    bars: list[tqdm] = []

    def show(done: int, steps: int) -> None:
        if not bars:  # what an interrupted run had done is no part of this one's speed
            bars.append(tqdm(total=steps * batch, initial=(done - 1) * batch, unit=" tokens", unit_scale=True))
        bars[0].update(batch)
        if done == steps:
            bars[0].close()

    return show


def table(records: list[dict]) -> str:
    """One line for each SAE."""
    import pandas as pd

    from toy.run.terminal import table_text

    rows = pd.DataFrame([record | record["measures"] for record in records])
    keys = ["layer", "site", "seed"]
    return table_text(rows.reindex(columns=[*keys, *COLUMNS]).astype(dict.fromkeys(COLUMNS, float)), keys, digits=3)


if __name__ == "__main__":
    sys.exit(main())
