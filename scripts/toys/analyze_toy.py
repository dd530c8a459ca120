"""What a toy network computes: measurements, every picture, the film and a page, from a run or a checkpoint.

python scripts/toys/analyze_toy.py work/toy/fast-add-113                 a run directory: the results lie in it
python scripts/toys/analyze_toy.py wd_10-1_mod_addition.pth              a published checkpoint: the results beside it
python scripts/toys/analyze_toy.py checkpoint_24900.pt --split-seed 42 --train-frac 0.3 --out results/published
"""

import _root
from _command import run

import sys

import tyro

from toy.config import AnalysisRequest


def main() -> int:
    kept = "files that are there are whole, the same command makes all of them"
    return run(__file__, AnalysisRequest, __doc__, _analyze, kept, config=(tyro.conf.PositionalRequiredArgs,))


def _analyze(request: AnalysisRequest, command: str) -> None:
    from tqdm import tqdm

    from toy.pictures.examine import examine
    from toy.analysis.summary import terminal_table

    result = examine(request, command, lambda what, steps: tqdm(steps, what, disable=None))
    print(terminal_table(result.analysis), *(f"no figure {line}" for line in result.absent), sep="\n")
    print(f"{result.figures} figures and the page {result.folder / 'index.html'}")


if __name__ == "__main__":
    sys.exit(main())
