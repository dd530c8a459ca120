"""The typed rows of a causal run; the docstrings are the column descriptions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from causal.attribution.routing_rows import RoutingRow
from causal.attribution.rows import AgreementRow, AttributionRow, PlaneLogitRow

Verdict = str
"""`causal`, `not causal at this power`, `not specific`, or `cannot be tested`."""


@dataclass(frozen=True)
class CausalRow:
    """One direction under one intervention at one position in one condition."""

    domain: str
    """`mod-add 7`, …: whose circle it is."""
    period: int
    """Its period."""
    layer: int
    """Block that is edited."""
    site: str
    """Its site."""
    position: str
    """`last`: the prompt's last token; `answer`: also the answer's own tokens; `all`: every position; `like answer`:
    every position whose state looks like an answer's place (`causal/interventions/gates.py`)."""
    direction: str
    """`planes k = …`, `dim …`; or a control: `random` (equal norm), `matched` (equal removed variance), `shuffled`,
    `period …`, `top variance`."""
    intervention: str
    """`mean`, `zero`, `unwrite`, `resample`, `rotate`, `rotate orthonormal`, `interchange`, `full interchange`."""
    condition: str
    """The questions asked: the domain's own, or another domain's; `text` for language."""
    n: int
    """Prompts (documents for text)."""
    accuracy_before: float | None = None
    """Exact match over all answer tokens, greedy, unedited."""
    accuracy: float | None = None
    """The same under the edit (controls: mean over draws)."""
    change_low: float | None = None
    """95 % Newcombe interval of the change: …"""
    change_high: float | None = None
    """… upper end."""
    p: float | None = None
    """Exact McNemar."""
    constrained: float | None = None
    """Share whose most probable of the possible answers is right."""
    log_p_change: float | None = None
    """Mean change of the right answer's log-probability, nats."""
    moved: float | None = None
    """P(answer = s + j) averaged over j = 1 … p-1 (rotation), or P(answer = the donor's) (interchange)."""
    moved_low: float | None = None
    """95 % bootstrap interval, clustered on operand pairs: …"""
    moved_high: float | None = None
    """… upper end."""
    stayed: float | None = None
    """P(answer = s), averaged over the same turns."""
    slope: float | None = None
    """Circular regression of the shift on j; 1 where the answer follows."""
    resultant: float | None = None
    """How tightly it follows; 1 at best."""
    rank: float | None = None
    """Empirical p among the draws of the control named in `against` (share at least as extreme) …"""
    against: str | None = None
    """… the one with the largest p."""
    draws: int | None = None
    """Draws of the control (a control's own row: behind its means)."""
    extreme: float | None = None
    """Control rows: the most extreme draw (largest `moved`, or lowest accuracy)."""
    delta_norm: float | None = None
    """Mean ||Δh|| at the prompt's last token."""
    removed_variance: float | None = None
    """Variance of the discovery states on the basis."""
    manifold_share: float | None = None
    """Share of ||Δh||² within the components that hold 99 % of the stream's variance."""
    edited_share: float | None = None
    """Text: share of the positions that are edited."""
    nats: float | None = None
    """Text: nats per token, unedited."""
    nats_change: float | None = None
    """Text: its change …"""
    nats_low: float | None = None
    """… with its 90 % interval, paired by document: …"""
    nats_high: float | None = None
    """… upper end."""
    p_equivalence: float | None = None
    """TOST at 0.01 nat: small where the change is shown to be smaller."""
    equivalent: bool | None = None
    """p_equivalence < 0.05."""


@dataclass(frozen=True)
class RotationRow:
    """One bin of the histogram of answers after a rotation."""

    domain: str
    """Whose circle was turned."""
    period: int
    """Its period."""
    layer: int
    """Block."""
    site: str
    """Site."""
    position: str
    """`last` or `answer`."""
    direction: str
    """The planes, or a control (all draws together)."""
    intervention: str
    """`rotate` or `rotate orthonormal`."""
    j: int
    """Steps turned; 0: not at all."""
    shift: int
    """(answer - s) mod p; -1: greedy decoding wrote none of the answers."""
    share: float
    """Of the prompts."""
    n: int
    """Prompts behind it (times draws)."""


@dataclass(frozen=True)
class ControlDraw:
    """One draw of a control."""

    domain: str
    """Whose circle it is a control of."""
    layer: int
    """Block."""
    site: str
    """Site."""
    position: str
    """`last` or `answer`."""
    control: str
    """`random`, `matched`, `shuffled`."""
    intervention: str
    """`mean` or `rotate`."""
    draw: int
    """Number of the draw."""
    turns: int
    """How many j it was turned by, spread over 1 … p-1; 0 for ablation."""
    effect: float
    """Accuracy after ablation, or P(answer = s + j) averaged over these j."""
    stayed: float
    """P(answer = s), averaged likewise."""


@dataclass(frozen=True)
class MapRow:
    """What a state carries: the answer after it is exchanged for that of a prompt with another first operand."""

    domain: str
    """The questions."""
    layer: int
    """Block."""
    position: str
    """`item`: the first operand's last token; `offset`, `last`."""
    patch: str
    """`full`: the whole state."""
    donor: float
    """P(answer = the donor's)."""
    own: float
    """P(answer = the prompt's own)."""
    n: int
    """Prompts."""


@dataclass(frozen=True)
class VerdictRow:
    """What became of one circle."""

    domain: str
    """Whose circle."""
    layer: int
    """Block."""
    site: str
    """Site."""
    position: str
    """Positions edited together."""
    direction: str
    """Its planes."""
    verdict: Verdict
    """`causal`, `not causal at this power`, `not specific`, `cannot be tested`."""
    sentence: str
    """Why, in numbers."""
    false_calls: int | None = None
    """How many of the draws of shuffled labels the same rule of the turn calls causal …"""
    false_draws: int | None = None
    """… of so many."""


@dataclass(frozen=True)
class AlgorithmRow:
    """One algorithm's account of how answers moved when circles of one kind were turned (`predictions`)."""

    domain: str
    """Whose sums."""
    layer: int
    """Block."""
    site: str
    """Site."""
    position: str
    """`last` or `answer`."""
    algorithm: str
    """`clock`, `base-10 then reduce`, `look-up`, `mixed`."""
    kind: str
    """The circles turned: `modulus` or `base 10`."""
    rule: str
    """What a turn does to the answer: `step`, or for base 10 `digit` or `carry`."""
    carries: bool
    """Whether circles of this kind carry the answer under this algorithm."""
    moved: float
    """Estimated share of answers that move as predicted, …"""
    stayed: float
    """… that stay …"""
    noise: float
    """… and that go anywhere."""
    log_likelihood: float
    """Of the judged pairs, both kinds together."""
    below_best: float
    """How far below the best algorithm's."""
    verdict: str
    """The algorithm that won, or `undetermined`."""
    ratio: float
    """Log-likelihood of the likeliest pure algorithm (of `mixed`, if that won) minus that of its best rival."""
    reason: str
    """Why, in numbers."""
    n_pairs: int
    """Operand pairs that were judged on."""


@dataclass(frozen=True)
class PredictionRow:
    """One bin of the histogram of answers after a turn, observed and as every algorithm predicts it."""

    domain: str
    """Whose sums."""
    layer: int
    """Block."""
    kind: str
    """The circles turned: `modulus` or `base 10`."""
    step: int
    """By so many units of the sum."""
    shift: int
    """(answer - s) mod p."""
    observed: float
    """Share of the answers (each weighted by its probability among the p)."""
    clock: float
    """The same as a clock predicts it, …"""
    base_10: float
    """… base-10 then reduce, …"""
    look_up: float
    """… a look-up, …"""
    mixed: float
    """… and a mixture."""


@dataclass(frozen=True)
class PatchRow:
    """A model of the states, put in the place of what it explains: how much of a donor's answer comes with it."""

    domain: str
    """Whose sums."""
    layer: int
    """Block."""
    site: str
    """Site."""
    position: str
    """Where states are exchanged."""
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
    """The same as a share of that of `full`."""
    n: int
    """Prompts."""


@dataclass(frozen=True)
class SweepRow:
    """One dimension of the stream, held at its mean."""

    domain: str
    """The questions."""
    layer: int
    """Block."""
    dim: int
    """Dimension."""
    n: int
    """Prompts."""
    accuracy_before: float
    """Exact match, unedited."""
    accuracy: float
    """The same without the dimension."""
    change_low: float
    """95 % Newcombe interval of the change: …"""
    change_high: float
    """… upper end."""
    p: float
    """Exact McNemar."""
    p_holm: float
    """The same corrected (Holm) for every dimension of the sweep and every domain."""
    log_p_change: float
    """Mean change of the right answer's log-probability, nats."""
    delta_norm: float
    """Mean ||Δh||."""


TABLES: dict[str, type] = {
    "causal_table": CausalRow,
    "rotation": RotationRow,
    "causal_controls": ControlDraw,
    "causal_map": MapRow,
    "causal_patches": PatchRow,
    "causal_algorithm": AlgorithmRow,
    "causal_predictions": PredictionRow,
    "causal_attribution": AttributionRow,
    "causal_agreement": AgreementRow,
    "causal_plane_logits": PlaneLogitRow,
    "causal_routing": RoutingRow,
    "causal_verdicts": VerdictRow,
    "causal_sweep": SweepRow,
}

Row = TypeVar("Row")


@dataclass
class Piece:
    """Rows of several tables that were made together."""

    tables: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, *rows: Any) -> None:
        """Rows, each to the table of its type."""
        for row in rows:
            self.tables.setdefault(_NAMES[type(row)], []).append(row)

    def of(self, kind: type[Row]) -> list[Row]:
        """The rows of a type."""
        return self.tables.get(_NAMES[kind], [])

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries."""
        return {name: [asdict(row) for row in rows] for name, rows in self.tables.items()}

    @staticmethod
    def from_json(content: dict[str, Any]) -> Piece:
        """The reverse of `to_json`."""
        return Piece({name: [TABLES[name](**row) for row in rows] for name, rows in content.items()})

    @staticmethod
    def joined(pieces: Iterable[Piece]) -> Piece:
        """All rows of all pieces."""
        found = Piece()
        for piece in pieces:
            for rows in piece.tables.values():
                found.add(*rows)
        return found


_NAMES = {kind: name for name, kind in TABLES.items()}
