"""Heads and MLPs: known answers on a one-block model that is linear in each component, and sums that must close."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch

from causal.attribution import attribution as module
from causal.attribution.attribution import AttributionRow, agreement, attribution, sample, screen
from causal.attribution.components import frozen, plane_logits, plane_shares, points, projection, rewriting
from causal.attribution.donors import POSITIONS, difference, pairs
from causal.interventions.directions import Directions, dimension, fit
from causal.interventions.engine import Engine
from causal.interventions.questions import Questions, ask
from causal.page.figures import attribution_figure
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import modular
from llm_probe.questions.prompts import Prompt, question_set
from toy.maths.regression import Groups

CLAIM = Claim(modular("add", 12), "sum")


@pytest.fixture(scope="module")
def questions(loaded: LoadedModel, prompts: list[Prompt]) -> Questions:
    return ask(loaded, prompts, CLAIM.domain.items)


@pytest.fixture(scope="module")
def planes(loaded: LoadedModel) -> Directions:
    questions = ask(loaded, question_set(CLAIM.domain, "discovery", 150), CLAIM.domain.items)
    states = Engine(loaded, questions, 2).states()
    return fit(
        states, questions.labels, Groups.of(questions.pairs), "mod-add 12", 12, (1, 4), (2, "resid_post", "last")
    )


@pytest.fixture(scope="module")
def ticks() -> list[int]:
    return []


@pytest.fixture(scope="module")
def rows(loaded: LoadedModel, questions: Questions, planes: Directions, ticks: list[int]) -> list[AttributionRow]:
    ticks.clear()
    return attribution(loaded, CLAIM, questions, planes, seed=0, tick=ticks.append)


@contextmanager
def identity(norm: torch.nn.Module) -> Iterator[None]:
    """Without its final norm what stands last in a model is linear."""
    own = norm.forward
    norm.forward = lambda states, *_: states  # type: ignore[method-assign]
    try:
        yield
    finally:
        norm.forward = own  # type: ignore[method-assign]


def test_where_the_effect_is_linear_the_screen_is_exact(
    loaded: LoadedModel, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaded.final_norm is not None
    monkeypatch.setattr(module, "TOP", 100)
    questions = questions.take(range(6))
    with identity(loaded.final_norm):
        rows = attribution(loaded, CLAIM, questions, None, seed=0)
    last = [row for row in rows if row.layer == 2 and row.position == "last"]
    mlp = next(row for row in last if row.component == "mlp")
    assert (mlp.screen, mlp.first_order) == pytest.approx((mlp.exact, mlp.exact), abs=1e-5)
    assert abs(mlp.screen) > 1e-3
    if loaded.name == "gpt_neox":  # heads and MLP side by side: what the last heads write meets no MLP
        assert [row.exact for row in last] == pytest.approx([row.screen for row in last], abs=1e-5)


def test_patching_everything_at_once_is_the_donor(loaded: LoadedModel, questions: Questions) -> None:
    """The stream is the embedding and all components: with all of them the donor's, so is m."""
    every, missing = points(loaded)
    assert not missing
    assert [point.parts for point in every] == [4, 1] * 3
    (batch, *_) = pairs(loaded, CLAIM, questions, ["item", "last"])
    with torch.no_grad():
        there, after = module._read(loaded, batch, batch.donor_ids, every)
        embedding = loaded.model.get_input_embeddings()  # type: ignore[operator]
        with embedding_of(embedding, batch.donor_ids), rewriting(
            {point.name: point for point in every}, lambda name, _: there[name]
        ):  # fmt: skip
            assert torch.allclose(difference(loaded, batch, batch.ids), after, atol=1e-5)


@contextmanager
def embedding_of(embedding: Any, ids: torch.Tensor) -> Iterator[None]:
    handle = embedding.register_forward_hook(lambda own, _, __: torch.nn.functional.embedding(ids, own.weight))
    try:
        yield
    finally:
        handle.remove()


def test_the_gradient_is_the_slope_of_exact_patching(loaded: LoadedModel, questions: Questions) -> None:
    """A small step towards the donor changes m by that share of the screen."""
    every, _ = points(loaded)
    batches = list(pairs(loaded, CLAIM, questions, ["item", "last"]))
    first, _, _ = screen(loaded, batches, every, ["item", "last"], lambda _: None)
    point, part, step = every[2], 1, 1e-2  # a head of the middle block, at the item
    slopes = []
    for batch in batches:
        rows, column = torch.arange(len(batch.ids)), batch.columns[:, 0]
        with torch.no_grad():
            there, _ = module._read(loaded, batch, batch.donor_ids, every)
            ends = []
            for sign in (1, -1):

                def nudged(_: str, clean: torch.Tensor, sign: int = sign) -> torch.Tensor:
                    new, donor = point.split(clean).clone(), point.split(there[point.name])  # noqa: B023
                    new[rows, column, part] += sign * step * (donor - new)[rows, column, part]  # noqa: B023
                    return new.flatten(-2)

                with rewriting({point.name: point}, nudged):
                    ends.append(difference(loaded, batch, batch.ids))
            slopes.append((ends[0] - ends[1]) / (2 * step))
    assert torch.allclose(torch.cat(slopes).double(), first[point.name, part, "item"], atol=1e-3)


def test_nothing_differs_from_itself(
    loaded: LoadedModel, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = [replace(batch, donor_ids=batch.ids) for batch in pairs(loaded, CLAIM, questions, POSITIONS)]
    first, screened, whole = screen(loaded, same, points(loaded)[0], POSITIONS, lambda _: None)
    assert whole == 0
    assert not any(bool(values.any()) for effects in (first, screened) for values in effects.values())
    assert sample(screened, 0) == {}
    monkeypatch.setattr(module, "pairs", lambda *_: iter(same))
    rows = attribution(loaded, CLAIM, questions, None, seed=0)
    assert {(row.screen, row.exact, row.drawn) for row in rows} == {(0.0, None, "not measured")}
    assert agreement(rows) == []


def test_pairs_part_at_one_token(loaded: LoadedModel) -> None:
    questions = ask(loaded, question_set(CLAIM.domain, "causal", 60), CLAIM.domain.items)
    kept = 0
    for batch in pairs(loaded, CLAIM, questions, ["item", "last"]):
        assert ((batch.ids != batch.donor_ids).sum(dim=1) == 1).all()
        assert (batch.own != batch.others).all()
        assert (batch.columns[:, 1] == batch.ids.shape[1] - 1).all()
        kept += len(batch.rows)
        for row, ids, own in zip(batch.rows.tolist(), batch.ids.tolist(), batch.own.tolist(), strict=True):
            item = questions.items[row]
            answer = item.tree.answers[questions.prompts[row].label]
            beginning = len(ids) - len(item.ids)
            assert (tuple(ids[len(item.ids) :]), own) == (answer[:beginning], answer[beginning])
    assert 0.7 * 60 < kept <= 60


def test_rows_and_components_that_cannot_matter(rows: list[AttributionRow], ticks: list[int]) -> None:
    positions = {row.position for row in rows}
    assert len(rows) == 15 * len(positions)
    assert len({(row.layer, row.component, row.head, row.position) for row in rows}) == len(rows)
    for row in rows:
        if row.layer == 2 and row.position != "last":  # no attention follows
            assert (row.screen, row.exact) == (0.0, None)
    kinds = [row.drawn for row in rows]
    assert (kinds.count("top"), kinds.count("random")) == (10, min(20, sum(row.screen != 0 for row in rows) - 10))
    assert sum(ticks) == (8 + kinds.count("top") + kinds.count("random")) * rows[0].n
    top = min(abs(row.screen) for row in rows if row.drawn == "top")
    assert all(abs(row.screen) <= top for row in rows if row.drawn != "top")


def test_agreement_by_hand() -> None:
    def row(screened: float, measured: float | None, kind: str) -> AttributionRow:
        return AttributionRow(
            "d", 0, "mlp", None, "last", screened, -screened, measured, None, None, kind, 1.0, None, 9
        )

    rows = [row(3.0, 9.0, "top"), row(2.0, -4.0, "top"), row(-1.0, -5.0, "top")]
    rows += [row(0.1, 0.2, "random"), row(0.2, 0.1, "random"), row(9.0, None, "not measured")]
    top, random, both = agreement(rows)
    assert (top.spearman, top.largest, top.n) == (pytest.approx(1.0), 9.0, 3)
    assert (random.spearman, random.n) == (None, 2)
    assert top.first_order == pytest.approx(-1.0)
    assert both.spearman == pytest.approx(1 - 6 * (0 + 4 + 0 + 4 + 0) / (5 * 24))


def test_heads_without_a_known_projection_are_skipped(
    loaded: LoadedModel, questions: Questions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("causal.attribution.components.PROJECTIONS", ("unknown",))
    assert projection(loaded.layers[0]) is None
    rows = attribution(loaded, CLAIM, questions.take(range(4)), None, seed=0)
    assert {row.component for row in rows} == {"mlp"}
    assert "are skipped in blocks 0, 1, 2: their attention has no output projection" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- the planes


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("causal.attribution.components.DRAWS", 5)


def test_shares_of_all_writers_sum_to_one(loaded: LoadedModel, questions: Questions, planes: Directions) -> None:
    """Prompts that end in the same token: there the embedding has no variance."""
    ends = [item.ids[-1] for item in questions.items]
    questions = questions.take([row for row, end in enumerate(ends) if end == ends[0]])
    shares = plane_shares(loaded, questions, planes)
    assert len(shares) == 15
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert max(abs(share) for share in shares.values()) > 0.01
    early = plane_shares(loaded, questions, replace(planes, layer=0))
    assert {name for name, _ in early} == {"0.head", "0.mlp"}
    assert sum(early.values()) == pytest.approx(1, abs=1e-4)


def test_shares_stand_in_the_rows(
    loaded: LoadedModel, questions: Questions, planes: Directions, rows: list[AttributionRow]
) -> None:
    shares = plane_shares(loaded, questions, planes)
    for row in rows:
        here = shares[f"{row.layer}.{row.component}", row.head or 0]
        assert row.plane_share == (pytest.approx(here) if row.position == "last" else None)


@pytest.mark.parametrize("kind", ["rms", "layer", "none"])
def test_the_norm_is_read_by_calling_it(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    norm = {"rms": torch.nn.RMSNorm(9), "layer": torch.nn.LayerNorm(9), "none": None}[kind]
    for parameter in norm.parameters() if norm else ():
        torch.nn.init.normal_(parameter, 1.0, generator=generator)
    states = torch.randn(6, 9, generator=generator).double() + 0.5
    gain, offset, normed = frozen(norm, states)
    expected = norm(states.float()).double() if norm else states
    assert torch.allclose(gain * normed(states) + offset, expected, atol=1e-5)
    assert torch.allclose(normed(2 * states) - normed(states), normed(states))


def test_planes_that_are_everything_give_every_logit(
    loaded: LoadedModel, questions: Questions, planes: Directions
) -> None:
    """The basis of the whole stream, centred at 0, gives all of the right answer's margin but for the norm's offset."""
    every = torch.eye(16).double()
    whole = replace(planes, basis=every, reader=every, writer=every, mean=torch.zeros(16).double())
    (row,) = plane_logits(loaded, questions, whole, seed=0)
    logits, margins = [], []
    for item, prompt in zip(questions.items, questions.prompts, strict=True):
        with torch.inference_mode():
            logits = loaded.model(input_ids=torch.tensor([item.ids])).logits[0, -1]  # type: ignore[operator]
        firsts = sorted({answer[0] for answer in item.tree.answers})
        margins.append(float(logits[item.tree.answers[prompt.label][0]] - logits[firsts].mean()))
    assert row.margin == pytest.approx(sum(margins) / len(margins), abs=1e-4)
    if not hasattr(loaded.final_norm, "bias"):
        assert row.planes == pytest.approx(row.margin, abs=1e-4)
        assert row.share == pytest.approx(1, abs=1e-3)
    (part,) = plane_logits(loaded, questions, planes, seed=0)
    assert part.share_low <= part.share <= part.share_high
    assert part.matched <= part.matched_high


def test_planes_elsewhere_give_no_row(loaded: LoadedModel, questions: Questions, planes: Directions) -> None:
    assert plane_logits(loaded, questions, replace(planes, site="mlp_out"), seed=0) == []
    assert plane_shares(loaded, questions, replace(planes, site="mlp_out")) == {}
    one = dimension(torch.randn(20, 16), "mod-add 12", 12, (1, "resid_post", "last"), 3)
    assert len(plane_logits(loaded, questions, one, seed=0)) == 1


def test_the_figure(rows: list[AttributionRow]) -> None:
    frames = [pd.DataFrame([vars(row) for row in some]) for some in (rows, agreement(rows))]
    figure = attribution_figure(*frames)
    (axes,) = figure.axes
    assert len(axes.get_yticks()) == 12
    assert axes.get_title().startswith("mod-add 12 · Spearman top")
    largest = max((row for row in rows if row.exact is not None), key=lambda row: abs(row.exact or 0))
    number = "" if largest.head is None else f".{largest.head}"
    assert axes.get_yticklabels()[-1].get_text() == f"{largest.component} {largest.layer}{number} {largest.position}"
