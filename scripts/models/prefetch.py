"""Download the models of a grid on a machine that has a network, so that compute nodes need none.

python scripts/models/prefetch.py grid.yaml                        every model and revision of a sweep
python scripts/models/prefetch.py --models Qwen/Qwen3-0.6B Qwen/Qwen3-1.7B --revision main

Then run with HF_HUB_OFFLINE=1, and with HF_HOME set to the same folder on both: scripts/slurm/sweep.sbatch does.
Configuration, tokenizer and safetensors weights are fetched; what is in the cache is not fetched again.
"""

import _root
from _command import run

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from _kinds import KINDS
from llm_probe.sweep.grid import kind_of, read_grid
from toy.run.errors import InputError

PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.jinja", "tokenizer*", "*.model"]


@dataclass(frozen=True)
class Options:
    """What to download."""

    grid: tyro.conf.Positional[Path | None] = None
    """A grid of scripts/sweep.py."""
    models: tuple[str, ...] = ()
    """Hub ids besides."""
    revision: str | None = None
    """Branch, tag or commit of these."""
    max_cells: int = 100_000
    """A grid with more is refused."""


def main() -> int:
    return run(__file__, Options, __doc__, fetch, "the same command goes on")


def fetch(options: Options, _: str) -> None:
    """Download every model once and say where it lies."""
    wanted = dict.fromkeys((name, options.revision) for name in options.models)
    if options.grid:
        grid = read_grid(options.grid)
        cells = grid.cells(kind_of(KINDS, grid.kind), options.max_cells)
        wanted |= dict.fromkeys(
            (getattr(one.config, "model", "reference"), getattr(one.config, "revision", None)) for one in cells
        )
    for name, revision in wanted:
        print(f"{name}{f' at {revision}' if revision else ''}: {fetched(name, revision)}")


def fetched(name: str, revision: str | None) -> str:
    """Where a model lies now.

    Raises:
        InputError: it cannot be reached, does not exist, or the disk is full.
    """
    from huggingface_hub import snapshot_download

    from llm_probe.models.hub import explained

    if name == "reference" or Path(name).expanduser().exists():
        return "here already"
    with explained(name, revision):
        try:
            return snapshot_download(name, revision=revision, allow_patterns=PATTERNS)
        except OSError as error:
            if error.errno == 28:  # ENOSPC
                raise InputError(f"the disk is full: make room under HF_HOME and fetch {name} again") from error
            raise


if __name__ == "__main__":
    sys.exit(main())
