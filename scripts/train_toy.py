"""Train the toy whose circuit is known: weights, metrics and checkpoints in work/toy/<name>.

python scripts/train_toy.py                                        addition modulo 113, groks in seconds
python scripts/train_toy.py --preset nanda                         the original schedule
python scripts/train_toy.py --seeds 8 --modulus 97 --task multiply
python scripts/train_toy.py --config my.yaml --weight-decay 1

Presets: fast, nanda, published-001 to published-004. The same command goes on with an interrupted run.
"""

from _command import ended, read

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from toy.config import ToyConfig, preset, read_yaml
from toy.run.errors import InputError


@dataclass(frozen=True)
class Options:
    """How to run it."""

    toy: tyro.conf.OmitArgPrefixes[ToyConfig]
    out: Path | None = None
    """The run directory; by default work/toy/<preset>, with the task and modulus behind it."""
    seeds: int = 1
    """How many networks to train together: seed, seed + 1, …, each in a directory of its own."""
    minutes: float = float("inf")
    """Stop after so long, at a checkpoint: the same command goes on."""


def main() -> int:
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--preset", default="fast")
    first.add_argument("--config", type=Path)
    chosen, rest = first.parse_known_args()
    try:
        base = preset(chosen.preset)
        base = read_yaml(chosen.config, base) if chosen.config else base
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options = read(__file__, Options, __doc__, rest, default=Options(base))
    name, config = chosen.config.stem if chosen.config else chosen.preset, options.toy
    folder = options.out or Path("work/toy") / f"{name}-{config.task}-{config.modulus}"
    return ended(lambda: _train(options, folder), f"{folder} has the last checkpoint: the same command goes on")


def _train(options: Options, folder: Path) -> None:
    from tqdm import tqdm

    from toy.training.train import train

    bar = tqdm(total=options.toy.steps, unit="step", disable=None)

    def show(step: int, lines) -> None:
        bar.update(step - bar.n)
        worst = {part: min(line[f"{part}_accuracy"] for line in lines) for part in ("train", "test")}
        bar.set_postfix({part: f"{accuracy:.3f}" for part, accuracy in worst.items()})

    with bar:
        finished = train(options.toy, folder, seeds=options.seeds, minutes=options.minutes, report=show)
    print("seed  memorised  grokked  train acc  test acc  train loss  test loss")
    for run, milestones in zip(finished.runs, finished.milestones, strict=True):
        last = run.metrics()[-1]
        print(
            f"{run.config.seed:4d}  {milestones.memorised_at!s:>9}  {milestones.grokked_at!s:>7}"
            f"  {last['train_accuracy']:9.4f}  {last['test_accuracy']:8.4f}  {last['train_loss']:10.2e}"
            f"  {last['test_loss']:9.2e}"
        )
    print(f"{finished.reason} at step {finished.step}, {finished.seconds:.1f} s   {folder}")


if __name__ == "__main__":
    sys.exit(main())
