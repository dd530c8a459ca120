"""Train the reference language model, measure it, and write it with its card.

    python scripts/models/train_reference_lm.py                      as committed: 51 minutes on one busy CPU core
    python scripts/models/train_reference_lm.py --recipe.seed 1 --out work/other --work work/1 --snapshot-every 400

The snapshots of the second are a series: `probe_llm.py --model work/1/snapshots --checkpoints "step-*"`.

Interrupted, the same command goes on from the last checkpoint in --work.
"""

import _root
from _command import ROOT, run

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from llm_probe.models.reference.recipe import Recipe, card


@dataclass(frozen=True)
class Options:
    """Where and how to train."""

    recipe: Recipe = field(default_factory=Recipe)
    """What is trained."""
    out: Path = ROOT / "llm_probe" / "models" / "reference" / "weights"
    """Folder of the finished model."""
    work: Path = Path("work/reference")
    """Folder of checkpoints and the log."""
    snapshot_every: int = 0
    """Keep the model every so many steps in the snapshots/ of --work, for a series of checkpoints; 0: never."""
    threads: int = 1
    """CPU threads; the committed weights were trained with one."""


def main() -> int:
    return run(__file__, Options, __doc__, train_and_measure, "the same command goes on from {0.work}")


def train_and_measure(options: Options, _: str) -> None:
    """Train, measure, and write the model with its card."""
    import torch

    from llm_probe.models.reference.train import measure, train
    from toy.run.files import write_atomic

    torch.set_num_threads(options.threads)
    started = time.monotonic()
    model, tokenizer = train(options.recipe, options.work, snapshot_every=options.snapshot_every)
    print(f"trained in {(time.monotonic() - started) / 60:.1f} minutes; measuring")
    measured = measure(model, tokenizer)
    model.config.dtype = torch.float32
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    write_atomic(options.out / "measured.json", json.dumps(measured, indent=1) + "\n")
    write_atomic(options.out / "README.md", card(options.recipe, measured))
    print(card(options.recipe, measured))


if __name__ == "__main__":
    sys.exit(main())
