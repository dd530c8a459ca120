"""Probing states that the user brings: `probe_activations`, the same analysis without a model.

states (n, locations, d), labels, operands  ->  LabelledClaim  ->  ArrayJob  ->  the analysis of `run.probe`

An `ArrayJob` takes rows of the arrays where a job reads a model's states. What needs a model or operands is not asked,
and the result says so under `not_asked` in run.json, on the terminal and in a notebook.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.activations.stored import Source, stored_states
from llm_probe.activations.streaming import ReadPlan, States, class_sums
from llm_probe.questions.claims import Claim
from llm_probe.questions.labelled import Column, LabelledClaim, Names, labelled_claim
from llm_probe.questions.prompts import Prompt
from llm_probe.run.config import ProbeConfig
from llm_probe.run.job import Job
from llm_probe.run.probe import analysed, checked
from llm_probe.run.result import ProbeResult
from llm_probe.run.study import Session
from llm_probe.run.vocabulary import ALPHA, Quantity, Weights
from llm_probe.statistics.renaming import n_item_orders
from toy.run.errors import InputError

NO_MODEL = {
    "answers": "no model is there to be asked",
    "origin": "which location is the token embedding is not known",
}
"""What is never asked of arrays, and why."""


def probe_activations(
    states: Source,
    labels: Column,
    period: int = 7,
    quantity: Quantity = "item",
    template: Column | None = None,
    first: Column | None = None,
    offset: Column | None = None,
    names: Names | None = None,
    random_states: Source | None = None,
    renamings: int = 4999,
    seed: int = 0,
    *,
    kinds: Sequence[int] | None = None,
) -> ProbeResult:
    """Probe states that were read already: is the quantity that their labels say on a circle?

    The analysis, its levels and its verdicts are those of `probe`, and on the states that `probe` reads so are its
    numbers. A claim's layer is the number of the location.

    Args:
        states: (n, d) or (n, locations, d), one row a prompt: a numpy array, a torch tensor, or the path of a .npy,
            .npz or .safetensors file or of a folder of shards (`llm_probe/activations/stored.py`).
        labels: (n,) integers in [0, period).
        period: how many labels there are on one turn of the circle.
        quantity: `item` where the label is something that the prompt mentions, `sum` where it is the result of
            (first op offset) mod period.
        template: (n,) which sentence every row was read in; those of confirmation are others than those of discovery.
        first: (n,) first operands of sums: integers, or where `names` are given the index of the item.
        offset: (n,) second operands of sums. Without operands a sum is analysed as an item is, and no circle is shown.
        names: (period,) of the labels, in order, or the name of a domain (`days`), which also brings the groups that a
            circle has to be more than.
        random_states: the same prompts in the same architecture with random weights; without them no circle is
            supported.
        renamings: of the null at most; the smallest p is 1 / (renamings + 1).
        seed: of the parts, the renamings and the bootstrap.
        kinds: (period,) names that share tokens cannot change places under the null: equal numbers for those that can;
            left out, all words can, and numbers that share no digit.

    Raises:
        InputError: a file that cannot be read, arrays that do not fit each other, labels outside [0, period), operands
            that do not give the labels, or too few rows.
    """
    claim = labelled_claim(labels, period, quantity, template, first, offset, names, kinds, seed)
    trained = stored_states(states)
    random = None if random_states is None else stored_states(random_states)
    for what, array in (("states", trained), ("random_states", random)):
        if array is not None and array.shape[:2] != (len(claim.given), trained.shape[1]):
            raise InputError(
                f"{what} has {len(array)} rows of {array.shape[1]} locations for {len(claim.given)} labels and "
                f"{trained.shape[1]} locations: give one row for each label, with the same locations in both"
            )
    config = ProbeConfig(
        model=Path(states).stem if isinstance(states, str | Path) else "activations",
        layers=tuple(range(trained.shape[1])),
        renamings=renamings,
        seed=seed,
        random_control=random is not None,
        blocks_control=False,
        behaviour=False,
    )
    left_out = _not_asked(claim, by_template=template is not None, random=random is not None, kinds=kinds is not None)
    return analysed(lambda session: ArrayJob(checked(config), session, trained, random, left_out), [claim], None)


def _not_asked(claim: LabelledClaim, *, by_template: bool, random: bool, kinds: bool) -> dict[str, str]:
    """Test to why it was not asked of these arrays."""
    is_item = claim.quantity == "item"
    reasons: dict[str, str | bool] = {
        **NO_MODEL,
        "random weights": not random and "give random_states; without them no circle is supported",
        "new templates": not by_template and "give template; what holds may hold in these sentences only",
        "operands": not claim.has_operands and "give first and offset; without them the level ends at `ordered`",
        "other moduli": claim.is_arithmetic and "states under one modulus cannot be compared with others",
        "published statistic": not is_item and "there is no grid of all operand pairs",
        "shared tokens": not (kinds or claim.adds_numbers) and "give kinds if some names share tokens",
        "random words": is_item
        and n_item_orders(claim, claim.kinds) < 1 / ALPHA
        and "the labels have too few orders, and words in their place need a model",
    }
    return {test: why for test, why in reasons.items() if isinstance(why, str)}


class ArrayJob(Job):
    """The share of a run that arrays fill in the place of a model."""

    def __init__(
        self,
        config: ProbeConfig,
        session: Session,
        states: Float[Tensor, "n locations d"],
        random_states: Float[Tensor, "n locations d"] | None,
        not_asked: dict[str, str],
        weights: Weights = "trained",
    ) -> None:
        """`random_states`: those of the untrained twin; `not_asked`: for run.json."""
        self.states, self.random_states, self.not_asked = states, random_states, not_asked
        fingerprint = hashlib.sha256(states.numpy().tobytes()).hexdigest()[:16]
        called = "states" if weights == "trained" else "random states"
        super().__init__(config, session, _no_model, weights, fingerprint, self._rows, _kinds, called)

    @property
    def d_model(self) -> int:
        return self.states.shape[-1]

    def describe(self) -> None:
        """What run.json says of arrays."""
        config = self.config
        facts = {
            "model": config.model,
            "layers": len(config.layers),
            "layers_probed": list(config.layers),
            "d_model": self.d_model,
            "weights_fingerprint": self.fingerprint,
            "control": "random_states" if config.random_control else None,
            "seed": config.seed,
            "renamings": config.renamings,
            "not_asked": self.not_asked,
        }
        self.session.identify(facts)

    def warn(self, claims: Sequence[Claim]) -> None:
        """Nothing: `not_asked` says it."""

    def untrained(self) -> tuple[Job, Job | None]:
        """The job of the random states."""
        assert self.random_states is not None, "the configuration asks for them only if they are there"
        return ArrayJob(self.config, self.session, self.random_states, None, {}, "random"), None

    def _rows(
        self, claim: Claim, discovery: Sequence[Prompt], confirmation: Sequence[Prompt], plan: ReadPlan, **_: Any
    ) -> States:
        """The rows of both parts; of items with their class means, as `streaming.read` has them."""
        assert isinstance(claim, LabelledClaim)
        old, new = (self.states[claim.rows(part)] for part in ("discovery", "confirmation"))
        if claim.quantity == "sum":
            return States(tuple(plan.cells), old, new, None)
        labels = torch.tensor([prompt.label for prompt in discovery])
        sums, counts = class_sums([(torch.arange(len(old)), old)], labels, claim.period)
        return States(tuple(plan.cells), old, new, sums / counts[:, None])


def _kinds(claim: Claim) -> list[int]:
    assert isinstance(claim, LabelledClaim)
    return list(claim.kinds)


def _no_model() -> NoReturn:
    raise AssertionError("arrays have no model")
