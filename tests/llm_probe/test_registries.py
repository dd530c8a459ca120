"""What people add - a domain, a model family - is one entry of a literal dict, and everything else follows from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

import llm_probe
from llm_probe.models import layout
from llm_probe.models.layout import ModelMapError, PartNames
from llm_probe.models.loading import wrap
from llm_probe.questions.claims import claims_of
from llm_probe.questions.domains import DOMAINS, Domain, resolve
from llm_probe.questions.prompts import PARTS
from llm_probe.questions.selection import named_claims
from llm_probe.run.config import ProbeConfig
from llm_probe.run.vocabulary import Site
from toy.networks.hooks import capture

MOONS = Domain(
    "moons",
    ("new", "waxing", "full", "waning", "dark"),
    questions={"after": "{offset} phases after {item} is"},
    statements={"sky": "Tonight the moon is {item}."},
)

SITES: tuple[Site, ...] = ("resid_post", "attn_out", "mlp_out")


def test_a_new_domain_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DOMAINS, "moons", MOONS)
    assert resolve(["days", "moons"], []) == [DOMAINS["days"], MOONS]
    config = ProbeConfig(domains=("moons",))  # what `--domains moons` gives
    claims = named_claims(config)
    assert [claim.name for claim in claims] == [claim.name for claim in claims_of([MOONS])]
    assert [claim.name for claim in claims] == ["moons: sum", "moons: item"]
    assert all(claim.prompts(part, 20, 0) for claim in claims for part in PARTS)


class OwnNames(LlamaDecoderLayer):
    """Llama's block with parts whose names are no other family's."""

    @staticmethod
    def of(block: nn.Module) -> OwnNames:
        """The same block under its new names."""
        block.__class__ = OwnNames
        block._modules["mixes_places"] = block._modules.pop("self_attn")
        block._modules["mixes_widths"] = block._modules.pop("mlp")
        assert isinstance(block, OwnNames)
        return block

    def forward(self, hidden_states: Tensor, **options: Any) -> Tensor:
        middle = hidden_states + self.mixes_places(hidden_states=self.input_layernorm(hidden_states), **options)[0]
        return middle + self.mixes_widths(self.post_attention_layernorm(middle))


def test_a_new_family_is_one_entry(
    monkeypatch: pytest.MonkeyPatch, tiny: Callable[[str], PreTrainedModel], tokenizer: PreTrainedTokenizerFast
) -> None:
    model = tiny("llama")
    ids = torch.tensor([[3, 7, 11, 5, 20]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
    for block in model.model.layers:
        OwnNames.of(block)
    loaded = wrap(model, tokenizer)
    with pytest.raises(ModelMapError, match="OwnNames has no part of a known name for attn_out"):
        loaded.site_module(1, "attn_out")
    monkeypatch.setitem(layout.PART_NAMES, "own", PartNames("mixes_places", "mixes_widths", final_norm="last_norm"))
    modules = {site: loaded.site_module(1, site) for site in SITES} | {"before": loaded.layers[0]}
    seen: dict[str, Tensor] = {}
    with torch.no_grad(), capture(modules, seen.__setitem__):
        torch.testing.assert_close(loaded.model(input_ids=ids).logits, before)
    torch.testing.assert_close(seen["before"] + seen["attn_out"] + seen["mlp_out"], seen["resid_post"])
    backbone = nn.Module()
    backbone.last_norm = nn.LayerNorm(2)
    assert layout.final_norm(backbone) is backbone.last_norm


def test_the_package_offers_what_examples_use() -> None:
    for name in llm_probe.__all__:
        assert callable(getattr(llm_probe, name))
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        _ = llm_probe.lode
