"""States that are no numbers, or the same for every prompt, are refused where they are read."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from llm_probe.activations.streaming import ReadPlan, check_numbers, read
from llm_probe.models.loading import LoadedModel, wrap
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import modular
from toy.run.errors import InputError

Tiny = Callable[[str], PreTrainedModel]
CLAIM = Claim(modular("add", 7), "sum")
PLAN = ReadPlan((0, 2), positions=("last",))


def states(loaded: LoadedModel) -> Any:
    prompts = [replace(prompt, text=prompt.text.lower()) for prompt in CLAIM.prompts("discovery", 20, 0)]
    return read(loaded, CLAIM, prompts, prompts[:2], PLAN, grid=False)


def test_a_narrow_dtype_that_overflows_is_named(tiny: Tiny, tokenizer: PreTrainedTokenizerFast) -> None:
    model = tiny("llama")
    model.model.layers[1].mlp.up_proj.weight.data *= 1e3
    model.model.layers[1].mlp.down_proj.weight.data *= 1e4
    states(wrap(model, tokenizer, name="tiny"))
    with pytest.raises(
        InputError, match=r"resid_post of layer 2 of tiny \(trained weights\) .* in float16: run with --d"
    ):
        states(wrap(model.half(), tokenizer, name="tiny"))


def test_other_places_are_named_as_well(tiny: Tiny, tokenizer: PreTrainedTokenizerFast) -> None:
    loaded = wrap(tiny("llama"), tokenizer, name="tiny")
    cells = torch.zeros(3, 2, 16)
    check_numbers(loaded, cells, [(-1, "resid_post"), (4, "mlp_out")])
    cells[1, 1, 5] = torch.inf
    with pytest.raises(InputError, match=r"mlp_out of layer 4 of tiny .* is NaN or infinite in float32: choose other"):
        check_numbers(loaded, cells, [(-1, "resid_post"), (4, "mlp_out")])
    cells[2, 0, 0] = torch.nan
    with pytest.raises(InputError, match="the token embedding of tiny"):
        check_numbers(loaded, cells, [(-1, "resid_post"), (4, "mlp_out")])


def test_a_model_whose_states_are_all_equal(tiny: Tiny, tokenizer: PreTrainedTokenizerFast) -> None:
    model = tiny("gpt2")
    for weight in model.parameters():
        weight.data.zero_()
    with pytest.raises(InputError, match=r"all 22 prompts of .* have the same states in tiny"):
        states(wrap(model, tokenizer, name="tiny"))
