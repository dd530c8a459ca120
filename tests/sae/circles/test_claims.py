"""The searches of latents, groups and rungs on states whose circle is known."""

import math
from dataclasses import asdict, replace
from itertools import product

import pytest
import torch
from torch import Tensor

from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS
from llm_probe.run.study import Rows
from llm_probe.statistics import planes, renaming
from sae.circles import subspaces
from sae.circles.claims import Chosen, Features, choose, coverage, group_parts, rows
from sae.circles.latents import Encoded, Group
from tests.sae.planted_dictionary import cross, encoded_sums
from toy.maths.fourier import circle
from toy.maths.regression import RidgeSmoother

PLACE = {
    "weights": "trained", "sae": "planted", "seed": 0, "layer": 0, "site": "resid_post", "domain": "mod-add 7",
    "period": 7, "quantity": "sum",
}  # fmt: skip
GROUPS = (Group("decoder", (0, 1, 2, 3)), Group("coactivation", tuple(range(4, 12))), Group("decoder", (12, 13, 14)))


def analysed(at: Encoded) -> tuple[Chosen, Rows]:
    features = Features(torch.arange(20), cross().decoder, GROUPS, 4096)
    chosen = choose(at, features, [RidgeSmoother.of(part) for part in group_parts(at.latents, features)])
    assert Chosen.of_json(asdict(chosen)) == chosen
    return chosen, rows(at, features, chosen, (None, None), PLACE, 0)


@pytest.fixture(scope="module")
def planted() -> tuple[Chosen, Rows]:
    return analysed(encoded_sums())


def test_the_planted_group_and_its_latents_are_found(planted: tuple[Chosen, Rows]) -> None:
    groups = [row for row in planted[1]["sae_table"] if row.unit == "group"]
    assert [row.circular for row in groups] == [True, False, False]
    best = groups[0]
    assert (best.latents, best.frequency, best.size, best.shape) == ("0 1 2 3", 1, 4, "global span")
    assert best.r2_low > 0.85
    assert best.separability is not None and best.separability_null is not None
    assert best.separability > 1.5 * best.separability_null
    latents = [row for row in planted[1]["sae_table"] if row.unit == "latent"]
    assert {row.name for row in latents[:4]} == {"0", "1", "2", "3"}
    assert all(row.circular for row in latents[:4])
    assert all(row.purity is not None and row.purity > 0.5 and row.r2 < 0.5 for row in latents[:4])
    assert not any(row.circular for row in latents[4:])
    assert (latents[0].n_tested, latents[0].n_accepted, latents[0].n_latents) == (20, 4, 4096)


def test_the_ladder_has_every_rung_and_its_plane_is_the_main_probe_s(planted: tuple[Chosen, Rows]) -> None:
    at = encoded_sums()
    ladder = {row.rung: row for row in planted[1]["sae_ladder"]}
    assert list(ladder) == ["latent", "dimension", "pca_direction", "group", "pca_plane", "plane", "latents"]
    main = planes.search([RidgeSmoother.of(at.states.double())], at.labels, at.renamed, (1, 2, 3))
    assert ladder["plane"].statistic == pytest.approx(float(main.r2.max()))
    assert ladder["plane"].beyond_plane == ladder["plane"].beyond_plane_low == 0
    assert ladder["latent"].r2 < 0.5 < ladder["group"].r2
    assert ladder["latent"].beyond_plane_high < 0
    assert ladder["pca_plane"].rank == ladder["group"].rank == 4
    assert len(planted[1]["sae_points"]) == 14


def test_the_interval_of_a_difference_is_of_that_difference() -> None:
    """New templates that shift all states leave the R² of sums as it is, and so the difference to the plane."""
    at = encoded_sums(renamings=20)
    _, result = analysed(replace(at, new_states=at.new_states + 5))
    for row in result["sae_ladder"]:
        assert row.beyond_plane_low <= row.beyond_plane <= row.beyond_plane_high, row.rung


def test_nothing_is_circular_where_nothing_is_planted() -> None:
    _, result = analysed(encoded_sums(size=0.0))
    assert not any(row.circular for row in result["sae_table"])


@pytest.mark.parametrize("kind", ["pairs", "repeated pairs", "items"])
def test_the_search_of_subspaces_is_that_of_planes(kind: str) -> None:
    """The quadratic form, with pairs in one prompt and some in several; units that are asked often; and items."""
    if kind == "pairs":
        at = encoded_sums(renamings=40)
        labels, renamed, k = at.labels, at.renamed, (1, 2, 3)
        assert len(labels.unit.unique()) < len(labels.unit)
    else:
        claim = Claim(DOMAINS["days"], "item" if kind == "items" else "sum")
        labels = Labels.of(claim, claim.prompts("discovery", 150, 0))
        renamed, _ = next(renaming.rename(claim, labels, [0] * 7, 40, 0).stages())
        k = claim.tested_frequencies
    assert planes.asked_often(labels) == (kind != "pairs")
    generator = torch.Generator().manual_seed(0)
    smoothers = [RidgeSmoother.of(torch.randn(len(labels.label), m, generator=generator)) for m in (3, 9)]
    main, own = planes.search(smoothers, labels, renamed, k), subspaces.search(smoothers, labels, renamed, k)
    torch.testing.assert_close(own.r2, main.r2)
    assert torch.equal(own.penalty, main.penalty)
    assert float(own.null.amax(dim=0).quantile(0.95)) == pytest.approx(main.null_r2, abs=1e-4)


def test_items_whose_states_hardly_differ_are_refitted_without_each_item() -> None:
    """States of one item that differ by a thousandth, as in a pretrained model: every renaming beside plain refits."""
    claim = Claim(DOMAINS["days"], "item")
    labels = Labels.of(claim, claim.prompts("discovery", 84, 0))
    renamed, _ = next(renaming.rename(claim, labels, [0] * 7, 10, 0).stages())
    generator, k = torch.Generator().manual_seed(0), claim.tested_frequencies
    states = torch.randn(7, 30, generator=generator, dtype=torch.float64)[labels.first]
    states += 1e-3 * torch.randn(states.shape, generator=generator, dtype=torch.float64)
    smoother = RidgeSmoother.of(states)
    own = subspaces.search([smoother], labels, renamed, k)

    def refitted(label: Tensor) -> float:
        r2 = []
        for frequency, relative in product(k, planes.PENALTIES):
            target, errors, baseline = circle(label % 7, frequency, 7), 0.0, 0.0
            for item in range(7):
                out = labels.first == item
                mean, centre = target[~out].mean(dim=0), states[~out].mean(dim=0)
                x = states[~out] - centre
                gram = x.T @ x + smoother.penalty(relative) * torch.eye(30)
                fit = torch.linalg.solve(gram, x.T @ (target[~out] - mean))
                errors += float((target[out] - mean - (states[out] - centre) @ fit).square().sum())
                baseline += float((target[out] - mean).square().sum())
            r2.append(1 - errors / baseline)
        return max(r2)

    expected = [refitted(total) for total in renamed.total]
    assert own.null[0].tolist() == pytest.approx(expected, abs=1e-6)
    assert float(own.r2.max()) == pytest.approx(refitted(labels.label), abs=1e-6)


def test_coverage_of_known_shapes() -> None:
    angle = torch.arange(24) * 2 * math.pi / 24
    one = torch.ones(1, dtype=torch.float64)
    for means, expected in (
        (1 + angle.cos(), 2 / 3),
        (angle.cos().relu(), 4 / math.pi**2),
        ((torch.arange(24) == 5).float(), 1 / 24),
    ):
        assert coverage(means[:, None].double(), one, 1) == pytest.approx(expected, abs=0.01)
