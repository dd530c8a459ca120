"""Models of other libraries give the numbers of the transformers model that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerFast

from llm_probe import probe
from llm_probe.activations.steering import steering
from llm_probe.activations.streaming import ReadPlan, rows, stream
from llm_probe.models.adapters import as_transformers
from llm_probe.models.loading import twin, wrap
from llm_probe.questions.domains import Domain
from llm_probe.questions.prompts import statement_set
from llm_probe.questions.tokens import encode
from llm_probe.statistics.directions import CirclePlane

LETTERS = Domain("letters", tuple("abcdefgh"), statements={f"t{i}": f"{'zyxwvu'[i]} + {{item}} =" for i in range(6)})
OPTIONS: dict[str, Any] = {"renamings": 19, "behaviour": False}
PLAN = ReadPlan(layers=(0, 1), sites=("resid_post", "mlp_out", "attn_out"), positions=("last", "item"))


@pytest.fixture(scope="module")
def network(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    """A random GPT-2 of two blocks, as TransformerLens knows it."""
    torch.manual_seed(0)
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=len(tokenizer), attn_implementation="eager", bos_token_id=1, eos_token_id=1, **sizes)
    ).eval()


def states(model: Any, tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    loaded = wrap(as_transformers(model), tokenizer)
    encoded = encode(tokenizer, statement_set(LETTERS, "discovery"))
    return rows(stream(loaded, encoded, PLAN), len(encoded))


def assert_equal(model: Any, network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """States at every site within 1e-4, and the whole probe runs, the random twin included."""
    assert torch.allclose(states(model, tokenizer), states(network, tokenizer), atol=1e-4)
    one, other = (probe(each, tokenizer, LETTERS, **OPTIONS) for each in (model, network))
    assert other.table["r2_heldout"].notna().any()
    trained = [result.table.query("weights == 'trained' and unit == 'plane'")["r2_heldout"] for result in (one, other)]
    assert (trained[0] - trained[1]).abs().max() < 1e-4
    assert set(one.table["weights"]) == {"trained", "random"}


def steered(model: Any, forward: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Logits behind a prompt while a made-up circle behind block 0 is turned."""
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(size, generator=generator) for size in ((16, 2), (16, 2), (16, 2), (16,), (2,))]
    plane = CirclePlane("letters", "item", 8, 0, "resid_post", "last", 1, (1,), *tensors)
    ids = torch.arange(2, 9)[None]
    with steering(model, plane, 1):
        return forward(ids)


def test_a_transformers_model_is_itself(network: GPT2LMHeadModel) -> None:
    assert as_transformers(network) is network


def test_a_hooked_transformer(network: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast) -> None:
    lens = pytest.importorskip("transformer_lens")
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

    config = lens.HookedTransformerConfig(
        n_layers=2, d_model=16, d_head=8, n_heads=2, n_ctx=32, d_vocab=len(tokenizer), act_fn="gelu_new",
        normalization_type="LN", eps=1e-5, device="cpu",
    )  # fmt: skip
    hooked = lens.HookedTransformer(config)
    hooked.load_state_dict(convert_gpt2_weights(network, config), strict=False)
    assert_equal(hooked, network, tokenizer)
    loaded = wrap(as_transformers(hooked), tokenizer)
    ids = torch.arange(2, 9)[None]
    assert torch.allclose(loaded.model(input_ids=ids).logits, network(input_ids=ids).logits, atol=1e-4)
    turned = steered(network, lambda ids: network(input_ids=ids).logits)
    assert torch.allclose(steered(hooked, hooked), turned, atol=1e-3)
    assert not torch.allclose(hooked(ids), turned, atol=1e-2)
    made: Callable[[], Any] = twin(loaded, 3)
    first, again = (made().model.model.network.embed.W_E for _ in range(2))
    assert torch.equal(first, again) and not torch.equal(first, hooked.embed.W_E)


def test_a_bridge_of_transformer_lens(network: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast) -> None:
    pytest.importorskip("transformer_lens")
    from copy import deepcopy

    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers("gpt2", hf_model=deepcopy(network), tokenizer=tokenizer, device="cpu")
    assert_equal(bridge, network, tokenizer)
    turned = steered(network, lambda ids: network(input_ids=ids).logits)
    assert torch.allclose(steered(bridge, bridge), turned, atol=1e-3)


def test_a_model_with_adapters_of_peft(network: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast) -> None:
    peft = pytest.importorskip("peft")
    from copy import deepcopy

    options = {"target_modules": ["c_attn"], "r": 2, "init_lora_weights": False, "fan_in_fan_out": True}
    tuned = peft.get_peft_model(deepcopy(network), peft.LoraConfig(**options))
    assert not torch.allclose(states(tuned, tokenizer), states(network, tokenizer), atol=1e-3)
    assert_equal(tuned, deepcopy(tuned).merge_and_unload(), tokenizer)


def test_a_language_model_of_nnsight(network: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast) -> None:
    nnsight = pytest.importorskip("nnsight")
    assert_equal(nnsight.LanguageModel(network, tokenizer=tokenizer), network, tokenizer)


class _Wrapped:
    """Stands where nnsight's class would: the adapter knows it by its name."""

    def __init__(self, model: Any) -> None:
        self._module = model


def test_an_nnsight_model_without_weights_is_refused(network: GPT2LMHeadModel) -> None:
    kind = type("Envoy", (_Wrapped,), {"__module__": "nnsight.intervention.envoy"})
    assert as_transformers(kind(network)) is network
    with torch.device("meta"):
        empty = GPT2LMHeadModel(network.config)
    with pytest.raises(ValueError, match=r"dispatch=True"):
        as_transformers(kind(empty))
