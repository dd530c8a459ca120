"""Interventions on the blocks behind the edit against re-running the whole model under hooks: speed, agreement.

python scripts/bench/bench_causal.py                                    the reference model, every layer
python scripts/bench/bench_causal.py --claims "mod-add 7" --edits 20 --out results/bench/causal.csv

Every edit adds a random direction to the state at one position. The two ways run in turn in one process, each with its
own clean pass; answers of two tokens ("15") are scored over both. Seconds are the processor's, on one thread, so that
other work on the machine counts less.
"""

import _root
from _command import run

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench._bench import keep


@dataclass(frozen=True)
class Options:
    """Minutes on one core."""

    model: str = "reference"
    """Hub id, local folder, or `reference`."""
    claims: tuple[str, ...] = ("mod-add 7", "mod-add 24")
    """Whose questions."""
    prompts: int = 500
    """Questions."""
    edits: int = 200
    """Interventions, the fast way: as many as a run draws at random at a place; the plain way a quarter of them."""
    repeats: int = 3
    """Times each; the median counts."""
    out: Path = Path("results/bench/causal.csv")
    """The table."""


def main() -> int:
    return run(__file__, Options, __doc__, bench, "nothing was written, the same command starts again")


def bench(options: Options, _: str) -> None:
    """Measure every claim and layer, print and write the table."""
    import torch

    from causal.interventions.questions import questions_of
    from causal.run.plan import claim_of
    from llm_probe.models.loading import load

    torch.set_num_threads(1)
    loaded = load(options.model)
    rows = []
    for name in options.claims:
        questions = questions_of(loaded, claim_of(name), "causal", options.prompts, 0)
        rows += [measured(loaded, questions, name, layer, options) for layer in range(len(loaded.layers))]
    keep(rows, None, options.out)


def measured(loaded, questions, name: str, layer: int, options: Options) -> dict:
    """Seconds an intervention both ways, and the largest difference of any answer's probability."""
    import torch

    from causal.interventions.engine import Engine

    generator = torch.Generator().manual_seed(layer)
    directions = torch.randn(options.edits, loaded.d_model, generator=generator)
    edits = [lambda states, _, one=one: states + one.to(states) for one in directions]
    few = edits[: max(1, options.edits // 4)]
    seconds: dict[str, list[float]] = {"fast": [], "whole": []}
    answers = {}
    for _ in range(options.repeats):
        for way, some in (("fast", edits), ("whole", few)):
            engine = Engine(loaded, questions, layer, whole=way == "whole")
            started = time.process_time()
            answers[way] = engine.answers(some)
            seconds[way].append((time.process_time() - started) / len(some))
    pairs = list(zip(answers["fast"], answers["whole"], strict=False))
    fast, whole = (statistics.median(values) for values in seconds.values())
    return {
        "model": options.model,
        "claim": name,
        "layer": layer,
        "prompts": len(questions.items),
        "edits": options.edits,
        "seconds_fast": fast,
        "seconds_whole": whole,
        "ratio": whole / fast,
        "largest_difference": max(float((one.log_p.exp() - other.log_p.exp()).abs().max()) for one, other in pairs),
        "same_answers": all(torch.equal(one.written, other.written) for one, other in pairs),
    }


if __name__ == "__main__":
    sys.exit(main())
