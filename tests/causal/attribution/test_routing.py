"""Path patching from the modulus: networks of which one head writes, sums that must close, and the reference model."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from causal.attribution import routing as routing_room
from causal.attribution.components import points
from causal.attribution.donors import Triples, parting, triples
from causal.attribution.routing import (
    EXCHANGES,
    WHOLE,
    Changes,
    Edge,
    agreement,
    effects,
    exchanges,
    max_t,
    measure,
    read,
    routing,
    share_interval,
)
from causal.page.figures import Shown, maps, routing_figure
from causal.page.section import section
from causal.run.causal_run import CAUSAL, _of_each_operation
from causal.run.plan import claim_of
from causal.run.tables import by_table
from llm_probe.models.loading import LoadedModel, load
from llm_probe.run.study import Session

CLAIMS = [claim_of(f"mod-add {modulus}") for modulus in (11, 12, 13, 17, 19)]


@pytest.fixture(scope="module")
def batch(loaded: LoadedModel) -> Triples:
    return max(triples(loaded, CLAIMS[1], CLAIMS, 12, 0), key=lambda one: len(one.strata))


@pytest.fixture(scope="module")
def changes(loaded: LoadedModel, batch: Triples) -> Changes:
    return measure(loaded, batch)[0]


def test_answers_part_at_the_first_token_that_differs_in_all() -> None:
    assert parting([(5,), (6, 1), (7,)]) == 0
    assert parting([(1, 5), (1, 6), (1, 7)]) == 1
    assert parting([(1, 5), (1, 6), (2,)]) is None
    assert parting([(1,), (1, 6), (1, 7)]) is None


def test_donors_differ_in_the_modulus_alone_and_their_answers_are_right(loaded: LoadedModel) -> None:
    pairs = []
    for claim in CLAIMS[:2]:
        batches = list(triples(loaded, claim, CLAIMS, 12, 0))
        pairs.append({pair for one in batches for pair in one.pairs.tolist()})
        for one in batches:
            assert not ((one.ids[0] != one.ids[1:]) & ~one.modulus).any()
            assert not (one.between & (one.modulus | one.last)).any()
            for row, pair in enumerate(one.pairs.tolist()):
                total = sum(divmod(pair, 1_000_000))
                for ids, answer in zip(one.ids[:, row], one.tokens[one.answers[:, row]].tolist(), strict=True):
                    said = "".join(loaded.tokenizer.convert_ids_to_tokens([*ids.tolist(), answer]))
                    written = re.split("equals|nswer:", said)[1].strip()
                    modulus = "".join(loaded.tokenizer.convert_ids_to_tokens(ids[one.modulus[row]].tolist()))
                    assert written and str(total % int(modulus)).startswith(written)
    assert not pairs[0] & pairs[1]


def test_nothing_comes_from_in_front_of_the_modulus(
    loaded: LoadedModel, batch: Triples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There prompt and donors are alike, so that every edge must change nothing at all."""
    monkeypatch.setattr(routing_room, "can_share", lambda *_: False)
    first = batch.modulus.int().argmax(dim=1, keepdim=True)
    front = torch.arange(batch.modulus.shape[1]) < first
    assert front.any(dim=1).all()
    for edge, change in measure(loaded, replace(batch, modulus=front, between=batch.between))[0].items():
        assert not change.any() or edge.route in ("through", "modulus")


def test_a_cached_prompt_and_a_whole_one_say_the_same(
    loaded: LoadedModel, batch: Triples, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing_room, "can_share", lambda *_: False)
    for edge, change in measure(loaded, batch)[0].items():
        assert torch.allclose(change, changes[edge], atol=1e-4), edge


def test_the_modulus_and_all_between_are_the_whole_prompt(
    loaded: LoadedModel, batch: Triples, changes: Changes
) -> None:
    with torch.no_grad():
        clean, *donors = (read(loaded, batch, [], donor=donor)[1] for donor in range(3))
    assert torch.allclose(changes[WHOLE], torch.stack(donors) - clean, atol=1e-5)
    assert changes[WHOLE].abs().max() > 1e-3


@pytest.mark.parametrize("only", [(0, 2), (1, 1), (2, 3)])
def test_the_only_head_that_writes_routes_everything(
    loaded: LoadedModel, batch: Triples, only: tuple[int, int]
) -> None:
    with writing(loaded, only):
        total, direct = measure(loaded, batch)
    whole = total[WHOLE]
    assert whole.abs().max() > 1e-3
    for edge, change in total.items():
        is_it = edge.layer == only[0] and edge.head in (only[1], None) and edge.destination == "last"
        if edge.route in ("head", "layer"):
            assert torch.allclose(change, whole * is_it, atol=1e-4), edge
    assert torch.allclose(total[Edge("straight")], whole, atol=1e-5)
    assert torch.allclose(total[Edge("through")], torch.zeros(()).expand_as(whole), atol=1e-5)
    assert set(direct) == {edge for edge in total if edge.route in ("head", "layer") and edge.destination == "last"}


def test_behind_the_last_block_all_is_direct(loaded: LoadedModel, batch: Triples) -> None:
    with writing(loaded, (2, 1), mlps=False):
        total, direct = measure(loaded, batch)
    assert torch.allclose(direct[Edge("head", 2, 1)], total[WHOLE], atol=1e-4)


@contextmanager
def writing(loaded: LoadedModel, only: tuple[int, int], *, mlps: bool = True) -> Iterator[None]:
    """Every head but one writes nothing."""
    before = copy.deepcopy(loaded.model.state_dict())
    with torch.no_grad():
        for point in points(loaded)[0]:
            if point.kind == "head":
                weight: torch.Tensor = point.module.weight  # type: ignore[assignment]
                part = weight.unflatten(1, (point.parts, -1))
                part[:, [head for head in range(point.parts) if (point.layer, head) != only]] = 0
            elif not mlps:
                for parameter in point.module.parameters():
                    parameter.zero_()
    try:
        yield
    finally:
        loaded.model.load_state_dict(before)


def test_effects_are_the_means_over_the_two_donors() -> None:
    answers = torch.tensor([[0], [1], [2]])
    change = torch.tensor([[[-1.0, 3.0, 0.5]], [[-2.0, 0.0, 5.0]]])  # (donor, n, token)
    assert effects(change, answers).flatten().tolist() == [((3 + 1) + (5 + 2)) / 2, ((0.5 + 1) + (0 + 2)) / 2]


def test_a_head_that_knows_the_answer_is_found_and_others_are_not() -> None:
    generator = torch.Generator().manual_seed(0)
    n, strata = 60, torch.arange(60) % 6
    answers = torch.stack([torch.randperm(8, generator=generator)[:2] for _ in range(n)]).T
    heads = [torch.randn(2, n, 8, generator=generator) for _ in range(4)]
    # This one says the same of each modulus whatever the operands are: no head that knows the answer.
    heads.append(torch.randn(2, 1, 8, generator=generator).expand(2, n, 8) * 5)
    heads[1][0, torch.arange(n), answers[0]] += 1
    heads[1][1, torch.arange(n), answers[1]] += 1
    p = max_t(exchanges(heads, answers, strata, 0))
    assert p[1] == 1 / (1 + EXCHANGES)
    assert (p[[0, 2, 3, 4]] > 0.05).all()


def test_without_knowledge_p_is_not_small_too_often() -> None:
    generator = torch.Generator().manual_seed(1)
    strata, least = torch.arange(40) % 8, []
    for seed in range(40):
        answers = torch.stack([torch.randperm(6, generator=generator)[:2] for _ in strata]).T
        heads = [torch.randn(2, len(strata), 6, generator=generator) for _ in range(3)]
        least.append(float(max_t(exchanges(heads, answers, strata, seed)).min()))
    assert sum(p <= 0.05 for p in least) <= 6  # of 40; more has a probability of 0.3 % at 5 %


def test_what_nothing_changes_has_no_small_p() -> None:
    assert max_t(torch.zeros(3, 10)).tolist() == [1, 1, 1]


def test_a_share_has_the_interval_of_its_units() -> None:
    whole = torch.tensor([1.0, 2.0, 3.0, 4.0]).double()
    assert share_interval(whole / 2, whole, torch.tensor([0, 1, 2, 2]), 0) == pytest.approx((0.5, 0.5))


def test_only_claims_of_one_operation_are_compared() -> None:
    mixed = [*CLAIMS, claim_of("days"), claim_of("mod-sub 11"), claim_of("mod-sub 12")]
    assert _of_each_operation(mixed) == [CLAIMS]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rows = routing(
        load("reference", device="cpu"), [CLAIMS[0], CLAIMS[2], CLAIMS[3], claim_of("mod-add 7")], size=8, seed=0
    )
    tables = by_table(rows)
    assert Session(CAUSAL).rows("routing", lambda: tables) == tables
    return pd.DataFrame([vars(row) for row in rows])


def test_in_the_reference_the_head_that_looks_is_the_one_that_routes(
    rows: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Shown.of(rows)
    assert shown and set(shown.trained["domain"]) == {"mod-add, all moduli"}
    heads = shown.heads.set_index(["layer", "head"])
    assert heads.total[1, 3] > 0.9 and heads.attention[1, 3] > 0.9 and heads.p[1, 3] == 1 / (1 + EXCHANGES)
    assert heads.drop((1, 3)).total.abs().max() < 0.05
    assert heads.total_low[1, 3] < heads.total[1, 3] <= heads.total_high[1, 3]
    assert heads.other[1, 3] < heads.total[1, 3] - 0.2
    assert agreement(shown.trained) is not None
    whole = shown.trained.set_index("route").loc["modulus"]
    assert whole.total == 1 and whole.change == whole.whole
    assert "mod-add 7" not in rows["domain"].tolist()  # its prompts have a token less than those of other moduli


def test_random_weights_route_nothing(rows: pd.DataFrame) -> None:
    shown = Shown.of(rows)
    assert shown
    assert max(map(abs, shown.random["change"].tolist())) < 0.01 * shown.trained["whole"].iloc[0]
    assert min(shown.random["p"].dropna().tolist()) > 0.01
    assert not shown.random["total"].notna().to_numpy().any()  # of a change that may be nothing there is no share


def test_the_page_says_it_in_two_sentences_with_maps(rows: pd.DataFrame, tmp_path: Path) -> None:
    shown = Shown.of(rows)
    assert shown
    assert re.search(r"head 3 of layer 1 alone hands on (0.9|1.00)", shown.sentences[0])
    assert shown.sentences[1].startswith("Head 3 of layer 1 gives the modulus 1.00 of its attention")
    tables = maps(shown)
    assert list(tables) == ["change through the head", "attention to the modulus", "change, random weights"]
    assert all(table.shape == (3, 4) for table in tables.values())
    assert len(routing_figure(rows).axes) == 4
    folder = tmp_path / "causal"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    pd.DataFrame([], columns=["domain", "verdict", "layer", "direction", "sentence"]).to_csv(
        folder / "causal_verdicts.csv"
    )
    rows.to_csv(folder / "causal_routing.csv", index=False)
    made = section(tmp_path)
    assert made and "Who routes the modulus" in made.html and made.html.count("<svg") == 3


def test_without_rows_there_is_nothing_to_show(rows: pd.DataFrame) -> None:
    assert Shown.of(rows.iloc[:0]) is None
    assert Shown.of(rows.loc[rows["weights"] == "random"]) is None
