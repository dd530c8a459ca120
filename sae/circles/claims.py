"""One claim in one sparse autoencoder: which latents and groups lie on its circle, as rows.

    discovery prompts      every kept latent, every group, every rung searched and chosen      `choose` -> `Chosen`
    confirmation prompts   what was chosen is measured once                                    `rows`

Latents stand where the dimensions of the stream stand in the main probe (`statistics.dimensions`: partial R² beyond the
nuisances), groups where its cells stand (`statistics.planes`: held-out R² of the circle), with the same renaming null;
the largest statistic over *all* kept latents, or all groups, gives the corrected p.

Shape. m_i(s) is the mean activation of member i at label s, n labels:

    coverage = Σ_i w_i c_i / Σ_i w_i,   c_i = (Σ_s m_i)² / (n Σ_s m_i²),   w_i = |d_i|² |Σ_s m_i e^{2πiks/n}|²

1 for a member that is the same everywhere, 2/3 for 1 + cos, 4/π² = 0.41 for half a cosine, 1/n for one label alone.
`local tiling` below a third: no member reaches as far as half a cosine does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.run.table import ALPHA
from llm_probe.statistics.renaming import corrected_p
from sae.circles import subspaces
from sae.circles.engels import irreducibility
from sae.circles.groups import Group, coordinates
from sae.circles.ladder import (
    Choice,
    Measured,
    Rung,
    best_column,
    column_choice,
    column_search,
    difference,
    measure,
    plane_choice,
    principal,
    purity,
)
from sae.circles.latents import Encoded
from sae.circles.table import FeatureRow, LadderRow, PointRow
from toy.maths import fourier
from toy.maths.regression import RidgeSmoother

KEPT_UNITS = 6
"""Latents, and groups, of a claim that go into the table."""
LOCAL = 1 / 3
COLUMNS: tuple[Rung, ...] = ("latent", "dimension", "pca_direction")


@dataclass(frozen=True)
class Features:
    """The kept latents of one SAE, and their groups."""

    index: Int[Tensor, " a"]
    """Places in the dictionary."""
    decoder: Float[Tensor, "a d"]
    groups: tuple[Group, ...]
    width: int
    """Latents of the dictionary."""


@dataclass(frozen=True)
class Chosen:
    """What is decided on discovery prompts alone."""

    latents: tuple[Choice, ...]
    """The best few, best first."""
    groups: tuple[Choice, ...]
    rungs: dict[str, Choice]
    n_latents: int
    """Latents with a renaming p <= 0.01."""
    n_groups: int

    def content(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @staticmethod
    def of_content(content: dict[str, Any]) -> Chosen:
        """The inverse of `content`."""
        latents, groups = (tuple(Choice(**one) for one in content[kind]) for kind in ("latents", "groups"))
        rungs = {name: Choice(**one) for name, one in content["rungs"].items()}
        return Chosen(latents, groups, rungs, content["n_latents"], content["n_groups"])


@dataclass(frozen=True)
class Rows:
    """What one claim in one SAE yields."""

    features: tuple[FeatureRow, ...]
    ladder: tuple[LadderRow, ...]
    points: tuple[PointRow, ...]


def group_parts(latents: Float[Tensor, "n a"], features: Features) -> list[Float[Tensor, "n _"]]:
    """Every group's part of the states, in coordinates of its own span."""
    return [coordinates(latents, features.decoder, group.columns) for group in features.groups]


def choose(at: Encoded, features: Features, smoothers: Sequence[RidgeSmoother]) -> Chosen:
    """Search everything on the discovery prompts; `smoothers`: of the groups' parts, at least one."""
    frequencies, search = at.claim.tested_frequencies, (at.labels, at.renamed, at.claim.tested_frequencies)
    columns = column_search(at.latents, *search)
    best = columns.r2[:, 0].amax(dim=0)
    latents = [column_choice(columns, column, frequencies) for column in _largest(best)]

    count, whole = len(smoothers), [RidgeSmoother.of(some.double()) for some in (at.states, at.latents)]
    found = subspaces.search([*smoothers, *whole], *search)
    null, by_group = found.null[:count].amax(dim=0), found.r2[:count].amax(dim=1)
    groups = [plane_choice(found, group, null, frequencies, group) for group in _largest(by_group)]
    plane, together = (plane_choice(found, place, found.null[place], frequencies, None) for place in (count, count + 1))

    components, _ = principal(at.states, at.new_states)
    equal = subspaces.search([RidgeSmoother.of(components[:, : _rank(features, groups[0], components)])], *search)
    rungs = {
        "latent": latents[0],
        "dimension": best_column(at.states, *search),
        "pca_direction": best_column(components, *search),
        "group": groups[0],
        "pca_plane": plane_choice(equal, 0, equal.null[0], frequencies, None),
        "plane": plane,
        "latents": together,
    }
    n_latents = int((columns.p_renaming(best) <= ALPHA).sum())
    return Chosen(tuple(latents), tuple(groups), rungs, n_latents, int((corrected_p(by_group, null) <= ALPHA).sum()))


def _largest(values: Float[Tensor, " n"]) -> list[int]:
    return values.topk(min(KEPT_UNITS, len(values))).indices.tolist()


def _rank(features: Features, group: Choice, components: Float[Tensor, "n r"]) -> int:
    """As many principal components as the group spans."""
    return min(len(features.groups[group.index or 0].columns), components.shape[1])


def rows(
    at: Encoded,
    features: Features,
    chosen: Chosen,
    p_assignment: tuple[float | None, float | None],
    place: dict[str, Any],
    seed: int,
) -> Rows:
    """Measure what was chosen; `p_assignment`: of latents and of groups, `place`: the fields of `table._Place`."""
    units = _Units(at, features, chosen.rungs["group"])
    measured = {name: units.measure(name, choice, seed) for name, choice in chosen.rungs.items()}
    ladder = [
        LadderRow(
            **place,
            rung=name,
            name=units.name(name, choice),
            rank=units.get(name, choice)[0].shape[1],
            frequency=choice.frequency,
            statistic=choice.statistic,
            p_renaming=choice.p_renaming,
            r2=measured[name].r2,
            r2_low=measured[name].low,
            r2_high=measured[name].high,
            purity=units.purity(name, choice) if name in COLUMNS else None,
            **_beyond(difference(measured[name], measured["plane"], at.new_labels.unit, seed)),
        )
        for name, choice in chosen.rungs.items()
    ]
    found = [
        _feature_row(units, chosen, kind, choice, p, place, seed)
        for kind, choices, p in zip(("latent", "group"), (chosen.latents, chosen.groups), p_assignment, strict=True)
        for choice in choices
    ]
    points = [
        point
        for kind in ("latent", "group")
        for point in _points(units, kind, chosen.rungs[kind], measured[kind], place)
    ]
    return Rows(tuple(found), tuple(ladder), tuple(points))


class _Units:
    """The columns of every rung, discovery and confirmation, by its choice."""

    def __init__(self, at: Encoded, features: Features, group: Choice) -> None:
        self.at, self.features = at, features
        self.components = principal(at.states, at.new_states)
        self.rank = _rank(features, group, self.components[0])

    def get(self, rung: str, choice: Choice) -> tuple[Tensor, Tensor]:
        at, column = self.at, slice(choice.index, (choice.index or 0) + 1)
        whole: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
            "latent": lambda: (at.latents[:, column], at.new_latents[:, column]),
            "dimension": lambda: (at.states[:, column], at.new_states[:, column]),
            "pca_direction": lambda: (self.components[0][:, column], self.components[1][:, column]),
            "group": lambda: (self._part(at.latents, choice), self._part(at.new_latents, choice)),
            "pca_plane": lambda: (self.components[0][:, : self.rank], self.components[1][:, : self.rank]),
            "plane": lambda: (at.states, at.new_states),
            "latents": lambda: (at.latents, at.new_latents),
        }
        return whole[rung]()

    def _part(self, latents: Tensor, choice: Choice) -> Tensor:
        return coordinates(latents, self.features.decoder, self.features.groups[choice.index or 0].columns)

    def members(self, rung: str, choice: Choice) -> tuple[int, ...]:
        """Columns of the kept latents that a unit is made of."""
        return self.features.groups[choice.index or 0].columns if rung == "group" else (choice.index or 0,)

    def name(self, rung: str, choice: Choice) -> str:
        if rung == "group":
            return self.features.groups[choice.index or 0].name
        if rung == "latent":
            return str(int(self.features.index[choice.index or 0]))
        return str(choice.index) if rung in COLUMNS else ""

    def measure(self, rung: str, choice: Choice, seed: int) -> Measured:
        return measure(*self.get(rung, choice), choice, self.at, seed)

    def purity(self, rung: str, choice: Choice) -> float:
        return purity(*self.get(rung, choice), choice, self.at)


def coverage(means: Float[Tensor, "labels m"], norms: Float[Tensor, " m"], frequency: int) -> float:
    """Share of the labels that a member covers, weighted by how much of the circle it writes; 0 where nothing does."""
    n = len(means)
    reach = means.sum(dim=0).square() / (n * means.square().sum(dim=0)).clamp_min(1e-300)
    circle = fourier.circle(torch.arange(n), frequency, n)
    weight = norms.square() * (circle.T @ means).square().sum(dim=0)
    return float((weight * reach).sum() / weight.sum().clamp_min(1e-300))


def label_means(values: Float[Tensor, "n m"], label: Int[Tensor, " n"], period: int) -> Float[Tensor, "labels m"]:
    """Mean of every label's prompts; a label without prompts has zeros."""
    sums = torch.zeros(period, values.shape[1], dtype=torch.float64).index_add_(0, label, values.double())
    return sums / label.bincount(minlength=period)[:, None].clamp_min(1)


def _beyond(found: tuple[float, float, float]) -> dict[str, Any]:
    return dict(zip(("beyond_plane", "beyond_plane_low", "beyond_plane_high"), found, strict=True))


def _feature_row(
    units: _Units, chosen: Chosen, kind: Any, choice: Choice, p: float | None, place: dict[str, Any], seed: int
) -> FeatureRow:
    at, features = units.at, units.features
    members = units.members(kind, choice)
    measured = units.measure(kind, choice, seed)
    own = at.latents[:, list(members)]
    means = label_means(own, at.labels.label, at.labels.period)
    covered = coverage(means, features.decoder[list(members)].double().norm(dim=1), choice.frequency)
    assert choice.p_renaming is not None, "latents and groups are tested"
    p_fwer = max(choice.p_renaming, p or 0.0)
    is_group = kind == "group"
    indices: dict[str, Any] = dict.fromkeys(
        f"{name}{end}" for name in ("separability", "mixture") for end in ("", "_low", "_high", "_null")
    )
    if is_group and choice == chosen.rungs["group"]:
        whole = irreducibility(measured.points, seed)
        for name in ("separability", "mixture"):
            index = getattr(whole, name)
            ends = {"": index.value, "_low": index.low, "_high": index.high, "_null": index.null}
            indices |= {name + end: value for end, value in ends.items()}
    return FeatureRow(
        **place,
        unit=kind,
        name=units.name(kind, choice),
        latents=" ".join(str(int(features.index[column])) for column in members),
        size=len(members),
        active_share=float((own > 0).any(dim=1).double().mean()),
        frequency=choice.frequency,
        statistic=choice.statistic,
        p_renaming=choice.p_renaming,
        p_assignment=p,
        p_fwer=p_fwer,
        r2=measured.r2,
        r2_low=measured.low,
        r2_high=measured.high,
        purity=None if is_group else units.purity(kind, choice),
        coverage=covered,
        shape="global span" if covered >= LOCAL else "local tiling",
        **indices,
        circular=p_fwer <= ALPHA and measured.low > 0,
        n_tested=len(features.groups) if is_group else len(features.index),
        n_accepted=0 if (p or 0.0) > ALPHA else chosen.n_groups if is_group else chosen.n_latents,
        n_latents=features.width,
        n_prompts=len(at.labels.label),
    )


def _points(units: _Units, kind: Any, choice: Choice, found: Measured, place: dict[str, Any]) -> Iterator[PointRow]:
    at = units.at
    values = found.points if kind == "group" else units.get(kind, choice)[1]
    means = label_means(values, at.new_labels.label, at.labels.period).tolist()
    for label, (item, mean) in enumerate(zip(at.claim.domain.items, means, strict=True)):
        y = mean[1] if kind == "group" else None
        yield PointRow(
            **place, unit=kind, name=units.name(kind, choice), frequency=choice.frequency, label=label, item=item,
            x=mean[0], y=y,
        )  # fmt: skip
