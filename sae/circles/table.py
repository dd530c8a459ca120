"""The tables of a probe of sparse features: one dataclass a row.

    sae_table.csv        FeatureRow      SAE x claim x (latent | group): the best few of each
    sae_ladder.csv       LadderRow       SAE x claim x rung: best latent, dimension, direction, group, plane
    sae_verdicts.csv     FeatureVerdict  claim x layer: do features beat planes, over all SAEs of that layer
    sae_points.csv       PointRow        means by label of what is drawn
    sae_recurrence.csv   RecurrenceRow   pairs of SAEs that differ in their seed

An empty cell (None) means "not applicable" and never "zero".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llm_probe.run.table import Quantity, Site, Weights

FeatureAnswer = Literal["features beat planes", "no better", "undetermined"]


@dataclass(frozen=True)
class _Place:
    weights: Weights
    """Of the model that the SAE was trained on and is read on."""
    sae: str
    """Folder or release of the sparse autoencoder."""
    seed: int
    """Seed in its folder's name; 0 if it has none."""
    layer: int
    """0-based block."""
    site: Site
    """Which output of the block."""
    domain: str
    """`days`, `mod-add 7`, …"""
    period: int
    """Number of items, or the modulus."""
    quantity: Quantity
    """`sum` or `item`."""


@dataclass(frozen=True)
class FeatureRow(_Place):
    """One latent or group."""

    unit: Literal["latent", "group"]
    """What it is."""
    name: str
    """Index of the latent in the dictionary, or the group's affinity and size."""
    latents: str
    """Members of a group, by their index in the dictionary."""
    size: int
    """How many."""
    active_share: float
    """Share of the discovery prompts on which it (a member) is active."""
    frequency: int
    """k of its best circle."""
    statistic: float
    """Latent: partial R² beyond the nuisances; group: R² of the circle, held out by pair or item. Discovery prompts."""
    p_renaming: float
    """Of the renaming null, corrected over all kept latents (or all groups), frequencies and penalties."""
    p_assignment: float | None
    """Do periods gain most under their own moduli in latents (groups) of this SAE; empty where none were compared."""
    p_fwer: float
    """The larger of the two."""
    r2: float
    """The circle read from it, confirmation prompts."""
    r2_low: float
    """Lower end of its interval:"""
    r2_high: float
    """95 % bootstrap, clustered on operand pairs or items."""
    purity: float | None
    """Latents: share of its own variance that the circle explains, confirmation prompts."""
    coverage: float
    """Share of the labels that a member covers (participation ratio of its class means), weighted by its circle."""
    shape: Literal["global span", "local tiling"]
    """Each member varies round the whole circle, or covers an arc of a third or less."""
    separability: float | None
    """The best group: S of Engels et al. on the predicted points, bits; 0 is two independent features."""
    separability_low: float | None
    """Lower end of its interval:"""
    separability_high: float | None
    """95 % bootstrap over prompts."""
    separability_null: float | None
    """95th percentile of phase-shuffled points."""
    mixture: float | None
    """The best group: M of Engels et al., ε = 0.1; near 1 is one-dimensional features in turns."""
    mixture_low: float | None
    """Lower end of its interval:"""
    mixture_high: float | None
    """95 % bootstrap over prompts."""
    mixture_null: float | None
    """95th percentile of phase-shuffled points."""
    circular: bool
    """p_fwer <= 0.01 and the confirmation interval above 0."""
    n_tested: int
    """Kept latents, or groups, of this SAE that p is corrected over."""
    n_accepted: int
    """How many of them have p_fwer <= 0.01 in this claim."""
    n_latents: int
    """Width of the dictionary; latents that are not kept are active on under 1 % of every claim's prompts."""
    n_prompts: int
    """Discovery prompts."""


@dataclass(frozen=True)
class LadderRow(_Place):
    """The best unit of one kind."""

    rung: str
    """latent, dimension, pca_direction, group, pca_plane, plane, latents."""
    name: str
    """Which one; empty where there is but one."""
    rank: int
    """Coordinates that the circle is read from."""
    frequency: int
    """k, chosen on discovery prompts."""
    statistic: float
    """What it was chosen by there: partial R² (single columns) or held-out R² of the circle."""
    p_renaming: float | None
    """Corrected over all units of its kind; empty for single dimensions and directions, which are not tested here."""
    r2: float
    """The circle read from it, confirmation prompts; a single column cannot exceed about a half."""
    r2_low: float
    """Lower end of its interval:"""
    r2_high: float
    """95 % bootstrap, clustered on operand pairs or items."""
    purity: float | None
    """Single columns: share of the unit's own variance that the circle explains, confirmation prompts."""
    beyond_plane: float
    """r2 minus the plane's."""
    beyond_plane_low: float
    """Lower end of its interval:"""
    beyond_plane_high: float
    """95 % bootstrap, paired."""


@dataclass(frozen=True)
class FeatureVerdict:
    """Do features carry this circle better than planes?"""

    domain: str
    """`days`, `mod-add 7`, …"""
    quantity: Quantity
    """`sum` or `item`."""
    layer: int
    """0-based block."""
    site: Site
    """Which output of the block."""
    verdict: FeatureAnswer
    """In a word."""
    better_than_random: bool | None
    """Every group's interval lies above that of every random-weights group; empty without random-weights SAEs."""
    group_r2: float
    """Best group, mean over the SAEs, confirmation prompts."""
    plane_r2: float
    """Best plane; the same for all SAEs of a layer."""
    beyond_plane_low: float
    """Lowest of the SAEs' intervals of the difference."""
    beyond_plane_high: float
    """Highest."""
    random_group_r2: float | None
    """Best group of the random-weights SAEs, mean."""
    n_saes: int
    """Trained-weights SAEs of this layer."""
    reason: str
    """In words."""


@dataclass(frozen=True)
class PointRow(_Place):
    """What is drawn of one label: a latent's mean activation, or a group's mean predicted point."""

    unit: Literal["latent", "group"]
    """The best of its kind on discovery prompts."""
    name: str
    """As in sae_table.csv."""
    frequency: int
    """k of its circle."""
    label: int
    """Index of the item or residue."""
    item: str
    """Its name."""
    x: float
    """Latent: mean activation; group: cosine coordinate; confirmation prompts."""
    y: float | None
    """Group: sine coordinate."""


@dataclass(frozen=True)
class RecurrenceRow:
    """How many latents of one SAE another has too."""

    weights: Weights
    """Of the model both were trained on."""
    layer: int
    """0-based block."""
    site: Site
    """Which output of the block."""
    sae: str
    """The one."""
    other: str
    """The other: another seed."""
    n: int
    """Kept latents that were matched."""
    share: float
    """Of them, matched to a direction with a cosine above 0.7 (Hungarian matching)."""
    mean_cosine: float
    """Of the matched pairs."""
    shuffled_share: float
    """The same after the other dictionary was turned at random as a whole."""


@dataclass(frozen=True)
class TrainingRow:
    """One SAE as it was read back from disk, measured on held-out text and task prompts; of SAEs made here only."""

    weights: Weights
    """Of the model it was trained on."""
    sae: str
    """Its folder."""
    seed: int
    """Its first weights."""
    layer: int
    """0-based block."""
    site: Site
    """Which output of the block."""
    n_latents: int
    """Latents of the dictionary."""
    tokens: int
    """States it was trained on."""
    task_share: float
    """Share of them from task prompts."""
    l0: float
    """Mean number of active latents of a state."""
    fvu: float
    """Fraction of variance unexplained, weighed as in training."""
    fvu_text: float | None
    """… of text alone."""
    fvu_task: float | None
    """… of task prompts alone."""
    ce_recovered: float | None
    """Share of the cross-entropy that zeros in the states' place cost and the SAE saves; empty where they cost none."""
    ce_recovered_text: float | None
    """… of text alone."""
    ce_recovered_task: float | None
    """… of the answers of task prompts alone."""
    dead_share: float
    """Latents that were never active."""
    dense_share: float
    """Latents active on more than a tenth of the states."""
    reload_difference: float
    """Largest difference between the reloaded and the trained one, as a share of the state's length."""


TABLES: dict[str, type] = {
    "sae_training": TrainingRow,
    "sae_table": FeatureRow,
    "sae_ladder": LadderRow,
    "sae_verdicts": FeatureVerdict,
    "sae_points": PointRow,
    "sae_recurrence": RecurrenceRow,
}
