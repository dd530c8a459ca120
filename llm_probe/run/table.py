"""The tables a run writes: one dataclass a row, and reading, writing and joining them.

Every result of this package is a tidy table; figures and the page read nothing else. An empty cell (None) means
"not applicable" and never "zero". `results/README.md` explains the columns to the people who open the files.

    r2_table.csv    R2Row         one regression: domain x position x site x layer x (dimension | plane) x family
    verdicts.csv    VerdictRow    one claim: domain x quantity
    behaviour.csv   BehaviourRow  can the model do the task: domain x grid x template
    circles.csv     CircleRow     class means on the best plane of a layer
    scan.csv        ScanRow       variance share at the domain's own period and at others
    controls.csv    ControlRow    the same search for what should not be there: claim x control
    invariants.csv  InvariantRow  the judged plane in numbers that no rotation of the stream changes
    examples.csv    ExampleRow    three prompts with the model's answers
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import pandas as pd

ALPHA = 0.01
"""Level of every test that enters a verdict."""

Weights = Literal["trained", "random"]
Quantity = Literal["sum", "item"]
Verdict = Literal["supported", "refuted", "undetermined"]
Site = Literal["resid_post", "mlp_out", "attn_out"]
Position = Literal["last", "item", "offset", "modulus"]
Control = Literal[
    "shuffled", "difference", "sum", "latin_square", "reordered", "no_modulus", "wrong_modulus", "random_weights",
    "random_blocks",
]  # fmt: skip


@dataclass(frozen=True)
class R2Row:
    """One fitted family at one place."""

    weights: Weights
    """`trained`: the model as given; `random`: the same architecture with freshly drawn weights."""
    domain: str
    """`days`, `mod-add 7`, …"""
    period: int
    """Number of items, or the modulus."""
    quantity: Quantity
    """`sum`: the answer to a question; `item`: the item a statement mentions."""
    position: Position
    """The token that was read: the last one, or the last token of an operand, the modulus or the item."""
    site: Site
    """`resid_post`: the stream after the block; `mlp_out`, `attn_out`: what a part of the block adds to it."""
    layer: int
    """0-based block; the value is the block's output (before any final norm)."""
    unit: Literal["dimension", "plane"]
    """One residual dimension (labels to activation), or the best plane of all of them (activations to circle)."""
    dim: int | None
    """Index of the residual dimension; empty for a plane."""
    family: Literal["fourier", "linear", "quadratic", "cubic", "sawtooth", "polynomial_total"]
    """What was fitted: `fourier` is [cos, sin] of one frequency, the others are its rivals; `polynomial_total` is a
    parabola in the integer result, the other polynomials are in the label."""
    frequency: int | None
    """k of the Fourier pair; empty for a rival."""
    r2_class_means: float | None
    """The published statistic: in-sample R² of the n class means over the published grid."""
    r2_partial: float | None
    """Share of the per-prompt variance left by the nuisances that the family explains (discovery prompts)."""
    aicc_gain: float | None
    """AICc of the nuisances alone minus AICc with the family: positive is better."""
    r2_heldout: float | None
    """Held out by operand pair (sum) or by item (item), discovery prompts."""
    r2_heldout_templates: float | None
    """Each template predicted from the others."""
    r2_heldout_residues: float | None
    """Held out by residue: the fit must extrapolate round the wrap."""
    variance_share: float | None
    """Planes: the frequency's share of the variance between class means, all dimensions together."""
    angle_error: float | None
    """Median |predicted - true angle| of held-out prompts, radians; a uniform guess gives 1.57."""
    p_fwer: float | None
    """Corrected over every dimension or plane, layer, site, position and frequency searched for this claim."""
    n_prompts: int
    """Discovery prompts behind the row."""
    n_groups: int
    """Operand pairs or items: what is left out together."""


@dataclass(frozen=True)
class VerdictRow:
    """One claim - this domain's quantity lies on a circle of this period - and what became of it."""

    domain: str
    """`days`, `mod-add 7`, …"""
    period: int
    """Number of items, or the modulus."""
    quantity: Quantity
    """`sum` or `item`."""
    cyclic: bool
    """False for a linear control."""
    accuracy: float | None
    """Exact match on the questions, all templates; empty for items and for encoders."""
    accuracy_low: float | None
    """Lower end of its 95 % Wilson interval."""
    accuracy_high: float | None
    """Upper end."""
    layer: int
    """Block of the plane that is judged."""
    layers_held: str
    """Layers whose best plane beats its null, as `9-14, 20`; empty if none."""
    site: Site
    """Its site."""
    position: Position
    """Its token."""
    frequency: int
    """Its k."""
    plane_r2: float
    """Confirmation prompts, plane chosen and fitted on discovery prompts."""
    plane_r2_low: float
    """Lower end of its interval:"""
    plane_r2_high: float
    """95 % bootstrap interval, clustered on operand pairs or items."""
    random_r2: float | None
    """The same search and confirmation on the same architecture with random weights."""
    null_r2: float
    """95th percentile of the largest discovery R² under the renaming null."""
    angle_error: float
    """Median angle error on the confirmation prompts, radians; a uniform guess gives 1.57."""
    random_angle_error: float | None
    """The same with random weights."""
    p_fwer: float
    """Corrected over everything searched: renaming null and, where operands are numbers, `p_selective` (the larger)."""
    p_holm: float
    """The same corrected over all claims of the run (Holm)."""
    p_selective: float | None
    """Whether it is this period rather than every period, by weighted Bonferroni: min(1, p_assignment / 0.75,
    p_period / 0.25), or the one of the two that can be tested; empty where operands are words."""
    p_assignment: float | None
    """Are periods read best under their own moduli: all moduli together, corrected over planes and dimensions."""
    assignment_effect: float | None
    """How much more this period gains under its own modulus than under the others, nats, in the best plane."""
    p_period: float | None
    """Does this period stand out in the variance spectrum; None where the sums span too few periods to ask."""
    closure: float | None
    """Items only: 1 if the last item is next to the first, 0 if they are as far apart as opposite ones."""
    best_dim: int | None
    """The dimension with the largest class-mean R², the published statistic …"""
    best_dim_layer: int | None
    """… its layer …"""
    best_dim_frequency: int | None
    """… and its k."""
    class_mean_r2: float | None
    """The published statistic at its best dimension and layer."""
    random_class_mean_r2: float | None
    """What the same search reaches with random weights."""
    noise_class_mean_r2: float | None
    """Median of the same maximum on independent noise (Beta law)."""
    control: str | None
    """The label control that is read best (`controls.csv`) …"""
    control_r2: float | None
    """… and its R²."""
    explained_by: str | None
    """A simpler quantity that takes most of the circle away (`hypotheses`), with both shares; empty if none does."""
    verdict: Verdict
    """`supported`, `refuted` or `undetermined`; the rules are in `llm_probe/verdicts/judgement.py`."""
    reason: str
    """Why, in words."""
    n_discovery: int
    """Prompts on which everything was chosen."""
    n_confirmation: int
    """Prompts on which the choice was tested once."""


@dataclass(frozen=True)
class BehaviourRow:
    """Exact match of one template of one grid."""

    domain: str
    """`days`, `mod-add 7`, …"""
    period: int
    """Number of items, or the modulus."""
    grid: Literal["published", "decoupled"]
    """`published`: operands below the period; `decoupled`: operands over many periods."""
    template: str
    """Name of the question template."""
    n_prompts: int
    """Questions asked."""
    exact: float
    """Share whose greedy continuation is the answer, all tokens, up to a leading space."""
    exact_low: float
    """Lower end of its interval:"""
    exact_high: float
    """95 % Wilson interval."""
    constrained: float
    """Share whose most probable of the n possible answers is the right one."""
    constrained_low: float
    """Lower end of its 95 % Wilson interval."""
    constrained_high: float
    """Upper end."""
    chance: float
    """1 / period."""


@dataclass(frozen=True)
class CircleRow:
    """One item's mean on the best plane of a layer (held out: the item's own prompts did not fit the plane)."""

    weights: Weights
    """`trained` or `random`."""
    domain: str
    """`days`, …"""
    quantity: Quantity
    """`sum` or `item`."""
    site: Site
    """Where it was read."""
    position: Position
    """At which token."""
    layer: int
    """In which block."""
    frequency: int
    """k of the cell's best plane."""
    label: int
    """0 … period - 1."""
    item: str
    """Its name."""
    x: float
    """Predicted cosine, mean over prompts that were left out."""
    y: float
    """Predicted sine."""


@dataclass(frozen=True)
class ScanRow:
    """Share of the residual stream's variance at one period of the integer result, discovery prompts."""

    weights: Weights
    """`trained` or `random`."""
    domain: str
    """An arithmetic domain."""
    layer: int
    """Block."""
    site: Site
    """Site."""
    position: Position
    """Token."""
    scanned_period: float
    """Period in units of the integer result."""
    share: float
    """Of the variance that template and single operands leave, all dimensions together."""


@dataclass(frozen=True)
class ControlRow:
    """The largest held-out R² of the same search for something that should not be there."""

    domain: str
    """`days`, `mod-add 7`, …"""
    period: int
    """Number of items, or the modulus."""
    quantity: Quantity
    """`sum` or `item`."""
    control: Control
    """`shuffled` labels; `difference` (or `sum`): the other operation; `latin_square`: a task of the same form without
    a circle; `reordered` items; `no_modulus`: the prompts without it; `wrong_modulus`: this period under the other
    moduli; `random_weights`; `random_blocks`: random weights with the trained embeddings kept."""
    r2: float
    """Discovery prompts, largest over cells, frequencies and penalties."""
    layer: int
    """Where that is."""
    site: Site
    """Its site."""
    position: Position
    """Its token."""
    frequency: int | None
    """Its k; empty where only the largest was kept."""
    n_prompts: int
    """Discovery prompts behind it."""


@dataclass(frozen=True)
class InvariantRow:
    """The judged plane of one claim under one set of weights, in numbers that no rotation of the stream changes."""

    weights: Weights
    """`trained` or `random`."""
    domain: str
    """`days`, …"""
    period: int
    """Number of items, or the modulus."""
    quantity: Quantity
    """`sum` or `item`."""
    layer: int
    """Block of the plane that is judged."""
    site: Site
    """Its site."""
    position: Position
    """Its token."""
    frequency: int
    """Its k."""
    resultant: float
    """|mean exp(i(predicted - true angle))| of the confirmation prompts: 1 at best, near 0 by chance."""
    decode_accuracy: float
    """Share of confirmation prompts nearest to their own residue's place on the circle."""
    decode_chance: float
    """The same by guessing."""
    kappa: float | None
    """Cohen's kappa of that decoding."""
    circulant: float | None
    """Share of the class means' Gram matrix that is circulant (two halves of the prompts); 1 on a circle."""
    circulant_beyond_simplex: float | None
    """The same beyond equal distances, which have no order."""
    circulant_noise: float | None
    """What means without order reach of that."""
    circulant_line: float | None
    """What equally spaced points on a line reach."""
    phi_share: float | None
    """Fourier power at the period and its harmonics (Φ_T) as a share of all variance: between / (between + within)."""
    f_ratio: float | None
    """Mean square between residues over that within; 1 for noise."""
    r2_wraps: float | None
    """Plane R², each parity of the quotient predicted from the other; empty where sums span fewer than four periods."""
    r2_without_massive: float | None
    """Plane R² held out by pair or item without the four dimensions of largest root mean square."""


@dataclass(frozen=True)
class ExampleRow:
    """One prompt and what the model wrote."""

    domain: str
    """`days`, …"""
    prompt: str
    """What the model was shown."""
    answer: str
    """The right answer."""
    model_answer: str
    """Its greedy continuation, first line."""
    right: bool
    """Whether that is an exact match."""


TABLES: dict[str, type] = {
    "r2_table": R2Row,
    "verdicts": VerdictRow,
    "behaviour": BehaviourRow,
    "circles": CircleRow,
    "scan": ScanRow,
    "controls": ControlRow,
    "invariants": InvariantRow,
    "examples": ExampleRow,
}


def frame(rows: list, row_type: type) -> pd.DataFrame:
    """Rows as a DataFrame with the columns of `row_type`, also when there are none."""
    names = [field.name for field in fields(row_type)]
    return pd.DataFrame([vars(row) for row in rows], columns=names)
