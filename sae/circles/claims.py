"""One claim in one sparse autoencoder: which latents and groups lie on its circle, as rows.

    discovery prompts      every kept latent, every group, every rung searched and chosen      `choose` -> `Chosen`
    confirmation prompts   what was chosen is measured once                                    `rows`

Latents stand where the dimensions of the stream stand in the main probe (`statistics.dimensions`: partial R² beyond the
nuisances), groups where its planes stand (`statistics.planes`: held-out R² of the circle), with the same renaming null;
the largest statistic over *all* kept latents, or all groups, gives the corrected p.

Shape. m_i(s) is the mean activation of member i at label s, n labels:

    coverage = Σ_i w_i c_i / Σ_i w_i,   c_i = (Σ_s m_i)² / (n Σ_s m_i²),   w_i = |d_i|² |Σ_s m_i e^{2πiks/n}|²

1 for a member that is the same everywhere, 2/3 for 1 + cos, 4/π² = 0.41 for half a cosine, 1/n for one label alone.
`local tiling` below a third: no member reaches as far as half a cosine does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.run.study import Rows
from llm_probe.run.vocabulary import ALPHA
from llm_probe.statistics.renaming import corrected_p
from sae.circles import subspaces
from sae.circles.engels import irreducibility
from sae.circles.ladder import (
    Choice,
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
from sae.circles.latents import Encoded, Group, coordinates
from sae.circles.table import FeatureRow, LadderRow, PointRow
from toy.maths import fourier
from toy.maths.regression import RidgeSmoother

KEPT_UNITS = 6
"""Latents, and groups, of a claim that are measured and listed in the table."""
LOCAL = 1 / 3
COLUMNS: tuple[Rung, ...] = ("latent", "dimension", "pca_direction")
Kind = Literal["latent", "group"]


@dataclass(frozen=True)
class Features:
    """The kept latents of one SAE, and their groups."""

    index: Int[Tensor, " a"]
    """Places of the kept latents in the dictionary."""
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

    @staticmethod
    def of_json(content: dict[str, Any]) -> Chosen:
        """The inverse of `asdict`, through JSON."""
        latents, groups = (tuple(Choice(**one) for one in content[kind]) for kind in ("latents", "groups"))
        rungs = {name: Choice(**one) for name, one in content["rungs"].items()}
        return Chosen(latents, groups, rungs, content["n_latents"], content["n_groups"])


@dataclass(frozen=True)
class Unit:
    """The coordinates from which a circle is read."""

    name: str
    members: tuple[int, ...]
    """Columns of the kept latents that a latent or a group is made of."""
    discovery: Float[Tensor, "n r"]
    confirmation: Float[Tensor, "m r"]


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
    planes = subspaces.search([*smoothers, *whole], *search)
    null, by_group = planes.null[:count].amax(dim=0), planes.r2[:count].amax(dim=1)
    groups = [plane_choice(planes, group, null, frequencies, group) for group in _largest(by_group)]
    plane, together = (plane_choice(planes, i, planes.null[i], frequencies, None) for i in (count, count + 1))

    components, _ = principal(at.states, at.new_states)
    rank = len(features.groups[groups[0].index or 0].columns)
    equal_rank = subspaces.search([RidgeSmoother.of(components[:, :rank])], *search)
    rungs = {
        "latent": latents[0],
        "dimension": best_column(at.states, *search),
        "pca_direction": best_column(components, *search),
        "group": groups[0],
        "pca_plane": plane_choice(equal_rank, 0, equal_rank.null[0], frequencies, None),
        "plane": plane,
        "latents": together,
    }
    n_latents = int((columns.p_renaming(best) <= ALPHA).sum())
    return Chosen(tuple(latents), tuple(groups), rungs, n_latents, int((corrected_p(by_group, null) <= ALPHA).sum()))


def _largest(values: Float[Tensor, " n"]) -> list[int]:
    return values.topk(min(KEPT_UNITS, len(values))).indices.tolist()


def rows(
    at: Encoded,
    features: Features,
    chosen: Chosen,
    p_assignment: tuple[float | None, float | None],
    place: dict[str, Any],
    seed: int,
) -> Rows:
    """Measure what was chosen; `p_assignment`: of latents and of groups, `place`: the fields of `table._Place`."""
    components = principal(at.states, at.new_states)
    rank = len(features.groups[chosen.rungs["group"].index or 0].columns)
    units = {name: _unit(name, choice, at, features, components, rank) for name, choice in chosen.rungs.items()}
    measured = {
        name: measure(unit.discovery, unit.confirmation, chosen.rungs[name], at, seed) for name, unit in units.items()
    }
    ladder = []
    for name, choice in chosen.rungs.items():
        unit, own = units[name], measured[name]
        beyond = difference(own, measured["plane"], at.new_labels.unit, seed)
        row = LadderRow(
            **place, rung=name, name=unit.name, rank=unit.discovery.shape[1], frequency=choice.frequency,
            statistic=choice.statistic, p_renaming=choice.p_renaming, r2=own.r2, r2_low=own.low, r2_high=own.high,
            purity=purity(unit.discovery, unit.confirmation, choice, at) if name in COLUMNS else None,
            beyond_plane=beyond[0], beyond_plane_low=beyond[1], beyond_plane_high=beyond[2],
        )  # fmt: skip
        ladder.append(row)
    kinds: tuple[tuple[Kind, tuple[Choice, ...], int, int], ...] = (
        ("latent", chosen.latents, len(features.index), chosen.n_latents),
        ("group", chosen.groups, len(features.groups), chosen.n_groups),
    )
    table, points = [], []
    for (kind, choices, n_tested, n_accepted), p in zip(kinds, p_assignment, strict=True):
        counts: dict[str, Any] = {
            "n_tested": n_tested, "n_accepted": 0 if (p or 0.0) > ALPHA else n_accepted, "n_latents": features.width,
            "n_prompts": len(at.labels.label),
        }  # fmt: skip
        for choice in choices:
            unit = _unit(kind, choice, at, features, components, rank)
            own = measure(unit.discovery, unit.confirmation, choice, at, seed)
            values = _shape(unit, choice, at, features) | counts
            values["purity"] = None if kind == "group" else purity(unit.discovery, unit.confirmation, choice, at)
            whole = irreducibility(own.points, seed) if kind == "group" and choice == chosen.rungs["group"] else None
            for name in ("separability", "mixture"):
                ends = astuple(getattr(whole, name)) if whole else (None,) * 4
                values |= zip((name, f"{name}_low", f"{name}_high", f"{name}_null"), ends, strict=True)
            assert choice.p_renaming is not None, "latents and groups are tested"
            p_fwer = max(choice.p_renaming, p or 0.0)
            row = FeatureRow(
                **place, unit=kind, name=unit.name, frequency=choice.frequency, statistic=choice.statistic,
                p_renaming=choice.p_renaming, p_assignment=p, p_fwer=p_fwer, r2=own.r2, r2_low=own.low,
                r2_high=own.high, circular=p_fwer <= ALPHA and own.low > 0, **values,
            )  # fmt: skip
            table.append(row)
        unit, choice = units[kind], chosen.rungs[kind]
        read = measured[kind].points if kind == "group" else unit.confirmation
        means = label_means(read, at.new_labels.label, at.labels.period).tolist()
        for label, (item, mean) in enumerate(zip(at.claim.domain.items, means, strict=True)):
            y = mean[1] if kind == "group" else None
            points.append(PointRow(**place, unit=kind, name=unit.name, frequency=choice.frequency, label=label,
                                   item=item, x=mean[0], y=y))  # fmt: skip
    return {"sae_table": table, "sae_ladder": ladder, "sae_points": points}


def _unit(
    rung: str, choice: Choice, at: Encoded, features: Features, components: tuple[Tensor, Tensor], rank: int
) -> Unit:
    """The coordinates of a rung's choice; `rank`: principal components of its plane."""
    index, states, latents = choice.index or 0, (at.states, at.new_states), (at.latents, at.new_latents)
    if rung == "group":
        group = features.groups[index]
        parts = (coordinates(some, features.decoder, group.columns) for some in latents)
        return Unit(group.name, group.columns, *parts)
    if rung not in COLUMNS:
        whole = {"plane": states, "latents": latents, "pca_plane": tuple(some[:, :rank] for some in components)}[rung]
        return Unit("", (), *whole)
    columns = {"latent": latents, "dimension": states, "pca_direction": components}[rung]
    name = str(int(features.index[index]) if rung == "latent" else index)
    return Unit(name, (index,), *(some[:, index : index + 1] for some in columns))


def _shape(unit: Unit, choice: Choice, at: Encoded, features: Features) -> dict[str, Any]:
    """The fields of a latent's or group's row that tell of its members."""
    members = list(unit.members)
    own = at.latents[:, members]
    means = label_means(own, at.labels.label, at.labels.period)
    covered = coverage(means, features.decoder[members].double().norm(dim=1), choice.frequency)
    return {
        "latents": " ".join(str(int(features.index[column])) for column in members),
        "size": len(members),
        "active_share": float((own > 0).any(dim=1).double().mean()),
        "coverage": covered,
        "shape": "global span" if covered >= LOCAL else "local tiling",
    }


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
