"""Is the circle used at a checkpoint of a training, and which algorithm adds there? The causal columns of a series.

At the place of each verdict the circles of the answer are fitted on discovery prompts and moved on others, beside as
many trained directions (`mediators`), and turned as `algorithm` demands. Sums that are not answered beyond guessing
have nothing to move, and keep empty columns.
"""

from __future__ import annotations

from dataclasses import replace

from causal.algorithms.algorithm import which
from causal.algorithms.algorithm_probe import observations, order_of
from causal.algorithms.mediator_probe import ExperimentPlace
from causal.algorithms.mediators import Mediator, strongest
from causal.algorithms.predictions import can_be_told
from causal.experiments.experiment import Experiment
from causal.interventions.directions import Location
from causal.interventions.trained_subspace import STEPS
from causal.run.config import CausalConfig
from llm_probe.emergence.series import Intervene
from llm_probe.emergence.table import CheckpointRow
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim

DISCOVERY, PROMPTS = 1000, 300
"""Prompts to fit on, and to move."""
TWO = 2


def interventions(seed: int) -> Intervene:
    """What fills in the causal columns of a row; `seed`: of prompts and controls."""

    def intervene(loaded: LoadedModel, claim: Claim, row: CheckpointRow) -> CheckpointRow:
        if claim.domain.possible_answers != claim.domain.items:
            return row  # answers without a period: nothing to turn
        config = CausalConfig(discovery=DISCOVERY, prompts=PROMPTS, control_prompts=PROMPTS, seed=seed)
        place: Location = (row.layer, row.site, row.position)
        known = claim.tested_frequencies
        experiment = Experiment(loaded, config, claim, place, known)
        if not experiment.can_be_tested:
            return row
        mediator = Mediator(ExperimentPlace(experiment), seed, starts=1, steps=STEPS)
        whole = mediator.mediation(known)
        two = mediator.mediation(strongest(mediator.place.means[0], known, TWO))
        low, high = whole.interval("plane")
        moved = {"moved": whole.moved["plane"], "moved_low": low, "moved_high": high}
        return replace(
            row, **moved, moved_by_chance=whole.moved["random"], use=two.use, algorithm=_algorithm(experiment)
        )

    return intervene


def _algorithm(experiment: Experiment) -> str | None:
    """The algorithm that accounts for the turns; None where no turns tell algorithms apart."""
    if not can_be_told(experiment.claim.period):
        return None
    return which(observations(experiment), lambda: order_of(experiment), experiment.config.seed).algorithm
