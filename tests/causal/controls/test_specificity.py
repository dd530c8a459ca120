"""Losses of a text under edits, and the test of equivalence by hand."""

from pathlib import Path

import pytest
import torch

from causal.controls import specificity
from causal.controls.specificity import HARM, MARGIN, TextEngine, documents, equivalence, harm, windows
from causal.interventions.edits import fit_gate
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from toy.run.errors import InputError

TEXTS = ["the days of the week are seven", "one two three four five", "a", "months follow one another in a circle"]


def test_windows_cut_documents_and_drop_single_tokens(loaded: LoadedModel) -> None:
    text = windows(loaded, ["abcde", "f", "ghi"], 2, 100)
    assert [len(ids) for ids in text.ids] == [2, 2, 2]
    assert text.document == (0, 0, 1)
    assert text.tokens.tolist() == [2, 1]


@pytest.mark.parametrize("layer", [0, 2])
def test_later_blocks_alone_give_the_same_losses(loaded: LoadedModel, layer: int) -> None:
    engine = TextEngine(loaded, windows(loaded, TEXTS, 8, 30), layer)
    assert not engine.whole
    edits = [None, lambda states, _: states + states.roll(1, dims=-1)]
    fast = engine.losses(edits)
    engine.whole = True
    for one, other in zip(fast, engine.losses(edits), strict=True):
        assert torch.allclose(one, other, atol=1e-4)
    assert not torch.allclose(fast[0], fast[1], atol=0.1)


def test_equivalence_by_hand() -> None:
    # d = 1, 3 nats in documents of 100 tokens: 0.02 a token, residuals -1, 1, se = sqrt(2/1 * 2) / 200 = 0.01.
    tokens = torch.tensor([100.0, 100.0]).double()
    before = torch.tensor([200.0, 300.0]).double()
    change = equivalence(before, before + torch.tensor([1.0, 3.0]).double(), tokens)
    assert change["nats"] == pytest.approx(2.5)
    assert change["nats_change"] == pytest.approx(0.02)
    assert change["nats_high"] - change["nats_change"] == pytest.approx(6.3138 * 0.01, abs=1e-5)  # t(0.95, 1 df)
    assert change["p_equivalence"] > 0.5


def test_a_small_sure_change_is_equivalent() -> None:
    tokens = torch.full((40,), 100.0).double()
    noise = torch.linspace(-0.1, 0.1, 40).double()
    before = torch.full((40,), 250.0).double()
    assert equivalence(before, before + 0.2 + noise, tokens)["p_equivalence"] < 1e-6
    assert equivalence(before, before + 1.0 + noise, tokens)["p_equivalence"] == pytest.approx(0.5)
    assert equivalence(before, before, tokens)["p_equivalence"] == 0


@pytest.mark.parametrize(
    ("p", "share", "expected"),
    [
        (0.0, 0.0004, "not tested"),  # an edit that touches nothing is equivalent to none
        (0.0, 0.0099, "not tested"),
        (0.04, 0.01, "spared"),
        (0.06, 0.01, "not spared"),
        (0.06, 1.0, "not spared"),
        (0.9, 0.0004, "not tested"),
    ],
)
def test_a_text_that_is_hardly_edited_is_no_test(p: float, share: float, expected: str) -> None:
    assert harm(p, share) == expected


def test_the_smallest_share_shows_one_nat_at_every_edited_position() -> None:
    # 40 documents of 1,000 tokens, of which 5 or 10 lose a nat: below and at the margin.
    tokens, before = torch.full((40,), 1000.0).double(), torch.full((40,), 2500.0).double()
    noise = torch.linspace(-0.1, 0.1, 40).double()
    for edited, expected in ((5, True), (10, False)):
        p = equivalence(before, before + edited * HARM + noise, tokens)["p_equivalence"]
        assert (p < 0.05) == expected
        assert (edited / 1000 < MARGIN / HARM) == expected


def test_a_gate_opens_at_the_prompts_only() -> None:
    generator = torch.Generator().manual_seed(0)
    prompts, text = torch.randn(300, 6, generator=generator) + 2, torch.randn(300, 6, generator=generator) - 2
    gate = fit_gate(prompts, text)
    assert float(gate.opens(prompts).double().mean()) == pytest.approx(0.99, abs=0.01)
    assert float(gate.opens(text).double().mean()) < 0.01
    rows = torch.zeros(300, dtype=torch.long)
    assert torch.equal(gate.edit(lambda states, _: states * 0)(text, rows)[~gate.opens(text)], text[~gate.opens(text)])


def test_texts_that_cannot_be_used(tmp_path: Path, loaded: LoadedModel) -> None:
    assert len(documents(None)) > 50
    (tmp_path / "empty.txt").write_text("")
    for path in (tmp_path / "empty.txt", tmp_path / "absent.txt"):
        with pytest.raises(InputError):
            documents(path)
    with pytest.raises(InputError, match="paired intervals need two"):
        windows(loaded, ["a"], 4, 10)


@pytest.mark.parametrize("name", list(specificity.PLAIN))
def test_plain_results_are_not_reduced(name: str) -> None:
    prompts = Claim(specificity.plain(name), "sum").prompts("causal", 200, 0)
    whole = [prompt for prompt in prompts if prompt.total == prompt.label]
    assert len(whole) > len(prompts) / 4
    operation = {"add": int.__add__, "sub": int.__sub__, "mul": int.__mul__}[specificity.PLAIN[name][0]]
    for prompt in whole:
        assert prompt.answer == str(operation(prompt.first, prompt.offset))
        assert "mod" not in prompt.text


def test_facts_name_their_country() -> None:
    prompts = specificity.facts()
    assert len({prompt.text for prompt in prompts}) == len(prompts)
    for prompt in prompts:
        country = list(specificity.CAPITALS)[prompt.label]
        assert country in prompt.text
        assert prompt.answer == specificity.CAPITALS[country]
