"""What a result can do: name a claim, draw it, show it in a notebook, and give its circle away as directions."""

from __future__ import annotations

import inspect
import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.axes import Axes
from safetensors import safe_open

from llm_probe import CirclePlane, ProbeResult, load, probe, read_result
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS, MONTHS
from llm_probe.run.config import ProbeConfig
from llm_probe.statistics.directions import read_planes, write_planes
from tests.root import ROOT
from toy.maths import fourier
from toy.run.errors import InputError

FRIDAY = "3 days after Friday is"
DAYS = DOMAINS["days"].items


@pytest.fixture(scope="module")
def reference() -> LoadedModel:
    return load("reference", device="cpu")


@pytest.fixture(scope="module")
def result(reference: LoadedModel) -> ProbeResult:
    """Days of the bundled model behind its last block: a sum and an item."""
    return probe(
        reference.model, reference.tokenizer, "days", layers=2, prompts=300, renamings=199, random_control=False,
        behaviour=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(result: ProbeResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its results folder."""
    folder = tmp_path_factory.mktemp("written")
    result.write(folder)
    return folder


def test_every_option_of_a_run_is_a_keyword() -> None:
    """But for those that say how a model is loaded, and the domains, which may be objects."""
    keywords = inspect.signature(probe).parameters
    of_loading = {"model", "revision", "weights", "dtype", "device", "trust_remote_code", "domains"}
    assert set(keywords) - {"model", "tokenizer", "domains"} == {f.name for f in fields(ProbeConfig)} - of_loading
    assert all(f"    {name}: " in (probe.__doc__ or "") for name in keywords)
    with pytest.raises(TypeError, match="layer"):
        probe(None, None, layer=3)  # type: ignore[call-arg]


def test_a_claim_is_named_by_its_domain(result: ProbeResult) -> None:
    assert result.verdict("days")["quantity"] == "sum"  # where there are both
    assert result.verdict("days", "item")["quantity"] == result.plane("days", "item").quantity == "item"
    best = result.best("days")
    rows = result.table.query("weights == 'trained' and quantity == 'sum' and family == 'fourier' and unit == 'plane'")
    assert best["r2_heldout"] == rows["r2_heldout"].max() and best["layer"] == 2
    with pytest.raises(InputError, match="no claim weeks: sum in this run: choose from days: sum, days: item"):
        result.verdict("weeks", "sum")
    assert result.verdict()["quantity"] == "sum"  # one domain: no name is needed


def test_a_circle_is_drawn_without_axes(result: ProbeResult) -> None:
    axes = result.plot("days")
    assert isinstance(axes, Axes) and axes.has_data()
    assert {text.get_text() for text in axes.texts} >= set(DAYS)
    other = plt.figure().add_subplot()
    assert result.plot("days", "item", axes=other) is other
    plt.close("all")


def test_a_notebook_shows_verdicts_with_their_circles(result: ProbeResult) -> None:
    assert repr(result) == "<ProbeResult reference: 2 claims: 2 undetermined>"
    shown = result._repr_html_()
    assert shown.count("<svg") >= 2 and "<title>Monday</title>" in shown
    assert "days: sum" in shown and "days: item" in shown and "undetermined" in shown
    assert "<script" not in shown and "http" not in shown


def test_a_table_for_a_paper(result: ProbeResult, written: Path) -> None:
    lines = result.to_latex(["domain", "plane_r2", "p_fwer", "reason"]).splitlines()
    assert lines[1] == r"\begin{tabular}{lrrl}" and lines[3] == r"domain & $R^2$ & $p$ & reason \\"
    assert sum(line.startswith("days & ") for line in lines) == 2
    assert all(line.count(" & ") == 3 for line in lines if line.endswith(r"\\"))
    with pytest.raises(InputError, match=r"verdicts\.csv has no column 'r2': choose from domain, period"):
        result.to_latex(["r2"])
    assert (written / "verdicts.tex").read_text(encoding="utf-8") == result.to_latex()


# ----------------------------------------------------------------------------------------------------------- directions


def states_of(loaded: LoadedModel, claim: Claim) -> tuple[torch.Tensor, torch.Tensor]:
    """(states behind the last block at the last token, labels) of questions that nothing was fitted on."""
    from llm_probe.activations.streaming import layer_states
    from llm_probe.questions.tokens import encode

    prompts = claim.prompts("causal", 200, 0)
    states = layer_states(loaded, encode(loaded.tokenizer, prompts), ("last",))[:, 2, 0]
    return states, torch.tensor([prompt.label for prompt in prompts])


def test_new_states_are_projected_onto_their_angle(result: ProbeResult, reference: LoadedModel) -> None:
    states, labels = states_of(reference, Claim(DOMAINS["days"], "sum"))
    plane, points = result.plane("days"), result.project(states, "days")
    assert points.shape == (len(states), 2)
    true = fourier.circle(labels, plane.frequency, 7)
    assert float(fourier.angle_between(points.double(), true).median()) < 0.2
    assert torch.allclose(result.project(states[0].numpy(), "days"), points[0], atol=1e-6)
    with pytest.raises(InputError, match="lies in a stream 128 wide and the states are 64 wide"):
        result.project(states[:, :64], "days")


def test_turning_moves_the_points_by_one_item(result: ProbeResult, reference: LoadedModel) -> None:
    states, _ = states_of(reference, Claim(DOMAINS["days"], "sum"))
    plane = result.plane("days")
    angle = 2 * torch.pi * plane.frequency / 7
    turn = torch.tensor([[1.0, 0.0], [0.0, 1.0]]) * torch.tensor(angle).cos()
    turn += torch.tensor([[0.0, 1.0], [-1.0, 0.0]]) * torch.tensor(angle).sin()
    start = plane.frequencies.index(plane.frequency) * 2
    centre = plane.centre[start : start + 2]
    turned = result.project(plane.turn(states, 1), "days")
    assert torch.allclose(turned - centre, (result.project(states, "days") - centre) @ turn, atol=1e-3)
    assert torch.allclose(plane.turn(plane.turn(states, 3), -3), states, atol=1e-3)


def test_planes_are_written_and_read_back(result: ProbeResult, written: Path) -> None:
    path = written / "planes.safetensors"
    again = read_planes(written)
    assert set(again) == {"days: sum", "days: item"}
    for name, plane in again.items():
        kept = result.planes[name]
        assert plane.words() == kept.words()
        assert all(torch.equal(getattr(plane, part), getattr(kept, part)) for part in ("reader", "writer", "mean"))
    with safe_open(path, framework="pt") as file:
        known = json.loads(file.metadata()["planes"])["days: sum"]
        reader = file.get_tensor("days: sum/reader")
    assert (known["layer"], known["site"], known["position"], known["period"]) == (2, "resid_post", "last", 7)
    assert reader.shape == (128, 2 * len(known["frequencies"]))
    before = path.read_bytes()
    write_planes(path, result.planes)
    assert path.read_bytes() == before
    with pytest.raises(InputError, match="holds no planes of a probe run"):
        read_planes(written / "verdicts.csv")


def answer(loaded: LoadedModel, prompt: str, **options: object) -> tuple[str, torch.Tensor]:
    """What is generated behind a prompt, and the probability of every token behind it."""
    ids = loaded.tokenizer(prompt, return_tensors="pt")["input_ids"]
    written = loaded.model.generate(  # type: ignore[operator]
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=2, do_sample=False, return_dict_in_generate=True,
        output_logits=True, pad_token_id=0, **options,
    )  # fmt: skip
    first = written.logits[0][0].float().softmax(dim=0)
    return loaded.tokenizer.decode(written.sequences[0, ids.shape[1] :]), first


def probability(loaded: LoadedModel, of: torch.Tensor, word: str) -> float:
    return max(float(of[loaded.tokenizer(lead + word)["input_ids"][-1]]) for lead in ("", " "))


def test_steering_moves_the_answer_by_one_day(result: ProbeResult, reference: LoadedModel) -> None:
    """The bar: "3 days after Friday is" moves by one day with P >= 0.9 at the accepted circle."""
    before, p_before = answer(reference, FRIDAY)
    assert before.split()[0] == "Monday" and probability(reference, p_before, "Monday") > 0.9
    for steps in (1, 2, -1, 7):
        moved = DAYS[steps % 7]
        with result.steer(reference.model, "days", steps=steps):
            after, p_after = answer(reference, FRIDAY)
        assert after.split()[0] == moved and probability(reference, p_after, moved) >= 0.9
    assert torch.equal(answer(reference, FRIDAY)[1], p_before)  # nothing is left behind


def test_steering_moves_every_question_that_nothing_was_fitted_on(result: ProbeResult, reference: LoadedModel) -> None:
    prompts = Claim(DOMAINS["days"], "sum").prompts("causal", 60, 0)
    right = []
    for prompt in prompts:
        with result.steer(reference.model, "days"):
            _, p = answer(reference, prompt.text)
        right.append(probability(reference, p, DAYS[(prompt.label + 1) % 7]))
    assert sum(right) / len(right) >= 0.9


def test_what_cannot_be_steered_is_said(result: ProbeResult, reference: LoadedModel) -> None:
    deeper = replace(result.plane("days"), layer=9)
    from llm_probe.activations.steering import steering

    with pytest.raises(InputError, match="lies behind block 9 and Qwen3ForCausalLM has blocks 0 to 2"):
        steering(reference.model, deeper, 1).__enter__()


def test_a_results_folder_is_a_result_again(result: ProbeResult, written: Path, tmp_path: Path) -> None:
    again = read_result(written)
    assert repr(again) == repr(result) and str(again) == str(result)
    assert again.verdict("days")["reason"] == result.verdict("days")["reason"]
    assert set(again.planes) == set(result.planes)
    plt.close(again.plot("days").figure)
    for path in (ROOT / "results" / "gemma-3-270m").glob("*.csv"):
        shutil.copy(path, tmp_path)
    shutil.copy(ROOT / "results" / "gemma-3-270m" / "run.json", tmp_path)
    older = read_result(tmp_path)  # without planes.safetensors, as runs were before they wrote it
    assert older.verdict("months", "item")["verdict"] == "supported" and "<svg" in older._repr_html_()
    with pytest.raises(InputError, match="this run has no plane of months: item: probe again"):
        older.plane("months", "item")


def test_a_plane_at_half_the_period_is_a_line() -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(size, generator=generator) for size in ((8, 1), (8, 1), (8, 1), (8,), (1,))]
    plane = CirclePlane("months", "sum", len(MONTHS), 0, "resid_post", "last", 6, (6,), *tensors)
    assert plane.project(torch.randn(3, 8)).shape == (3, 1)
    assert CirclePlane.of_content(json.loads(json.dumps(plane.content()))).words() == plane.words()
