"""The published ablation: one dimension zeroed at every position, 50 pairs, one template.

unixsysdev/grokking-fourier (commit 536610f), causal_ablation.py: 50 pairs below the modulus as "{a} + {b} mod {p} =",
`output[:, :, dim] = 0` of one block at every position, also while the answer is written. Its text was ten sentences;
here it is the text of the run, with intervals. The same rows come with McNemar's test, the interval of the change and
mean ablation, because zero is far from what these dimensions usually hold.
"""

from __future__ import annotations

import numpy as np

from causal.experiments import measure
from causal.experiments.experiment import Experiment
from causal.experiments.measure import Bench
from causal.interventions import sites
from causal.interventions.batches import EVERYWHERE
from causal.interventions.questions import ask
from causal.run.table import Piece
from llm_probe.questions.prompts import published_grid
from toy.run.errors import InputError

PAIRS = 50
SEED = 42
CONDITION = "published"


def published_piece(experiment: Experiment) -> Piece:
    """Rows of zero and mean ablation at every position.

    Raises:
        InputError: the domain has no published grid.
    """
    claim = experiment.claim
    if not claim.domain.has_grid:
        raise InputError(f"{claim.domain.name} has no published grid: choose another claim")
    grid = published_grid(claim.domain)
    chosen = np.random.default_rng(SEED).choice(len(grid), size=min(PAIRS, len(grid)), replace=False)
    questions = ask(experiment.loaded, [grid[index] for index in chosen], claim.domain.items)
    states = experiment.engine("last", questions).states()
    engine = experiment.engine(EVERYWHERE, questions)
    bench = Bench(questions, engine.clean(), states, experiment.config.seed)
    makers = {"zero": sites.zero, "mean": sites.mean}
    found = engine.answers([make(experiment.root) for make in makers.values()], experiment.tick)
    piece = Piece()
    piece.add(
        *(
            experiment.label(EVERYWHERE, experiment.name, name, CONDITION).row(
                len(questions.items),
                **measure.accuracy(bench, after),
                **measure.size(bench, experiment.root, makers[name](experiment.root)),
            )
            for name, after in zip(makers, found, strict=True)
        )
    )
    return piece
