"""What a toy network computes: measurements, every picture, the film and a page, from a run or a checkpoint.

python scripts/analyze_toy.py work/toy/fast-add-113                 a run directory: the results lie in it
python scripts/analyze_toy.py wd_10-1_mod_addition.pth              a published checkpoint: the results beside it
python scripts/analyze_toy.py checkpoint_24900.pt --split-seed 42 --train-frac 0.3 --out results/published
"""

from _command import ended

import shlex
import sys

import tyro

from toy.config import AnalysisRequest


def main() -> int:
    request = tyro.cli(
        AnalysisRequest,
        description=__doc__,
        prog="python scripts/analyze_toy.py",
        config=(tyro.conf.PositionalRequiredArgs,),
    )
    return ended(lambda: _analyze(request), "files that are there are whole, the same command makes all of them")


def _analyze(request: AnalysisRequest) -> None:
    from tqdm import tqdm

    from toy.pictures.examine import examine
    from toy.analysis.summary import terminal_table

    command = shlex.join(["python", "scripts/analyze_toy.py", *sys.argv[1:]])
    result = examine(request, command, lambda what, steps: tqdm(steps, what, disable=None))
    print(terminal_table(result.analysis), *(f"no figure {line}" for line in result.absent), sep="\n")
    print(f"{result.figures} figures and the page {result.folder / 'index.html'}")


if __name__ == "__main__":
    sys.exit(main())
