"""The bridge: a toy as a language model, and what the probe says of networks whose circuit is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe import probe
from llm_probe.activations.behaviour import score
from llm_probe.models.hub import is_toy
from llm_probe.models.loading import LoadedModel, load, randomised
from llm_probe.models.toy_model import as_language_model, number_tokenizer
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.prompts import PARTS, question_set
from llm_probe.questions.selection import named_claims
from llm_probe.questions.tokens import encode
from llm_probe.questions.toy_domain import ToyDomain, toy_domain
from llm_probe.run.config import ProbeConfig
from llm_probe.run.probe import plan_of, run
from llm_probe.run.result import ProbeResult
from llm_probe.statistics import renaming
from llm_probe.statistics.planes import search
from toy.config import ToyConfig
from toy.maths import fourier
from toy.maths.regression import RidgeSmoother
from toy.networks.model import Transformer, build
from toy.networks.tasks import TASKS, named, split, table
from toy.run.errors import InputError
from toy.training.runs import Run
from toy.training.train import train

P = 41
GROKS = ToyConfig(
    modulus=P, train_fraction=0.5, d_model=32, d_mlp=128, seed=1, steps=300, decay_start=150, decay_steps=100,
    log_every=50, checkpoint_every=1000, device="cpu",
)  # fmt: skip
"""Groks within 200 updates of some 3 ms."""
MEMORISES = replace(GROKS, train_fraction=0.2, steps=150, learning_rate=2e-3, weight_decay=0.0)
"""Its training rows are all it learns."""
RENAMINGS = 99


@pytest.fixture(scope="module")
def grokked(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(GROKS, tmp_path_factory.mktemp("toys") / "grokked").runs[0]


@pytest.fixture(scope="module")
def memorised(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(MEMORISES, tmp_path_factory.mktemp("toys") / "memorised").runs[0]


@pytest.fixture(scope="module")
def grokked_result(grokked: Run, tmp_path_factory: pytest.TempPathFactory) -> ProbeResult:
    return probed(grokked.folder, tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def loaded(grokked: Run) -> LoadedModel:
    return load(str(grokked.folder), device="cpu")


def probed(model: Path, out: Path) -> ProbeResult:
    config = ProbeConfig(model=str(model), device="cpu", renamings=RENAMINGS, out=out)
    return run(plan_of(config), config.folder, "the command")


def every_pair(modulus: int) -> Tensor:
    return torch.cartesian_prod(torch.arange(modulus), torch.arange(modulus))


def logit_shares(network: Transformer) -> Float[Tensor, " k"]:
    """Share of the centred logits' power along cos w_k(a + b - c), by averaging over all (a, b) by hand."""
    pairs = every_pair(network.modulus)
    logits = network(pairs)[:, : network.modulus].detach()
    away = (pairs.sum(1)[:, None] - torch.arange(network.modulus)) % network.modulus
    profile = torch.zeros(network.modulus).index_add_(0, away.flatten(), logits.flatten()) / network.modulus**2
    return fourier.power(profile[:, None])[:, 0] * network.modulus**2 / (logits - logits.mean()).square().sum()


def planes(result: ProbeResult, weights: str = "trained") -> pd.DataFrame:
    rows = result.table.query("weights == @weights and unit == 'plane' and family == 'fourier'")
    return rows.sort_values("r2_heldout", ascending=False)


def test_the_stream_and_the_logits_are_the_toys(loaded: LoadedModel, grokked: Run) -> None:
    network, pairs = grokked.model(), every_pair(P)
    assert isinstance(network, Transformer)
    texts = [f"{a} {b} =" for a, b in pairs.tolist()]
    ids = torch.tensor(loaded.tokenizer(texts)["input_ids"])
    assert ids.tolist() == [[a, b, P] for a, b in pairs.tolist()]
    output = loaded.model(input_ids=ids)
    stream = network.embed(pairs)
    for state, block in zip(output.hidden_states, [*network.blocks, None], strict=True):
        torch.testing.assert_close(state, stream)
        stream = block(stream) if block else stream
    torch.testing.assert_close(output.logits[:, -1, :P], network(pairs))
    assert bool((output.logits[:, -1, P:] == -torch.inf).all())  # neither "=" nor the end of text is an answer here


def test_what_stands_behind_the_question_does_not_reach_it(loaded: LoadedModel) -> None:
    short = loaded.model(input_ids=torch.tensor([[3, 5, P]]))
    long = loaded.model(input_ids=torch.tensor([[3, 5, P, 8, P + 1, 2]]))
    for one, other in zip(short.hidden_states, long.hidden_states, strict=True):
        torch.testing.assert_close(one, other[:, :3])
    assert long.logits[0, 3:].argmax(1).tolist() == [P + 1] * 3  # the text ends behind the answer


def test_it_answers_as_the_toy_does(loaded: LoadedModel, grokked: Run) -> None:
    domain = toy_domain(GROKS)
    prompts = question_set(domain, "discovery", 50)
    scored = score(loaded, prompts, domain.items)
    operands = torch.tensor([[prompt.first, prompt.offset] for prompt in prompts])
    assert [answer.chosen for answer in scored] == grokked.model()(operands).argmax(1).tolist()
    assert [answer.exact for answer in scored] == [
        answer.chosen == prompt.label for answer, prompt in zip(scored, prompts, strict=True)
    ]
    assert scored[0].written.strip() == prompts[0].answer


def test_the_probe_finds_the_key_frequencies_and_their_planes(grokked_result: ProbeResult, grokked: Run) -> None:
    network = grokked.model()
    assert isinstance(network, Transformer)
    keys = {k for k, share in enumerate(logit_shares(network).tolist(), start=1) if share > 0.01}
    assert 1 <= len(keys) <= 5
    verdict = grokked_result.verdicts.iloc[0]
    assert verdict["verdict"] == "supported", verdict["reason"]
    assert verdict["frequency"] in keys
    assert verdict["accuracy"] == 1.0
    assert verdict["p_fwer"] == pytest.approx(1 / (1 + RENAMINGS))
    best = planes(grokked_result)
    assert set(best["frequency"].head(len(keys))) == keys  # the best planes are the keys'
    assert best["r2_heldout"].iloc[len(keys) - 1] > 0.9
    assert best["r2_heldout"].iloc[len(keys)] < 0.6  # a harmonic of theirs
    assert best["p_fwer"].head(len(keys)).max() <= 0.01
    assert set(best.loc[best["variance_share"] > 0.01, "frequency"]) == keys  # and so is the variance


def test_its_untrained_twin_is_silent(grokked_result: ProbeResult) -> None:
    rows = grokked_result.table.query("weights == 'random'")
    assert len(rows) > 0
    assert rows["p_fwer"].min() > 0.01
    assert grokked_result.verdicts.iloc[0]["random_r2"] < 0.05


@pytest.mark.parametrize("which", ["memorised", "step 0"])
def test_a_network_that_has_not_grokked_is_silent(
    which: str, memorised: Run, grokked: Run, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    last = memorised.metrics()[-1]
    assert (last["train_accuracy"], last["test_accuracy"] < 0.05) == (1.0, True)
    model = memorised.folder if which == "memorised" else grokked.checkpoints()[0]
    result = probed(model, tmp_path)
    assert result.verdicts.iloc[0]["verdict"] != "supported"
    assert planes(result)["p_fwer"].min() > 0.01
    assert result.verdicts.iloc[0]["accuracy"] < 0.1


def test_answers_known_by_heart_beat_the_null(memorised: Run) -> None:
    """Why questions that were trained on are left out: the stream holds their answers, and a ridge reads them."""

    class Learnt(ToyDomain):
        def admits(self, first: np.ndarray, offset: np.ndarray) -> np.ndarray:
            return ~super().admits(first, offset)

    learnt = Learnt(**vars(toy_domain(MEMORISES)))
    model, tokenizer, _ = as_language_model(memorised.folder)
    result = probe(model, tokenizer, [learnt], renamings=RENAMINGS, behaviour=False, random_control=False)
    assert planes(result)["p_fwer"].min() == pytest.approx(1 / (1 + RENAMINGS))
    assert planes(result)["r2_heldout"].max() > 3 * max(result.verdicts.iloc[0]["null_r2"], 0)


def test_no_question_was_trained_on() -> None:
    domain, rows = toy_domain(GROKS), table("add", P)
    trained = {tuple(pair) for pair in rows.operands[split(P * P, 0.5, GROKS.seed)[0]].tolist()}
    parts = [{(prompt.first, prompt.offset) for prompt in question_set(domain, part, P * P)} for part in PARTS]
    assert sum(map(len, parts)) == len(set().union(*parts)) == P * P - len(trained)
    assert trained.isdisjoint(set().union(*parts))


@pytest.mark.parametrize("task", TASKS)
def test_labels_are_the_tasks_answers(task: str) -> None:
    modulus = 13
    domain = toy_domain(ToyConfig(task=task, modulus=modulus, train_fraction=0.1))
    prompts = question_set(domain, "discovery", 60)
    tokenizer = number_tokenizer(modulus)
    for prompt, encoded in zip(prompts, encode(tokenizer, prompts), strict=True):
        operands = [int(word) for word in prompt.text.removesuffix(" =").split()]
        assert len(operands) == named(task).n_operands
        assert encoded.ids == (*operands, modulus)
        right = int(named(task).answer(torch.tensor([operands]), modulus)[0])
        assert (prompt.answer, domain.items[prompt.label]) == (str(right), str(right))


def test_both_operands_are_renamed_alike_and_a_named_token_is_not() -> None:
    domain = toy_domain(ToyConfig(task="add3", modulus=13, train_fraction=0.1))
    labels = Labels.of(claim := Claim(domain, "sum"), claim.prompts("discovery", 200, 0))
    renamed = renaming.rename(claim, labels, [1] * 13, 20, 0).total
    for total in renamed:
        # a + a pins the new name of a, up to one of two for an odd modulus: here it fixes it.
        names = {int(a): int(t) // 2 for a, b, t in zip(labels.first, labels.offset, total, strict=True) if a == b}
        assert sorted(names.values()) == sorted(set(names.values()))
        assert names.get(0, 0) == 0  # the third operand, which every question says
        for a, b, t in zip(labels.first.tolist(), labels.offset.tolist(), total.tolist(), strict=True):
            if a in names and b in names:
                assert t == names[a] + names[b]
    assert not torch.equal(renamed[0], renamed[1])


def test_the_null_is_calibrated_on_untrained_networks() -> None:
    """120 networks that never learnt: about one in twenty may reach p = 0.05 (12 or more: once in a hundred)."""
    small, p = [], []
    for seed in range(120):
        config = ToyConfig(modulus=17, d_model=16, d_mlp=32, n_heads=2, seed=seed)
        claim, network = Claim(toy_domain(config), "sum"), build(config)
        assert isinstance(network, Transformer)
        prompts = claim.prompts("discovery", 800, seed)
        labels = Labels.of(claim, prompts)
        stream = network.embed(torch.stack([labels.first, labels.offset], dim=1))
        states = network.last(stream)[:, -1].detach()
        renamed = renaming.rename(claim, labels, [1] * 17, 19, 1000 + seed)
        p.append(float(search([RidgeSmoother.of(states)], labels, renamed, claim.tested_frequencies).p_renaming.min()))
        small.append(p[-1] <= 0.05)
    assert sum(small) < 12
    assert 0.35 < sum(value <= 0.5 for value in p) / len(p) < 0.65


def test_the_twin_is_new_and_a_function_of_the_seed(loaded: LoadedModel, grokked: Run) -> None:
    first, again, other = (dict(randomised(loaded, seed).model.named_parameters()) for seed in (1, 1, 2))
    begun = dict(build(GROKS).named_parameters())
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
        if weight.any():  # biases begin at zero
            assert not torch.equal(weight, other[name])
            assert not torch.equal(weight, begun[name.removeprefix("model.network.")])
    assert randomised(loaded, 1).weights == "random"


def test_what_a_toy_is_called(loaded: LoadedModel, grokked: Run) -> None:
    assert loaded.revision == f"step {GROKS.steps}"
    assert (loaded.d_model, len(loaded.layers), loaded.final_norm) == (32, 1, None)
    assert is_toy(str(grokked.folder)) and is_toy(str(grokked.checkpoints()[0]))
    assert not is_toy("reference") and not is_toy("Qwen/Qwen3-0.6B")
    assert ProbeConfig(model=str(grokked.folder)).folder == Path("results/grokked")


def test_every_site_can_be_read(grokked: Run, tmp_path: Path) -> None:
    config = ProbeConfig(
        model=str(grokked.folder),
        device="cpu",
        site=("attn_out", "mlp_out"),
        prompts=150,
        renamings=19,
        behaviour=False,
    )
    table_of = run(plan_of(config), tmp_path).table
    assert set(table_of["site"]) == {"attn_out", "mlp_out"}


def test_results_are_written(grokked_result: ProbeResult, tmp_path: Path) -> None:
    grokked_result.write(tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"mod-add {P}" in page and "step 300" in page
    assert (tmp_path / "figures" / "circles.png").exists()
    axes = plt.figure().add_subplot()
    grokked_result.plot(f"mod-add {P}", axes=axes)
    assert 20 <= len(axes.texts) <= 30  # of more points than thirty, every second is named
    plt.close("all")


def test_a_language_model_with_checkpoints_is_no_toy(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    assert not is_toy(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "flag"), [({"domains": ("days",)}, "--domains"), ({"moduli": (7,)}, "--moduli")]
)  # fmt: skip
def test_a_toy_knows_its_own_task_only(options: dict, flag: str, grokked: Run) -> None:
    with pytest.raises(InputError, match=rf"knows its own task only: leave out {flag}"):
        named_claims(ProbeConfig(model=str(grokked.folder), **options))


def test_toys_that_cannot_be_probed_are_refused(tmp_path: Path) -> None:
    def run(name: str, config: ToyConfig) -> str:
        kept = train(replace(config, d_model=8, d_mlp=8, steps=1, device="cpu"), tmp_path / name)
        return str(kept.runs[0].folder)

    with pytest.raises(InputError, match="is an MLP, which has no residual stream"):
        load(run("mlp", ToyConfig(modulus=23, architecture="mlp")))
    with pytest.raises(InputError, match="has modulus 4: give a toy of modulus 5 or more"):
        load(run("four", ToyConfig(modulus=4)))
    with pytest.raises(InputError, match="add mod 11 leaves 61 questions that were not trained on, too few"):
        load(run("eleven", ToyConfig(modulus=11, train_fraction=0.5)))
    (tmp_path / "mlp" / "checkpoints" / "step-000000.pt").unlink()
    (tmp_path / "mlp" / "checkpoints" / "step-000001.pt").unlink()
    with pytest.raises(InputError, match="holds no checkpoint yet"):
        load(str(tmp_path / "mlp"))
