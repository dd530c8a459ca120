"""The row types of a causal run and the tables they make; the docstring of a field is the description of its column.

Rows of algorithms, mediators and doses are in `causal.algorithms.tables`, of heads, MLPs and routes in
`causal.attribution.tables`, of a sweep, of the next item and of sums of digits in `causal.experiments.tables`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from causal.algorithms.tables import AlgorithmRow, DoseRow, MediatorRow, OrderRow, PredictionRow
from causal.attribution.tables import AgreementRow, AttributionRow, NeuronRow, PlaneLogitRow, RoutingRow
from causal.experiments.tables import AdditionMoveRow, AdditionRow, MoveRow, SuccessionRow, SweepRow
from causal.interventions.edits import meanings

Verdict = str
"""`causal: circle`, `causal: answer code`, `causal`, `not tested for harm`, `not causal at this power`, `not specific`,
or `cannot be tested`."""


@dataclass(frozen=True)
class CausalRow:
    """One direction under one intervention at one position in one condition."""

    domain: str
    """Domain whose circle was edited, such as `mod-add 7`."""
    period: int
    """Period of the domain's circle."""
    layer: int
    """Block whose output was edited, counted from 0."""
    site: str
    """Site of the block that was edited."""
    position: str
    """`last`: the prompt's last token; `answer`: also the answer's own tokens; `all`: every position; `like answer`:
    every position whose state looks like an answer's place (`Gate` in `causal/interventions/edits.py`)."""
    direction: str
    """`planes k = 1, 2`, `dim 35`; or a control: `random` (equal norm), `matched` (equal removed variance), `shuffled`,
    `period 5`, `top variance`."""
    intervention: str
    """Name of the intervention, explained above this table (`INTERVENTIONS` in `causal/interventions/edits.py`)."""
    condition: str
    """Questions that were answered: the domain's own, or another domain's; `text` for language."""
    n: int
    """Number of prompts (of documents for text)."""
    accuracy_before: float | None = None
    """Exact match over all answer tokens, greedy, unedited."""
    accuracy: float | None = None
    """Exact match under the edit (controls: mean over draws)."""
    change_low: float | None = None
    """Lower end of the 95 % Newcombe interval of the change of accuracy."""
    change_high: float | None = None
    """Upper end of that interval."""
    p: float | None = None
    """Exact McNemar test of the change of accuracy."""
    constrained: float | None = None
    """Share of prompts whose most probable of the possible answers is right."""
    log_p_change: float | None = None
    """Mean change of the right answer's log-probability, nats."""
    moved: float | None = None
    """P(answer = s + j) averaged over j from 1 to p-1 (rotation), or P(answer = the donor's) (interchange)."""
    moved_low: float | None = None
    """Lower end of the 95 % bootstrap interval of `moved`, clustered on operand pairs."""
    moved_high: float | None = None
    """Upper end of that interval."""
    stayed: float | None = None
    """P(answer = s), averaged over the same turns."""
    slope: float | None = None
    """Slope of the circular regression of the shift on j; 1 where the answer follows the turn."""
    resultant: float | None = None
    """How tightly the answer follows that regression; 1 at best."""
    rank: float | None = None
    """Empirical p (share of draws at least as extreme) among the draws of the control named in `against`."""
    against: str | None = None
    """Control with the largest empirical p."""
    draws: int | None = None
    """Draws of that control (in a control's own row: behind its means)."""
    extreme: float | None = None
    """Most extreme draw of a control: the largest `moved`, or the lowest accuracy."""
    delta_norm: float | None = None
    """Mean ||Δh|| at the prompt's last token."""
    removed_variance: float | None = None
    """Variance of the discovery states on the basis."""
    manifold_share: float | None = None
    """Share of ||Δh||² within the components that hold 99 % of the stream's variance."""
    edited_share: float | None = None
    """Share of the positions of the text that are edited."""
    nats: float | None = None
    """Nats per token of the unedited text."""
    nats_change: float | None = None
    """Change of the nats per token of the text."""
    nats_low: float | None = None
    """Lower end of the 90 % interval of that change, paired by document."""
    nats_high: float | None = None
    """Upper end of that interval."""
    p_equivalence: float | None = None
    """Equivalence test (TOST) at 0.01 nat: small where the change is shown to be smaller."""
    harm: str | None = None
    """`spared`: p_equivalence < 0.05; `not tested`: under 1 % of the positions were edited, where even one nat at each
    of them would stay below the margin; `not spared` otherwise."""


CausalRow.__doc__ = f"{CausalRow.__doc__} The interventions: {meanings()}"


@dataclass(frozen=True)
class RotationRow:
    """One bin of the histogram of answers after a rotation."""

    domain: str
    """Domain whose circle was turned."""
    period: int
    """Period of the circle."""
    layer: int
    """Block whose output was edited, counted from 0."""
    site: str
    """Site of the block that was edited."""
    position: str
    """Tokens that were edited: `last` or `answer`."""
    direction: str
    """Planes that were turned, or a control (all draws together)."""
    intervention: str
    """Way of turning: `rotate` or `rotate orthonormal`."""
    j: int
    """Steps by which the circle was turned; 0: not at all."""
    shift: int
    """Shift of the answer, (answer - s) mod p; -1: greedy decoding wrote none of the answers."""
    share: float
    """Share of the prompts in this bin."""
    n: int
    """Number of prompts (times draws) behind the histogram."""


@dataclass(frozen=True)
class ControlDraw:
    """One draw of a control."""

    domain: str
    """Domain whose circle it is a control of."""
    layer: int
    """Block whose output was edited, counted from 0."""
    site: str
    """Site of the block that was edited."""
    position: str
    """Tokens that were edited: `last` or `answer`."""
    control: str
    """Kind of control: `random`, `matched`, `shuffled`."""
    intervention: str
    """What was done along the draw: `mean` or `rotate`."""
    draw: int
    """Number of the draw."""
    turns: int
    """Number of steps j it was turned by, spread over 1 to p-1; 0 for ablation."""
    effect: float
    """Accuracy after ablation, or P(answer = s + j) averaged over these j."""
    stayed: float
    """P(answer = s), averaged likewise."""


@dataclass(frozen=True)
class MapRow:
    """What a state carries: the answer after it is exchanged for that of a prompt with another first operand."""

    domain: str
    """Domain whose questions were answered."""
    layer: int
    """Block whose output was exchanged, counted from 0."""
    position: str
    """Token at which states are exchanged: `item`, the first operand's last; `offset`; `last`."""
    patch: str
    """What is exchanged: `full`, the whole state."""
    donor: float
    """P(answer = the donor's)."""
    own: float
    """P(answer = the prompt's own)."""
    n: int
    """Number of prompts."""


@dataclass(frozen=True)
class VerdictRow:
    """What became of one circle."""

    domain: str
    """Domain of the circle."""
    layer: int
    """Block whose output was edited, counted from 0."""
    site: str
    """Site of the block that was edited."""
    position: str
    """Tokens that were edited together."""
    direction: str
    """Name of the circle's planes."""
    verdict: Verdict
    """`causal: circle`, `causal: answer code`, `causal` (neither was shown), `not tested for harm`, `not specific`,
    `not causal at this power`, `cannot be tested`."""
    sentence: str
    """Reason of the verdict, in numbers."""
    geometry: str | None = None
    """What the tests of order say of the answers (`word` of causal_order), whatever the verdict."""
    harm: str | None = None
    """`not spared` if one text was harmed, `spared` if every tested text was not, `not tested` otherwise."""
    false_calls: int | None = None
    """Draws of shuffled labels that the same rule of the turn calls causal."""
    false_draws: int | None = None
    """Draws of shuffled labels."""


@dataclass(frozen=True)
class PatchRow:
    """A model of the states, put in the place of what it explains: how much of a donor's answer comes with it."""

    domain: str
    """Domain whose sums were answered."""
    layer: int
    """Block whose output was edited, counted from 0."""
    site: str
    """Site of the block that was edited."""
    position: str
    """Tokens at which states are exchanged."""
    patch: str
    """`circles` (the claim's own), `helix`, `polynomial`, `shuffled helix`, or `full`: the donor's whole state."""
    columns: int
    """Coefficients a dimension, beside the constant; 0 for `full`."""
    r2: float
    """Share of the states' variance that the model explains on prompts it was not fitted on; 1 for `full`."""
    donor: float
    """P(answer = the donor's)."""
    own: float
    """P(answer = the prompt's own)."""
    logit_difference: float
    """Mean change of log P(donor's answer) - log P(own answer), nats."""
    share_of_full: float
    """That change as a share of the change of `full`."""
    n: int
    """Number of prompts."""


TABLES: dict[str, type] = {
    "causal_table": CausalRow,
    "rotation": RotationRow,
    "causal_controls": ControlDraw,
    "causal_map": MapRow,
    "causal_patches": PatchRow,
    "causal_algorithm": AlgorithmRow,
    "causal_order": OrderRow,
    "causal_predictions": PredictionRow,
    "causal_mediators": MediatorRow,
    "causal_dose": DoseRow,
    "causal_attribution": AttributionRow,
    "causal_agreement": AgreementRow,
    "causal_plane_logits": PlaneLogitRow,
    "causal_routing": RoutingRow,
    "causal_verdicts": VerdictRow,
    "shared_neurons": NeuronRow,
    "causal_sweep": SweepRow,
    "succession": SuccessionRow,
    "succession_moves": MoveRow,
    "addition": AdditionRow,
    "addition_moves": AdditionMoveRow,
}
"""Name of a table to the type of its rows."""
_NAMES = {kind: name for name, kind in TABLES.items()}


def by_table(rows: Iterable[Any]) -> dict[str, list[Any]]:
    """Table name to rows, each in the table of its type."""
    tables: dict[str, list[Any]] = {}
    for row in rows:
        tables.setdefault(_NAMES[type(row)], []).append(row)
    return tables
