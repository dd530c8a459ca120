"""The map of every architecture against what transformers reports, and the sentences that loading fails with."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from llm_probe.activations.behaviour import score
from llm_probe.activations.streaming import ReadPlan, rows, stream
from llm_probe.models import hub
from llm_probe.models.families import QUESTION, character_tokenizer, tiny_model
from llm_probe.models.loading import (
    NOTE,
    LoadedModel,
    ModelMapError,
    check_layers,
    evaluating,
    load,
    randomised,
    self_check,
    wrap,
)
from llm_probe.questions.tokens import encode
from llm_probe.run.vocabulary import Site
from toy.networks.hooks import capture
from toy.run.errors import InputError

ARCHITECTURES = ("qwen3", "qwen2", "llama", "mistral", "gemma2", "gemma3_text", "gpt2", "gpt_neox", "bert")
SITES: tuple[Site, ...] = ("resid_post", "attn_out", "mlp_out")
IDS = torch.tensor([[3, 7, 11, 5, 20]])

Tiny = Callable[[str], PreTrainedModel]


def outputs(loaded: LoadedModel, site: Site) -> list[Tensor]:
    """What a hook on each layer's site sees."""
    seen: dict[str, Tensor] = {}
    modules = {str(layer): loaded.site_module(layer, site) for layer in range(len(loaded.layers))}
    with torch.no_grad(), capture(modules, seen.__setitem__):
        loaded.backbone(input_ids=IDS)
    return [seen[str(layer)] for layer in range(len(loaded.layers))]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_hooks_are_the_hidden_states(architecture: str, tiny: Tiny, tokenizer: PreTrainedTokenizerFast) -> None:
    loaded = wrap(tiny(architecture), tokenizer)
    with torch.no_grad():
        states = loaded.model(input_ids=IDS, output_hidden_states=True).hidden_states
    stream = outputs(loaded, "resid_post")
    assert len(stream) == 4 and loaded.d_model == 16
    assert loaded.is_encoder == (architecture == "bert")
    for layer in range(3):
        torch.testing.assert_close(stream[layer], states[layer + 1])
    if architecture == "bert":
        assert loaded.final_norm is None
        torch.testing.assert_close(stream[3], states[4])
    else:
        # The trap: the last reported state went through the final norm, the last block's output did not.
        assert loaded.final_norm is not None
        torch.testing.assert_close(loaded.final_norm(stream[3]), states[4])
        assert (stream[3] - states[4]).abs().max() > 0.1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_attention_and_mlp_sites_are_what_is_added_to_the_stream(
    architecture: str, tiny: Tiny, tokenizer: PreTrainedTokenizerFast
) -> None:
    loaded = wrap(tiny(architecture), tokenizer)
    stream, attention, mlp = (outputs(loaded, site) for site in SITES)
    for layer in range(1, 4):
        before = stream[layer - 1]
        if architecture == "bert":  # each sum is normalised before it goes on
            block = loaded.layers[layer]
            middle = block.attention.output.LayerNorm(before + attention[layer])
            after = block.output.LayerNorm(middle + mlp[layer])
        else:
            after = before + attention[layer] + mlp[layer]
        torch.testing.assert_close(after, stream[layer], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("architecture", "multiplier"), [("bloom", None), ("granite", 0.3), ("granite", 1.0)])
def test_a_site_that_is_not_what_its_block_adds_is_refused(
    architecture: str, multiplier: float | None, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = tiny_model(architecture)
    if multiplier:
        for block in model.model.layers:
            block.residual_multiplier = multiplier
    loaded = wrap(model, tokenizer)
    for site in SITES[1:]:
        if multiplier == 1.0:
            assert len(outputs(loaded, site)) == 4
            continue
        with pytest.raises(ModelMapError, match=rf"{site} of model is not what its blocks .* probe resid_post only"):
            loaded.site_module(0, site)
    assert loaded.site_module(0, "resid_post") is loaded.layers[0]


@pytest.mark.parametrize("family", ["mamba", "jamba"])
def test_what_has_no_attention_is_read_and_asked(family: str) -> None:
    tokenizer = character_tokenizer()
    loaded = wrap(tiny_model(family), tokenizer)
    streams = rows(stream(loaded, encode(tokenizer, [QUESTION]), ReadPlan((0, 3), positions=("item", "last"))), 1)
    with torch.no_grad():
        ids = torch.tensor([tokenizer(QUESTION.text)["input_ids"]])
        states = loaded.model(input_ids=ids, output_hidden_states=True).hidden_states
    behind_first = states[0 if family == "mamba" else 1]
    torch.testing.assert_close(streams[0, :2], behind_first[0, [0, ids.shape[1] - 1]])
    assert len(score(loaded, [QUESTION], tuple("0123456789"))) == 1


def test_the_language_model_inside_a_wrapper_is_read(tokenizer: PreTrainedTokenizerFast) -> None:
    loaded = wrap(tiny_model("qwen2_5_vl"), tokenizer)
    assert type(loaded.backbone).__name__ == "Qwen2_5_VLTextModel" and len(loaded.layers) == 4 and loaded.mute == ""
    asleep = wrap(tiny_model("blip-2"), tokenizer)
    assert "continues no text by itself (TypeError" in asleep.mute and "pixel_values" in asleep.mute


def test_a_list_of_experts_is_not_taken_for_the_blocks(tiny: Tiny, tokenizer: PreTrainedTokenizerFast) -> None:
    model = tiny("llama")
    for block in model.model.layers:
        block.experts = nn.ModuleList(nn.Linear(2, 2) for _ in range(9))
    assert len(wrap(model, tokenizer).layers) == 4


def test_a_wrong_map_is_refused(tiny: Tiny, tokenizer: PreTrainedTokenizerFast) -> None:
    loaded = wrap(tiny("qwen3"), tokenizer)
    with pytest.raises(ModelMapError, match=r"block 3 .* is not its hidden state 4"):
        self_check(replace(loaded, final_norm=None))
    with pytest.raises(ModelMapError, match=r"input of the first block .* is not its hidden state 0"):
        self_check(replace(loaded, layers=tuple(reversed(loaded.layers))))
    first, second, third, last = loaded.layers
    with pytest.raises(ModelMapError, match=r"output of block 1 .* is not its hidden state 2"):
        self_check(replace(loaded, layers=(first, third, second, last)))
    with pytest.raises(ModelMapError, match="4 hidden states, but 3 blocks"):
        self_check(replace(loaded, layers=loaded.layers[:3]))
    with pytest.raises(ModelMapError, match="cannot be read"):
        self_check(replace(loaded, layers=(loaded.layers[0].self_attn.q_norm,) * 4))


def test_wrap_leaves_the_model_as_it_was(tiny: Tiny, tokenizer: PreTrainedTokenizerFast) -> None:
    model = tiny("gpt2").train()
    model.transformer.h[1].eval()
    modes = [module.training for module in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    loaded = wrap(model, tokenizer)
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert loaded.model is model and loaded.revision is None


def test_randomised_is_a_function_of_the_seed_and_touches_no_generator(
    tiny: Tiny, tokenizer: PreTrainedTokenizerFast
) -> None:
    loaded = wrap(tiny("qwen3").to(torch.bfloat16), tokenizer)
    state = torch.get_rng_state()
    first, again, other = (randomised(loaded, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    weight = [model.backbone.layers[0].mlp.up_proj.weight for model in (first, again, other, loaded)]
    assert torch.equal(weight[0], weight[1])
    assert not torch.equal(weight[0], weight[2]) and not torch.equal(weight[0], weight[3])
    assert first.weights == "random" and first.dtype == torch.bfloat16 and first.tokenizer is tokenizer
    assert not first.model.training and not weight[0].requires_grad


@pytest.mark.parametrize("architecture", ["qwen3", "bert"])
def test_load_from_a_folder(architecture: str, tiny: Tiny, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = tiny(architecture)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load(str(tmp_path), device="cpu")
    assert loaded.weights == "trained" and loaded.is_encoder == (architecture == "bert")
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value)
    null = load(str(tmp_path), device="cpu", random_weights=True, seed=3)
    assert null.weights == "random" and null.tokenizer("1+2")["input_ids"] == tokenizer("1+2")["input_ids"]
    assert not torch.equal(outputs(null, "resid_post")[3], outputs(loaded, "resid_post")[3])
    again = randomised(loaded, 3)
    torch.testing.assert_close(outputs(null, "resid_post")[3], outputs(again, "resid_post")[3])


def test_weights_that_were_never_trained_are_known(
    tiny: Tiny, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """By what was asked of `load`, or by the note of whoever made the folder."""
    model = tiny("qwen3")
    tokenizer.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    assert not load(str(tmp_path), device="cpu").untrained
    assert load(str(tmp_path), device="cpu", random_weights=True).untrained
    model.config.update({NOTE: "drawn from seed 0"})
    model.save_pretrained(tmp_path)
    noted = load(str(tmp_path), device="cpu")
    assert noted.untrained and noted.weights == "trained"


def test_weights_that_are_not_safetensors_are_refused(
    tiny: Tiny, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = tiny("gpt2")
    model.config.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="no safetensors weights"):
        load(str(tmp_path), device="cpu")


def test_a_tokenizer_without_offsets_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    class Slow:
        is_fast = False

    with pytest.raises(InputError, match="no fast tokenizer"):
        wrap(tiny("gpt2"), Slow())
    # Without its files transformers makes an empty fast tokenizer and says nothing.
    tiny("gpt2").save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no fast tokenizer"):
        load(str(tmp_path), device="cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nonexistent/model", "not in the cache and the hub cannot be reached: run with --model reference"),
        ("not a name!", "there is no model 'not a name!'"),
        ("./nowhere", "no model in the folder nowhere"),
    ],
)
def test_an_unknown_name_says_what_to_do(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(name, device="cpu")


def test_the_cause_decides_what_the_user_is_told() -> None:
    """The hub's own errors, raised the way transformers raises them: an OSError from the hub's error."""
    gated, missing, revision = (
        type(name, (Exception,), {}) for name in ("GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError")
    )
    for cause, message in ((gated, "accept its licence"), (missing, "no model 'a/b'"), (revision, "no revision 'v1'")):
        with pytest.raises(InputError, match=message), hub.explained("a/b", "v1"):
            raise OSError("a paragraph") from cause()
    with pytest.raises(OSError, match="disk on fire"), hub.explained("a/b", None):
        raise OSError("disk on fire")


def test_wrong_arguments(tiny: Tiny, tokenizer: PreTrainedTokenizerFast) -> None:
    loaded = wrap(tiny("qwen3"), tokenizer, name="tiny")
    check_layers(loaded, [0, 3])
    for layer in (4, -1):
        with pytest.raises(InputError, match=f"layer {layer} does not exist: tiny has layers 0 to 3"):
            check_layers(loaded, [layer])
    with pytest.raises(InputError, match="choose from float32, bfloat16, float16"):
        load("reference", dtype="float8")
    with pytest.raises(InputError, match=r"choose from auto, .*cpu"):
        load("reference", device="tpu")
