"""The probe end to end on tiny networks: a circle planted at a known place is found there, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch
from torch import Tensor
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from llm_probe import probe
from llm_probe.models.loading import REFERENCE_FOLDER
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DAYS, DOMAINS, STATEMENTS, Domain, modular
from llm_probe.questions.prompts import published_grid
from llm_probe.questions.selection import claims_for
from llm_probe.run.config import ProbeConfig
from llm_probe.run.probe import plan_of, run
from llm_probe.run.result import ProbeResult
from llm_probe.run.table import TABLES, columns_of
from toy.networks.hooks import rewrite
from toy.run.errors import InputError

PLANTED_LAYER, FREQUENCY, DIMENSIONS, AMPLITUDE = 2, 2, (5, 9), 0.1
PROMPTS, RENAMINGS = 300, 99
"""Two-digit operands are 180 nuisances, so that 300 prompts are few; 99 renamings allow p = 0.01."""
CALENDAR = ("days", "months")
SMALL: dict[str, Any] = {"domains": ["sizes"], "renamings": 19, "behaviour": False}
TEMPLATE = "{% for message in messages %}<user>{{ message['content'] }}</user>{% endfor %}<model>"


@pytest.fixture(scope="module")
def words() -> PreTrainedTokenizerFast:
    """The reference model's tokenizer, which knows the items of calendars as whole words."""
    return AutoTokenizer.from_pretrained(REFERENCE_FOLDER)


@pytest.fixture(scope="module")
def network(words: PreTrainedTokenizerFast) -> Callable[[], Qwen3ForCausalLM]:
    """A random Qwen3 of four layers, 32 wide; always the same one."""

    def build() -> Qwen3ForCausalLM:
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
        return Qwen3ForCausalLM(
            Qwen3Config(vocab_size=len(words), num_hidden_layers=4, head_dim=8, max_position_embeddings=256, **sizes)
        ).eval()

    return build


@contextmanager
def planted(model: Qwen3ForCausalLM, labels: dict[tuple[int, ...], int], period: int, layer: int) -> Iterator[None]:
    """Add AMPLITUDE (cos 2πks/p e_5 + sin 2πks/p e_9) to the last token of every prompt, s looked up by its ids."""
    read: list[Tensor] = []

    def note(module: torch.nn.Module, arguments: tuple, named: dict[str, Any]) -> None:
        read[:] = [named["input_ids"]]

    def edit(name: str, output: Tensor) -> Tensor:
        known = torch.tensor([labels.get(tuple(ids), -1) for ids in read[0].tolist()])
        angle = 2 * math.pi * FREQUENCY * known / period
        wave = torch.stack([angle.cos(), angle.sin()], dim=1) * AMPLITUDE * (known >= 0)[:, None]
        edited = output.clone()
        edited[:, -1, list(DIMENSIONS)] += wave
        return edited

    handle = model.model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        with rewrite({"planted": model.model.layers[layer]}, edit):
            yield
    finally:
        handle.remove()


@pytest.fixture(scope="module")
def result(network: Callable[[], Qwen3ForCausalLM], words: PreTrainedTokenizerFast) -> ProbeResult:
    """What the probe says of the network with a circle of sums mod 7 planted at block 2."""
    claim = Claim(modular("add", 7), "sum")
    prompts = [prompt for part in ("discovery", "confirmation") for prompt in claim.prompts(part, PROMPTS, 0)]
    prompts += published_grid(claim.domain)
    labels = {tuple(words(prompt.text)["input_ids"]): prompt.label for prompt in prompts}
    model = network()
    with planted(model, labels, claim.period, PLANTED_LAYER):
        return probe(model, words, ["mod-add"], moduli=(7,), prompts=PROMPTS, renamings=RENAMINGS, behaviour_prompts=5)


def test_a_planted_circle_is_supported_at_its_frequency_from_its_layer_on(result: ProbeResult) -> None:
    verdict = result.verdicts.iloc[0]
    assert (verdict["verdict"], verdict["frequency"]) == ("supported", FREQUENCY), verdict["reason"]
    assert verdict["layers_held"] == "2-3"
    assert verdict["layer"] >= PLANTED_LAYER  # later blocks carry it on
    assert verdict["p_fwer"] == pytest.approx(1 / (1 + RENAMINGS))
    assert verdict["p_period"] <= 0.01
    assert verdict["plane_r2_low"] > 0.4
    assert verdict["random_r2"] < 0.2


def test_the_dimensions_it_was_planted_in_stand_first(result: ProbeResult) -> None:
    rows = result.table.query("weights == 'trained' and unit == 'dimension' and family == 'fourier'")
    there = rows[(rows["layer"] == PLANTED_LAYER) & (rows["frequency"] == FREQUENCY)]
    best = there.nlargest(2, "r2_partial")
    assert set(best["dim"]) == set(DIMENSIONS)
    assert best["r2_partial"].min() > 0.9
    assert best["p_fwer"].max() == pytest.approx(1 / (1 + RENAMINGS))
    assert rows.loc[rows["layer"] < PLANTED_LAYER, "p_fwer"].min() > 0.05


def test_random_weights_beside_it_show_nothing(result: ProbeResult) -> None:
    rows = result.table.query("weights == 'random'")
    assert len(rows) > 0
    assert rows["p_fwer"].min() > 0.05


def test_a_result_has_every_typed_column(result: ProbeResult) -> None:
    assert list(result.frames) == list(TABLES)
    for name, row in TABLES.items():
        assert list(result.frames[name].columns) == list(columns_of(row))
        assert len(result.frames[name]) > 0
    assert result.table is result.frames["r2_table"]
    assert set(result.table["weights"]) == {"trained", "random"}


def test_a_result_prints_reports_and_plots(result: ProbeResult, tmp_path: Path) -> None:
    assert "mod-add 7" in str(result) and "supported" in str(result)
    page = result.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "mod-add 7" in page
    axes = plt.figure().add_subplot()
    assert result.plot("mod-add 7", axes=axes) is axes
    assert axes.has_data()
    plt.close("all")


def test_an_untrained_network_supports_nothing(
    network: Callable[[], Qwen3ForCausalLM], words: PreTrainedTokenizerFast
) -> None:
    result = probe(
        network(), words, ["mod-add", "days", "months"], moduli=(7,), layers=(1, 3), prompts=PROMPTS,
        renamings=RENAMINGS, behaviour=False,
    )  # fmt: skip
    claims = result.verdicts[["domain", "quantity"]].itertuples(index=False, name=None)
    assert list(claims) == [("mod-add 7", "sum"), *((name, kind) for kind in ("sum", "item") for name in CALENDAR)]
    assert "supported" not in set(result.verdicts["verdict"])


def test_weights_drawn_anew_are_probed_under_a_name_of_their_own(
    network: Callable[[], Qwen3ForCausalLM], words: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    network().save_pretrained(tmp_path / "small")
    words.save_pretrained(tmp_path / "small")
    options: dict[str, Any] = {"domains": ("sizes",), "renamings": 19, "random_control": False, "behaviour": False}
    config = ProbeConfig(model=str(tmp_path / "small"), weights="random", **options)
    assert config.folder == Path("results/small-random")
    results = [run(plan_of(replace(config, seed=seed)), None) for seed in (0, 0, 1)]
    assert results[0].run["untrained"] and not run(plan_of(replace(config, weights="trained")), None).run["untrained"]
    one, same, other = (result.table["r2_heldout"].dropna().tolist() for result in results)
    assert one == same and one != other
    assert set(results[0].table["weights"]) == {"trained"}


def test_answers_behind_worked_examples_stand_beside_the_others(
    network: Callable[[], Qwen3ForCausalLM], words: PreTrainedTokenizerFast
) -> None:
    options: dict[str, Any] = {"prompts": 80, "renamings": 19, "behaviour_prompts": 6, "layers": (0,)}
    plain, shown = (
        probe(network(), words, ["days"], random_control=False, shots=shots, **options) for shots in ((0,), (0, 2, 2))
    )
    rows = shown.frames["behaviour"]
    assert sorted(rows["shots"].unique()) == [0, 2] and set(rows.loc[rows["shots"] == 2, "grid"]) == {"decoupled"}
    assert rows.loc[rows["shots"] == 2, "n_prompts"].sum() == 6
    assert rows.loc[rows["shots"] == 0].equals(plain.frames["behaviour"])
    assert shown.verdicts["accuracy"].equals(plain.verdicts["accuracy"])


def test_sites_and_positions_are_cells_of_their_own(
    network: Callable[[], Qwen3ForCausalLM], words: PreTrainedTokenizerFast
) -> None:
    result = probe(
        network(), words, ["days"], layers=(1, 3), site=("mlp_out", "attn_out"), position=("last", "item", "offset"),
        prompts=80, renamings=19, behaviour=False, random_control=False,
    )  # fmt: skip
    places = ["quantity", "layer", "site", "position"]
    cells = set(result.table[places].itertuples(index=False, name=None))
    # A statement has no offset: of the asked positions it is read at those it has.
    has = {"sum": ("last", "item", "offset"), "item": ("last", "item")}
    assert cells == {
        (quantity, layer, site, position)
        for quantity, positions in has.items()
        for layer in (1, 3)
        for site in ("mlp_out", "attn_out")
        for position in positions
    } | {
        # The embedding, where an operand stands: at the last token it is the same for all prompts of a template.
        (quantity, -1, "resid_post", position)
        for quantity, positions in has.items()
        for position in positions[1:]
    }
    assert set(result.verdicts["layer"]) <= {1, 3}
    assert result.run["layers_probed"] == [1, 3]
    assert set(result.verdicts["verdict"]) <= {"undetermined", "refuted"}  # nothing is supported without the control


def test_a_position_that_no_prompt_has_is_refused(
    network: Callable[[], Qwen3ForCausalLM], words: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(InputError, match="sizes: item have no position modulus: choose from last, item"):
        probe(network(), words, position=("modulus",), **SMALL)


def test_published_asks_one_template_of_each_domain(
    network: Callable[[], Qwen3ForCausalLM], words: PreTrainedTokenizerFast
) -> None:
    result = probe(
        network(), words, ["days"], templates="published", prompts=80, renamings=19, behaviour_prompts=5, layers=(0,)
    )
    assert set(result.frames["behaviour"]["template"]) == {"published"}
    assert set(result.frames["examples"]["prompt"].str.contains(r"^\w+ \+ \d+ days = $")) == {True}


def test_python_and_the_command_line_make_the_same_claims(tmp_path: Path) -> None:
    file = tmp_path / "tides.yaml"
    file.write_text("name: tides\nitems: [low, rising, high, falling]\nstatements: {now: 'The tide is {item}.'}")
    config = ProbeConfig(domain_file=(file,), templates="published", moduli=(7,))
    claims = claims_for(config, ["mod", DOMAINS["days"]])
    assert [claim.name for claim in claims] == ["mod-add 7: sum", "days: sum", "days: item", "tides: item"]
    assert [len(claim.domain.questions) for claim in claims[:2]] == [1, 1]
    # Confirmation needs statements that discovery has not seen, so they all stay.
    assert len(claims[2].domain.statements) == len(STATEMENTS)


def test_what_is_named_twice_is_done_once(
    network: Callable[[], Qwen3ForCausalLM], words: PreTrainedTokenizerFast
) -> None:
    names = ["mod", "mod-add", "sizes", "sizes"]
    assert [claim.name for claim in claims_for(ProbeConfig(moduli=(7, 7)), names)] == ["mod-add 7: sum", "sizes: item"]
    result = probe(network(), words, layers=(3, 1, 3), site=("mlp_out",) * 2, position=("item",) * 2, **SMALL)
    planes = result.table.query("unit == 'plane' and family == 'fourier' and weights == 'trained'")
    assert list(planes["layer"]) == [-1, 3, 1]


def test_a_prompt_file_may_not_take_the_name_of_a_domain(tmp_path: Path) -> None:
    file = tmp_path / "days.csv"
    file.write_text("prompt,label,period\n" + "".join(f"{day},{label},7\n" for label, day in enumerate(DAYS)))
    with pytest.raises(InputError, match="two claims are called 'days: item'"):
        claims_for(ProbeConfig(prompt_file=(file,)), ["days"])


@pytest.mark.parametrize(
    ("domains", "options", "message"),
    [
        (["weeks"], {}, "unknown domain 'weeks': choose from mod,"),
        (["mod"], {"moduli": (4,)}, "modulus 4 is too small"),
        (["sizes"], {"layers": (4,)}, "layer 4 does not exist"),
        (["mod"], {"moduli": (7,), "prompts": 100}, "too few beside .* give --prompts 360 or more"),
        (["days"], {"prompts": 10}, "has 10 discovery and 5 confirmation prompts for 7 labels"),
        (["sizes"], {"renamings": 0}, "give --renamings 1 or more"),
    ],
)
def test_what_cannot_be_done_is_said(
    domains: Sequence[str],
    options: dict[str, Any],
    message: str,
    network: Callable[[], Qwen3ForCausalLM],
    words: PreTrainedTokenizerFast,
) -> None:
    with pytest.raises(InputError, match=message):
        probe(network(), words, domains, **{"renamings": 19, "behaviour": False, **options})


def test_too_few_prompts_are_refused_before_a_model_is_loaded() -> None:
    config = ProbeConfig(model="no/such-model", domains=("days", "months"), prompts=10)
    with pytest.raises(InputError, match="days: sum has 10 discovery and 5 confirmation prompts for 7 labels"):
        run(plan_of(config), None)


def test_an_encoder_is_probed_and_not_asked(words: PreTrainedTokenizerFast, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2}
    model = BertModel(BertConfig(vocab_size=len(words), **sizes))
    result = probe(model, words, ["days"], prompts=80, renamings=19)
    assert "is an encoder, which continues no text" in capsys.readouterr().err
    assert len(result.verdicts) == 2 and result.verdicts["accuracy"].isna().all()
    assert list(result.frames["behaviour"].columns) and result.frames["behaviour"].empty


def test_a_user_s_model_stays_as_it_was(
    network: Callable[[], Qwen3ForCausalLM], words: PreTrainedTokenizerFast
) -> None:
    model = network().train()
    model.model.layers[1].eval()
    calls: list[int] = []
    model.model.norm.register_forward_hook(lambda *_: calls.append(1))

    def state() -> tuple[list[bool], list[bool]]:
        return [part.training for part in model.modules()], [weight.requires_grad for weight in model.parameters()]

    probe(model, words, **SMALL)  # transformers puts hooks of its own on a model that is first asked for its states
    hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules()]
    before, weights = state(), {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    probe(model, words, **SMALL)
    assert state() == before
    assert True in before[0] and False in before[0]
    assert [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules()] == hooks
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    calls.clear()
    model(input_ids=torch.tensor([[1, 2]]))
    assert calls == [1]


def test_prompts_become_chat_messages(network: Callable[[], Qwen3ForCausalLM], words: PreTrainedTokenizerFast) -> None:
    chatting = AutoTokenizer.from_pretrained(REFERENCE_FOLDER)
    chatting.chat_template = TEMPLATE
    plain = probe(network(), chatting, **SMALL)
    chat = probe(network(), chatting, chat=True, **SMALL)
    assert (plain.run["chat"], chat.run["chat"]) == (False, True)
    assert plain.run["configuration_hash"] != chat.run["configuration_hash"]
    assert not plain.table["r2_heldout"].equals(chat.table["r2_heldout"])
    with pytest.raises(InputError, match="no chat template"):
        probe(network(), words, chat=True, **SMALL)


def test_the_same_seed_gives_the_same_tables(
    network: Callable[[], Qwen3ForCausalLM], words: PreTrainedTokenizerFast
) -> None:
    first, again = (probe(network(), words, **SMALL) for _ in range(2))
    for name, frame in first.frames.items():
        assert frame.equals(again.frames[name])


def test_domains_may_be_objects(network: Callable[[], Qwen3ForCausalLM], words: PreTrainedTokenizerFast) -> None:
    texts = {name: "The tide is {item} " + name for name in ("now.", "again.", "today.")}
    tides = Domain("tides", ("low", "rising", "high", "falling", "slack"), statements=texts)
    result = probe(network(), words, [tides], renamings=19, behaviour=False)
    assert list(result.verdicts["domain"]) == ["tides"]
    assert list(result.frames["circles"]["item"].unique()) == list(tides.items)
