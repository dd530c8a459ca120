"""The rows of a series of checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

from llm_probe.run.vocabulary import Position, Quantity, Site, Verdict


@dataclass(frozen=True)
class CheckpointRow:
    """One claim at one checkpoint; columns of the same name are those of verdicts.csv."""

    checkpoint: str
    """Name of the checkpoint: a revision or a folder."""
    step: int
    """Step of the checkpoint."""
    tokens: float | None
    """Tokens that the training had seen; empty where nothing says how many."""
    domain: str
    """Name of the domain, such as `days` or `mod-add 7`."""
    quantity: Quantity
    """`sum` for the answer to a question, `item` for the item that a statement mentions."""
    period: int
    """Number of items of the domain, or the modulus."""
    level: str
    """The most that was shown: nothing, decodable, clusters, ordered, helix or circle."""
    verdict: Verdict
    """The verdict: supported, refuted or undetermined, with one random twin for all checkpoints as the control."""
    reason: str
    """What decided the verdict."""
    site: Site
    """Site of the chosen plane."""
    position: Position
    """Token at which the chosen plane was read."""
    layer: int
    """Block of the chosen plane, counted from 0."""
    frequency: int
    """Frequency k of the chosen plane."""
    plane_r2: float
    """R² of new prompts under the plane that was chosen and fitted on discovery prompts."""
    plane_r2_low: float
    """Lower end of the 95 % bootstrap interval of `plane_r2`."""
    plane_r2_high: float
    """Upper end of that interval."""
    random_r2: float | None
    """What the same search reaches with random weights."""
    p_fwer: float
    """The largest p of the tests that a circle has to pass."""
    p_integer: float | None
    """Of sums: p that the integer itself is held."""
    class_mean_r2: float | None
    """The published statistic at its best dimension and layer."""
    accuracy: float | None
    """Share of the questions without examples that are answered exactly; empty for items."""
    accuracy_low: float | None
    """Lower end of the 95 % interval of `accuracy`."""
    accuracy_high: float | None
    """Upper end of that interval."""
    chance: float | None
    """Share that guessing gives."""
    moved: float | None = None
    """Of sums that are answered beyond guessing: share of prompts whose answer is j steps on after the state at this
    place is moved to where that answer's states are on average, along all circles of the answer (as
    `moved_plane` of causal_mediators.csv)."""
    moved_low: float | None = None
    """Lower end of its 95 % interval."""
    moved_high: float | None = None
    """Upper end of that interval."""
    moved_by_chance: float | None = None
    """The same along as many random directions."""
    use: str | None = None
    """Of the two strongest circles: `used`, `read, not used` or `undetermined`, beside as many trained directions."""
    algorithm: str | None = None
    """Which algorithm accounts for what turns of the circles do: `clock`, `base-10 then reduce`, `look-up`, `mixed`,
    `undetermined`; empty where no turns tell them apart."""


@dataclass(frozen=True)
class CheckpointCircleRow:
    """One item's mean on the plane of the verdict at one checkpoint (held out)."""

    step: int
    """Step of the checkpoint."""
    domain: str
    """Name of the domain."""
    quantity: Quantity
    """Whether it is a `sum` or an `item`."""
    label: int
    """The label, from 0 to period - 1."""
    item: str
    """Name of the item with this label."""
    frequency: int
    """Frequency k of the plane."""
    x: float
    """Predicted cosine, mean over prompts that were left out of the fit."""
    y: float
    """Predicted sine, mean over prompts that were left out of the fit."""


@dataclass(frozen=True)
class ChangeRow:
    """The step from which something stands above its null (`emergence.changes`)."""

    domain: str
    """Name of the domain."""
    quantity: Quantity
    """Whether it is a `sum` or an `item`."""
    period: int
    """Number of items of the domain, or the modulus."""
    event: str
    """`answered`: questions, beyond guessing; `read`: the plane, beyond random weights and renamed labels; `integer`:
    the integer result itself, of sums of numbers the level `helix`; `ordered` and `circle`: the level reached, or a
    higher one; `moved`: answers follow along the circles, beyond guessing and random directions; `used`: they do so
    along the two strongest."""
    n: int
    """Number of checkpoints."""
    exceeding: int
    """At how many of them it stands above its null."""
    step: int | None
    """The likeliest first step; empty where no change is reported."""
    above_at: int | None
    """Of the 95 % interval the last step: by then it stands above."""
    not_yet_at: int | None
    """The step before the interval: there it does not; empty where the interval begins with the first checkpoint."""
    never: float
    """Posterior probability that there is no such step."""


USE = ("moved", "moved_low", "moved_high", "moved_by_chance", "use", "algorithm")
"""Columns of `CheckpointRow` that need interventions."""
TABLES: dict[str, type] = {
    "checkpoints": CheckpointRow,
    "checkpoint_circles": CheckpointCircleRow,
    "changes": ChangeRow,
}
