"""The tables of a probe of sparse features: one dataclass for each kind of row.

    sae_training.csv     TrainingRow     SAE: what it is worth on held-out states
    sae_table.csv        FeatureRow      SAE x claim x (latent | group): the best few of each
    sae_ladder.csv       LadderRow       SAE x claim x rung: best latent, dimension, direction, group, plane
    sae_verdicts.csv     FeatureVerdict  claim x layer: do features beat planes, over all SAEs of that layer
    sae_points.csv       PointRow        means by label of what the figures draw
    sae_recurrence.csv   RecurrenceRow   pairs of SAEs that differ in their seed

An empty value (None) means "not applicable" and never "zero".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llm_probe.run.vocabulary import Quantity, Site, Weights

FeatureAnswer = Literal["features beat planes", "no better", "undetermined"]


@dataclass(frozen=True)
class _Place:
    weights: Weights
    """Weights of the model that the SAE was trained on and is read on."""
    sae: str
    """Folder or release of the sparse autoencoder."""
    seed: int
    """Seed in the name of the SAE's folder; 0 if the name has none."""
    layer: int
    """Block whose output was read, counted from 0."""
    site: Site
    """Which output of the block was read."""
    domain: str
    """Domain of the questions, such as `days` or `mod-add 7`."""
    period: int
    """Number of items, or the modulus."""
    quantity: Quantity
    """Which label the circle is of: the `sum`, or the `item` that is named."""


@dataclass(frozen=True)
class FeatureRow(_Place):
    """One latent or group."""

    unit: Literal["latent", "group"]
    """Whether the row is of a latent or of a group of latents."""
    name: str
    """Index of the latent in the dictionary, or the group's affinity and size."""
    latents: str
    """Indices of the latent, or of the group's members, in the dictionary."""
    size: int
    """Number of these latents."""
    active_share: float
    """Share of the discovery prompts on which the latent, or any member of the group, is active."""
    frequency: int
    """Frequency k of the unit's best circle."""
    statistic: float
    """Latent: partial R² beyond the nuisances; group: R² of the circle, held out by pair or item. Discovery prompts."""
    p_renaming: float
    """p under the renaming null, corrected over all kept latents (or all groups), frequencies and penalties."""
    p_assignment: float | None
    """p of the test whether periods gain most under their own moduli in the SAE's latents (groups); else empty."""
    p_fwer: float
    """The larger of p_renaming and p_assignment."""
    r2: float
    """R² of the circle read from the unit on confirmation prompts."""
    r2_low: float
    """Lower end of the 95 % bootstrap interval of r2, clustered on operand pairs or items."""
    r2_high: float
    """Upper end of the same interval."""
    purity: float | None
    """Latents only: share of the latent's own variance that the circle explains on confirmation prompts."""
    coverage: float
    """Share of the labels that a member covers (participation ratio of its class means), weighted by its circle."""
    shape: Literal["global span", "local tiling"]
    """Whether each member varies round the whole circle, or covers an arc of a third or less."""
    separability: float | None
    """Best group only: S of Engels et al. on the predicted points, in bits; 0 means two independent features."""
    separability_low: float | None
    """Lower end of the 95 % bootstrap interval of separability, over prompts."""
    separability_high: float | None
    """Upper end of the same interval."""
    separability_null: float | None
    """95th percentile of separability over phase-shuffled points."""
    mixture: float | None
    """Best group only: M of Engels et al. with ε = 0.1; near 1 means one-dimensional features in turns."""
    mixture_low: float | None
    """Lower end of the 95 % bootstrap interval of mixture, over prompts."""
    mixture_high: float | None
    """Upper end of the same interval."""
    mixture_null: float | None
    """95th percentile of mixture over phase-shuffled points."""
    circular: bool
    """Whether p_fwer <= 0.01 and the confirmation interval of r2 lies above 0."""
    n_tested: int
    """Number of kept latents, or groups, of this SAE over which p is corrected."""
    n_accepted: int
    """Number of those with p_fwer <= 0.01 in this claim."""
    n_latents: int
    """Width of the dictionary; latents that are not kept are active on under 1 % of every claim's prompts."""
    n_prompts: int
    """Number of discovery prompts."""


@dataclass(frozen=True)
class LadderRow(_Place):
    """The best unit of one kind."""

    rung: str
    """Kind of unit: latent, dimension, pca_direction, group, pca_plane, plane, latents."""
    name: str
    """Which unit of its kind it is; empty where there is only one."""
    rank: int
    """Number of coordinates that the circle is read from."""
    frequency: int
    """Frequency k, chosen on discovery prompts."""
    statistic: float
    """What the unit was chosen by on discovery prompts: partial R² (single columns) or held-out R² of the circle."""
    p_renaming: float | None
    """p under the renaming null, corrected over all units of the kind; empty for untested dimensions and directions."""
    r2: float
    """R² of the circle read from the unit on confirmation prompts; a single column cannot exceed about a half."""
    r2_low: float
    """Lower end of the 95 % bootstrap interval of r2, clustered on operand pairs or items."""
    r2_high: float
    """Upper end of the same interval."""
    purity: float | None
    """Single columns only: share of the unit's own variance that the circle explains on confirmation prompts."""
    beyond_plane: float
    """R² of the unit minus R² of the plane, both on confirmation prompts."""
    beyond_plane_low: float
    """Lower end of the 95 % bootstrap interval of beyond_plane, with the same resamples for both."""
    beyond_plane_high: float
    """Upper end of the same interval."""


@dataclass(frozen=True)
class FeatureVerdict:
    """Whether features carry this circle better than planes."""

    domain: str
    """Domain of the questions, such as `days` or `mod-add 7`."""
    quantity: Quantity
    """Which label the circle is of: the `sum`, or the `item` that is named."""
    layer: int
    """Block whose output was read, counted from 0."""
    site: Site
    """Which output of the block was read."""
    verdict: FeatureAnswer
    """The answer: `features beat planes`, `no better` or `undetermined`."""
    better_than_random: bool | None
    """Whether every group beats its renaming null and its interval lies above those of all random-weights groups; empty
    without such SAEs."""
    group_r2: float
    """R² of the best group on confirmation prompts, mean over the SAEs."""
    plane_r2: float
    """R² of the best plane, which is the same for all SAEs of a layer."""
    beyond_plane_low: float
    """Lowest end of the SAEs' intervals of the difference group minus plane."""
    beyond_plane_high: float
    """Highest end of the same intervals."""
    random_group_r2: float | None
    """R² of the best group of the random-weights SAEs, mean over them; empty without any."""
    n_saes: int
    """Number of trained-weights SAEs of this layer."""
    reason: str
    """What the verdict rests on, in words."""


@dataclass(frozen=True)
class PointRow(_Place):
    """What is drawn of one label: a latent's mean activation, or a group's mean predicted point."""

    unit: Literal["latent", "group"]
    """Whether the best latent or the best group on discovery prompts is drawn."""
    name: str
    """Name of the unit, as in sae_table.csv."""
    frequency: int
    """Frequency k of the unit's circle."""
    label: int
    """Index of the item or residue."""
    item: str
    """Name of the item or residue."""
    x: float
    """Latent: mean activation; group: mean predicted cosine; on confirmation prompts."""
    y: float | None
    """Group: mean predicted sine; empty for a latent."""


@dataclass(frozen=True)
class RecurrenceRow:
    """How many latents of one SAE another has too."""

    weights: Weights
    """Weights of the model that both SAEs were trained on."""
    layer: int
    """Block whose output was read, counted from 0."""
    site: Site
    """Which output of the block was read."""
    sae: str
    """The SAE whose latents are matched."""
    other: str
    """The SAE they are matched to, of another seed."""
    n: int
    """Number of kept latents that were matched."""
    share: float
    """Share of them that are matched to a direction with a cosine above 0.7 (Hungarian matching)."""
    mean_cosine: float
    """Mean cosine of the matched pairs."""
    shuffled_share: float
    """The same share after the other dictionary was rotated at random as a whole."""


@dataclass(frozen=True)
class TrainingRow:
    """One SAE as it was read back from disk, measured on held-out text and task prompts; only SAEs trained here."""

    weights: Weights
    """Weights of the model that the SAE was trained on."""
    sae: str
    """Folder of the SAE."""
    seed: int
    """Seed of its first weights."""
    layer: int
    """Block whose output was read, counted from 0."""
    site: Site
    """Which output of the block was read."""
    n_latents: int
    """Number of latents of the dictionary."""
    tokens: int
    """Number of states that it was trained on."""
    task_share: float
    """Share of those states that came from task prompts."""
    l0: float
    """Mean number of active latents of a state."""
    fvu: float
    """Fraction of variance unexplained, text and task prompts weighted as in training."""
    fvu_text: float | None
    """Fraction of variance unexplained of text alone."""
    fvu_task: float | None
    """Fraction of variance unexplained of task prompts alone."""
    ce_recovered: float | None
    """Share of the cross-entropy lost to zeros in the states' place that the SAE recovers; empty if none is lost."""
    ce_recovered_text: float | None
    """The same share on text alone."""
    ce_recovered_task: float | None
    """The same share on the answers of task prompts alone."""
    dead_share: float
    """Share of the latents that were never active."""
    dense_share: float
    """Share of the latents that were active on more than a tenth of the states."""
    reload_difference: float
    """Largest difference between the outputs of the reloaded and the trained SAE, as a share of the state's length."""


TABLES: dict[str, type] = {
    "sae_training": TrainingRow,
    "sae_table": FeatureRow,
    "sae_ladder": LadderRow,
    "sae_verdicts": FeatureVerdict,
    "sae_points": PointRow,
    "sae_recurrence": RecurrenceRow,
}
