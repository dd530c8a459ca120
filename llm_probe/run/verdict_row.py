"""The record of one verdict: a row of verdicts.csv."""

from __future__ import annotations

from dataclasses import dataclass

from llm_probe.run.vocabulary import Level, OrderNull, Origin, Position, Quantity, Site, Verdict


@dataclass(frozen=True)
class VerdictRow:
    """One claim - this domain's quantity lies on a circle of this period - and what became of it."""

    domain: str
    """Name of the domain, such as `days` or `mod-add 7`."""
    period: int
    """Number of items of the domain, or the modulus."""
    quantity: Quantity
    """`sum` for the answer to a question, `item` for the item that a statement mentions."""
    cyclic: bool
    """False for a linear control, on which no circle should be supported."""
    accuracy: float | None
    """Exact match on the questions of all templates; empty for items and for encoders."""
    accuracy_low: float | None
    """Lower end of the 95 % Wilson interval of the accuracy."""
    accuracy_high: float | None
    """Upper end of the 95 % Wilson interval of the accuracy."""
    layer: int
    """Block whose output holds the chosen plane, counted from 0."""
    layers_held: str
    """Layers whose best plane beats its null, such as `9-14, 20`; empty if there is none."""
    site: Site
    """Site of the chosen plane."""
    position: Position
    """Token at which the chosen plane was read."""
    frequency: int
    """Frequency k of the chosen plane."""
    plane_r2: float
    """R² of the confirmation prompts under the plane that was chosen and fitted on discovery prompts."""
    plane_r2_low: float
    """Lower end of the 95 % bootstrap interval of `plane_r2`, clustered on operand pairs or items."""
    plane_r2_high: float
    """Upper end of the 95 % bootstrap interval of `plane_r2`, clustered on operand pairs or items."""
    agreement: float
    """Correlation of predicted with true points of the confirmation prompts, whatever the scale of the prediction."""
    agreement_low: float
    """Lower end of its 95 % bootstrap interval, clustered as that of `plane_r2`."""
    agreement_high: float
    """Upper end of that interval."""
    random_r2: float | None
    """R² of the same search and confirmation on the same architecture with random weights."""
    null_r2: float
    """95th percentile of the largest discovery R² of the whole search under the renaming null."""
    angle_error: float
    """Median angle error on the confirmation prompts in radians; a uniform guess gives 1.57."""
    random_angle_error: float | None
    """Median angle error of the same search with random weights."""
    p_renaming: float
    """p of the chosen plane under the renaming null alone, corrected over all that was searched for the claim."""
    p_fwer: float
    """The largest p of the tests that a circle has to pass, each corrected over everything that was searched:
    `p_order` (`p_redrawn` where there is one), and of sums `p_renaming` and `p_selective`."""
    p_holm: float
    """`p_fwer` corrected over all claims of the run (Holm), weighted by how small a p its labels allow; 1 where they
    allow none that is small enough. `supported` needs 0.05 or less."""
    p_selective: float | None
    """p that this period and not every period is carried: of numbers a weighted Bonferroni combination of
    `p_assignment` (1/2), `p_contrast` and `p_period` (1/4 each; those that could be run share the weights), of sums
    that begin with a word `p_repeats`; empty for items."""
    p_assignment: float | None
    """p that periods are read best under their own moduli, of all moduli of the family together, corrected over planes
    and dimensions."""
    assignment_effect: float | None
    """Gain of this period under its own modulus minus what the cells of the gain table off the diagonal predict for it
    (row, column and size effects), in the best plane of the judged frequency (above 3: of any), in nats."""
    p_contrast: float | None
    """p that this period gains more under its own modulus than the rest of the gain table predicts for it."""
    p_repeats: float | None
    """p that the code of the integer result repeats with this period, against integers in other orders; of sums whose
    first operand is a word it is the test of selectivity."""
    p_order: float | None
    """p that the answers (items) stand in this order round the circle, against other orders that keep the hardest of
    the named partitions; corrected over places and frequencies."""
    p_axes: float | None
    """The same p of that axis of the plane which is worse."""
    order_null: OrderNull | None
    """What a circle has to beat: `orders`, other orders of the answers (items), by `p_order` and `p_axes`; or `words`,
    of items that share tokens or are too few for a hundred orders, by `p_redrawn` and `p_redrawn_axes`."""
    p_redrawn: float | None
    """p that the items lie better on the circle than random words that share tokens in the same way would in their
    place; corrected over places. Empty where `order_null` is `orders`, or something else that a circle needs was not
    passed."""
    p_redrawn_axes: float | None
    """The same p of that axis of the plane which is worse."""
    circle_share: float | None
    """Share of the variance between answers (items) that lies at the frequency of the plane: a circle alone has 1."""
    rival: str | None
    """The shape that comes closest to the circle, or is likelier: clusters (with their name), runs of neighbours, a
    line, an open arc, a folded line."""
    rival_ratio: float | None
    """Log likelihood ratio of the circle to that rival, in nats; negative where the rival is likelier."""
    p_shape: float | None
    """p of the likeliest shape of any kind, against other orders of the answers (items)."""
    p_integer: float | None
    """Of sums: p that integers of one residue are told apart, so that the integer itself is held."""
    helix_periods: str | None
    """Periods at which the integer is held, the strongest first; empty where no single period stands out."""
    p_period: float | None
    """p that this period stands out of its neighbourhood in the variance spectrum; empty where the sums span too few
    periods to ask."""
    closure: float | None
    """Of items: 1 if the last item is next to the first, 0 if they are as far apart as opposite items; negative on a
    line."""
    closure_low: float | None
    """Lower end of the 95 % bootstrap interval of `closure`, over templates; empty where there is one template only, or
    where some draws have neighbours no nearer to each other than opposite items."""
    closure_high: float | None
    """Upper end of that interval."""
    best_dim: int | None
    """Dimension with the largest class-mean R², the published statistic."""
    best_dim_layer: int | None
    """Block in which that dimension was read, counted from 0."""
    best_dim_frequency: int | None
    """Frequency k at which that dimension has its largest class-mean R²."""
    class_mean_r2: float | None
    """The published statistic at its best dimension and layer."""
    random_class_mean_r2: float | None
    """What the same search for the best dimension reaches with random weights."""
    noise_class_mean_r2: float | None
    """Median of the same maximum on independent noise (Beta law) over as many dimensions, layers, sites and
    positions."""
    control: str | None
    """Name of the control label that is read best (`controls.csv`)."""
    control_r2: float | None
    """R² of that control label."""
    embedding_r2: float | None
    """Of items: R² held out by item of the best plane of the token embedding, discovery prompts; empty for sums, which
    no token holds before the blocks have run."""
    embedding_p: float | None
    """p of `embedding_r2` under the renaming null, corrected over what was searched in the embedding."""
    origin: Origin | None
    """Where a plane that beats its nulls comes from: `embedding` where the token embedding has one as well
    (`embedding_p` <= 0.01), `blocks` where it has none; empty where none was shown, the embedding was not read, or
    `order_null` is `words`: renamed labels cannot tell then."""
    explained_by: str | None
    """A simpler quantity that takes most of the circle away (`hypotheses`), with both shares; empty if none does."""
    level: Level
    """The most that was shown: `nothing`, `decodable`, `clusters`, `ordered`, `helix` (the integer) or `circle`."""
    shape: str | None
    """What exactly: the partition, the kind of order or the periods of the helix."""
    stopped_by: str | None
    """The test that stopped the claim at the next level, with its number; empty for a circle."""
    verdict: Verdict
    """`supported`, `refuted` or `undetermined`; the rules are in `llm_probe/verdicts/judgement.py`."""
    reason: str
    """Why the verdict is what it is, in words."""
    n_discovery: int
    """Number of prompts on which everything was chosen."""
    n_confirmation: int
    """Number of prompts on which the choice was tested once."""
