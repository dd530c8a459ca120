"""Items that share tokens, and six items, in a small network: a circle among their words is shown, spelling is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from llm_probe import probe
from llm_probe.models.loading import REFERENCE_FOLDER
from llm_probe.questions.domains import DOMAINS, MONTHS, STATEMENTS, Domain
from llm_probe.verdicts import evidence
from tests.llm_probe.geometry.planted import circle, directions

SIX = Domain("six", MONTHS[:6], statements=STATEMENTS)
"""Names of one token each, which have 60 orders."""
SHARING = Domain(
    "sharing", tuple(f"{'good' if i < 5 else 'late'} {MONTHS[i]}" for i in range(9)), statements=STATEMENTS
)
"""Names that share their first word with some others, so that none can change its name."""


def claim_of(domain: Domain, size: float, width: int = 32) -> dict[str, Any]:
    """The verdict on a domain in a random Qwen3, the months' rows of its embedding on a circle of this size."""
    words = AutoTokenizer.from_pretrained(REFERENCE_FOLDER)
    torch.manual_seed(0)
    sizes = {"hidden_size": width, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=len(words), num_hidden_layers=2, head_dim=8, **sizes)).eval()
    table = model.get_input_embeddings().weight.data
    # Along random directions: what stands in two dimensions alone is scaled down with them (`geometry.code`).
    ring = directions(circle(domain.period), width, seed=0).float()
    for index in range(domain.period):
        (token,) = words.encode(" " + MONTHS[index], add_special_tokens=False)
        table[token] += size * ring[index]
    options = {"renamings": 99, "behaviour": False, "blocks_control": False}
    return probe(model, words, [domain], **options).verdicts.iloc[0].to_dict()


@pytest.mark.parametrize("domain", [SIX, SHARING], ids=lambda domain: domain.name)
def test_a_circle_planted_among_the_words_is_shown(domain: Domain) -> None:
    claim = claim_of(domain, size=0.06)
    assert (claim["level"], claim["verdict"], claim["order_null"]) == ("circle", "supported", "words"), claim["reason"]
    assert claim["p_fwer"] == claim["p_redrawn"] == pytest.approx(1 / 1000)
    assert claim["p_order"] > 0.01 and claim["origin"] is None
    assert str(claim["layer"]) in claim["layers_held"]
    assert claim == claim_of(domain, size=0.06)


def test_a_compass_by_spelling_alone_is_not_shown() -> None:
    claim = claim_of(replace(DOMAINS["compass"], questions={}), size=0.0)
    assert claim["level"] != "circle" and claim["verdict"] == "undetermined"
    assert claim["order_null"] == "words" and claim["p_fwer"] > 0.01


def test_words_are_read_only_where_nothing_else_stops_the_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("random words were read")

    monkeypatch.setattr(evidence, "redraw_test", refuse)
    assert claim_of(DOMAINS["sizes"], size=0.0)["p_redrawn"] is None
    with pytest.raises(AssertionError, match="random words"):
        claim_of(SIX, size=0.06)
