"""The tables a run writes: one dataclass a row, and reading, writing and joining them.

Every result of this package is a tidy table; figures and the page read nothing else. An empty cell (None) means
"not applicable" and never "zero". `results/README.md` explains the columns to the people who open the files.

    r2_table.csv    R2Row         one regression: domain x position x site x layer x (dimension | plane) x family
    verdicts.csv    VerdictRow    one claim: domain x quantity
    behaviour.csv   BehaviourRow  can the model do the task: domain x grid x template
    circles.csv     CircleRow     class means on the best plane of a layer
    points.csv      PointRow      single prompts on the plane where the verdict was read
    scan.csv        ScanRow       variance share at the domain's own period and at others
    controls.csv    ControlRow    the same search for what should not be there: claim x control
    invariants.csv  InvariantRow  the judged plane in numbers that no rotation of the stream changes
    examples.csv    ExampleRow    three prompts with the model's answers
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

import pandas as pd

from llm_probe.run.verdict_row import VerdictRow
from llm_probe.run.vocabulary import Control, Position, Quantity, Site, Weights


@dataclass(frozen=True)
class R2Row:
    """One fitted family at one place."""

    weights: Weights
    """`trained` for the model as given, `random` for the same architecture with freshly drawn weights."""
    domain: str
    """Name of the domain, such as `days` or `mod-add 7`."""
    period: int
    """Number of items of the domain, or the modulus."""
    quantity: Quantity
    """`sum` for the answer to a question, `item` for the item that a statement mentions."""
    position: Position
    """Token that was read: the last of the prompt, or the last of an operand, of the modulus or of the item."""
    site: Site
    """`resid_post` for the residual stream after the block, `mlp_out` or `attn_out` for what that part of the block
    adds to it."""
    layer: int
    """Block whose output was read, counted from 0, before any final norm; -1 for the token embedding, which is what the
    first block reads."""
    unit: Literal["dimension", "plane"]
    """`dimension` for one residual dimension (labels to activation), `plane` for the best plane of all of them
    (activations to circle)."""
    dim: int | None
    """Index of the residual dimension; empty for a plane."""
    family: Literal["fourier", "linear", "quadratic", "cubic", "sawtooth", "polynomial_total"]
    """Curve that was fitted: `fourier` is [cos, sin] of one frequency, the others are its rivals; `polynomial_total` is
    a parabola in the integer result, the other polynomials are in the label."""
    frequency: int | None
    """Frequency k of the Fourier pair; empty for a rival."""
    r2_class_means: float | None
    """The published statistic: in-sample R² of the n class means over the published grid."""
    r2_partial: float | None
    """Share of the per-prompt variance that the nuisances leave and the family explains, on discovery prompts."""
    aicc_gain: float | None
    """AICc of the nuisances alone minus AICc with the family: positive values favour the family."""
    r2_heldout: float | None
    """R² held out by operand pair (sum) or by item (item), on discovery prompts."""
    r2_heldout_templates: float | None
    """R² where each template is predicted from the others."""
    r2_heldout_residues: float | None
    """R² held out by residue: the fit must extrapolate round the wrap."""
    variance_share: float | None
    """Of a plane: share of the variance between class means at this frequency, all dimensions together."""
    angle_error: float | None
    """Median |predicted - true angle| of held-out prompts in radians; a uniform guess gives 1.57."""
    p_renaming: float | None
    """p under the renaming null, corrected over every dimension or plane, layer, site, position and frequency that was
    searched for this claim."""
    p_fwer: float | None
    """The larger of `p_renaming` and the `p_selective` of the claim (`verdicts.csv`), because both nulls must fall."""
    n_prompts: int
    """Number of discovery prompts behind the row."""
    n_groups: int
    """Number of operand pairs or items, which are left out together."""


@dataclass(frozen=True)
class BehaviourRow:
    """Exact match of one template of one grid."""

    domain: str
    """Name of the domain, such as `days` or `mod-add 7`."""
    period: int
    """Number of items of the domain, or the modulus."""
    grid: Literal["published", "decoupled"]
    """`published` for operands below the period, `decoupled` for operands over many periods."""
    template: str
    """Name of the question template."""
    n_prompts: int
    """Number of questions."""
    exact: float
    """Share of questions whose greedy continuation is the answer, all tokens of it, up to a leading space."""
    exact_low: float
    """Lower end of the 95 % Wilson interval of `exact`."""
    exact_high: float
    """Upper end of the 95 % Wilson interval of `exact`."""
    constrained: float
    """Share of questions of which the most probable of the n possible answers is the right one."""
    constrained_low: float
    """Lower end of the 95 % Wilson interval of `constrained`."""
    constrained_high: float
    """Upper end of the 95 % Wilson interval of `constrained`."""
    chance: float
    """Share that guessing gives: 1 / period, of plain sums 1 / the number of possible sums."""
    shots: int = 0
    """Worked examples of the same template before the question."""


@dataclass(frozen=True)
class CircleRow:
    """One item's mean on the best plane of a layer (held out: the item's own prompts did not fit the plane)."""

    weights: Weights
    """`trained` for the model as given, `random` for the same architecture with freshly drawn weights."""
    domain: str
    """Name of the domain, such as `days` or `mod-add 7`."""
    quantity: Quantity
    """`sum` for the answer to a question, `item` for the item that a statement mentions."""
    site: Site
    """Site at which the state was read."""
    position: Position
    """Token at which the state was read."""
    layer: int
    """Block whose output was read, counted from 0; -1 for the token embedding, which is what the first block reads."""
    frequency: int
    """Frequency k of the best plane of this layer, site and position."""
    label: int
    """The label, from 0 to period - 1."""
    item: str
    """Name of the item with this label."""
    x: float
    """Predicted cosine, mean over prompts that were left out of the fit."""
    y: float
    """Predicted sine, mean over prompts that were left out of the fit."""
    z: float | None = None
    """Beside the plane, in radii of the circle: where the class means of the other items differ most."""


@dataclass(frozen=True)
class PointRow:
    """One discovery prompt on the best plane of the place of the verdict (held out), of at most 120 a claim."""

    weights: Weights
    """`trained` for the model as given, `random` for the same architecture with freshly drawn weights."""
    domain: str
    """Name of the domain, such as `days` or `mod-add 7`."""
    quantity: Quantity
    """`sum` for the answer to a question, `item` for the item that a statement mentions."""
    site: Site
    """Site at which the verdict was read."""
    position: Position
    """Token at which the verdict was read."""
    layer: int
    """Block at which the verdict was read, counted from 0; the same under random weights."""
    frequency: int
    """Frequency k of the best plane there."""
    label: int
    """The label, from 0 to period - 1."""
    prompt: str
    """Text that the model was shown; of states without a model the number of the row."""
    x: float
    """Predicted cosine, by a fit to prompts with other operands or items."""
    y: float
    """Predicted sine, by the same fit."""
    z: float
    """Height beside the plane, as of `circles.csv`."""


@dataclass(frozen=True)
class ScanRow:
    """Share of the residual stream's variance at one period of the integer result, discovery prompts."""

    weights: Weights
    """`trained` for the model as given, `random` for the same architecture with freshly drawn weights."""
    domain: str
    """Name of a domain about arithmetic, such as `mod-add 7`."""
    layer: int
    """Block whose output was read, counted from 0."""
    site: Site
    """Site at which the state was read."""
    position: Position
    """Token at which the state was read."""
    scanned_period: float
    """Period in units of the integer result."""
    share: float
    """Share of the variance that template and single operands leave, all dimensions together."""


@dataclass(frozen=True)
class ControlRow:
    """The largest held-out R² of the same search for something that should not be there."""

    domain: str
    """Name of the domain, such as `days` or `mod-add 7`."""
    period: int
    """Number of items of the domain, or the modulus."""
    quantity: Quantity
    """`sum` for the answer to a question, `item` for the item that a statement mentions."""
    control: Control
    """`shuffled` labels; `difference` (or `sum`), the other operation; `latin_square`, a task of the same form without
    a circle; `reordered` items; `no_modulus`, the prompts without it; `wrong_modulus`, this period under the other
    moduli; `random_weights`; `random_blocks`, random weights with the trained embeddings kept."""
    r2: float
    """R² on discovery prompts, largest over places, frequencies and penalties."""
    layer: int
    """Block with the largest R², counted from 0."""
    site: Site
    """Site with the largest R²."""
    position: Position
    """Token with the largest R²."""
    frequency: int | None
    """Frequency k with the largest R²; empty where only the largest value was kept."""
    n_prompts: int
    """Number of discovery prompts behind the row."""


@dataclass(frozen=True)
class InvariantRow:
    """The judged plane of one claim under one set of weights, in numbers that no rotation of the stream changes."""

    weights: Weights
    """`trained` for the model as given, `random` for the same architecture with freshly drawn weights."""
    domain: str
    """Name of the domain, such as `days` or `mod-add 7`."""
    period: int
    """Number of items of the domain, or the modulus."""
    quantity: Quantity
    """`sum` for the answer to a question, `item` for the item that a statement mentions."""
    layer: int
    """Block whose output holds the chosen plane, counted from 0."""
    site: Site
    """Site of the chosen plane."""
    position: Position
    """Token at which the chosen plane was read."""
    frequency: int
    """Frequency k of the chosen plane."""
    values: Mapping[str, float | None]
    """One column for every entry of `PLANE_STATISTICS` in `llm_probe/statistics/registry.py`."""

    @staticmethod
    def registered() -> dict[str, tuple[str, int]]:
        """The columns that `values` stands for: name to (meaning, version of the tables that brought it)."""
        from llm_probe.statistics.registry import PLANE_STATISTICS  # loads torch

        return {name: (statistic.meaning, statistic.since) for name, statistic in PLANE_STATISTICS.items()}


@dataclass(frozen=True)
class ExampleRow:
    """One prompt and what the model wrote."""

    domain: str
    """Name of the domain, such as `days` or `mod-add 7`."""
    prompt: str
    """Text that the model was shown."""
    answer: str
    """The right answer."""
    model_answer: str
    """Greedy continuation of the model, first line."""
    right: bool
    """Whether the continuation is an exact match."""


TABLES: dict[str, type] = {
    "r2_table": R2Row,
    "verdicts": VerdictRow,
    "behaviour": BehaviourRow,
    "circles": CircleRow,
    "points": PointRow,
    "scan": ScanRow,
    "controls": ControlRow,
    "invariants": InvariantRow,
    "examples": ExampleRow,
}


def columns_of(row_type: type) -> dict[str, int]:
    """Column names of a table, in order, each with the version that brought a registered one (declared ones: 0)."""
    columns: dict[str, int] = {}
    for field in fields(row_type):
        registered = row_type.registered() if field.name == "values" else {field.name: ("", 0)}
        columns |= {name: since for name, (_, since) in registered.items()}
    return columns


def frame(rows: list, row_type: type) -> pd.DataFrame:
    """Rows as a DataFrame with the columns of `row_type`, also when there are none."""
    flat = [{**vars(row), **getattr(row, "values", {})} for row in rows]
    return pd.DataFrame(flat, columns=list(columns_of(row_type)))
