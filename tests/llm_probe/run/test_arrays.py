"""States that the user brings: planted codes are told apart, and the model's own states give the model's verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from llm_probe import load, probe_activations
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.questions.labelled import labelled_claim
from llm_probe.run.config import ProbeConfig
from llm_probe.run.job import Job, prompts_of
from llm_probe.run.probe import ProbePlan, run
from llm_probe.run.result import PROBE, ProbeResult
from llm_probe.run.schema import read_run
from llm_probe.run.study import Session
from toy.maths import fourier
from toy.run.errors import InputError

CONFIG = ProbeConfig(
    model="reference", layers=(2,), prompts=365, renamings=99, behaviour=False, random_control=False, device="cpu"
)
ADD, DAYS = Claim(modular("add", 7), "sum"), Claim(DOMAINS["days"], "sum")
ITEMS = [Claim(DOMAINS[name], "item") for name in ("days", "hours", "compass")]
CASES = [(claim, claim.domain.name == "days") for claim in (ADD, DAYS, *ITEMS)]
"""A claim of each kind (numbers, words; items that are words, numbers, or share tokens), and whether random weights
stand beside it, which takes twice as long."""
SAME = (
    "frequency", "plane_r2", "plane_r2_low", "plane_r2_high", "agreement", "random_r2", "null_r2", "p_renaming",
    "p_order", "p_axes", "p_repeats", "p_integer", "p_period", "p_shape", "rival", "closure", "level", "verdict",
    "n_discovery", "n_confirmation",
)  # fmt: skip


@pytest.fixture(scope="module")
def reference() -> LoadedModel:
    return load("reference", device="cpu")


def columns(claim: Claim) -> dict[str, Any]:
    """What a user would know of the model's own prompts."""
    prompts = [prompt for part in ("discovery", "confirmation") for prompt in claim.prompts(part, size(part), 0)]  # type: ignore[arg-type]
    known: dict[str, Any] = {
        "labels": [prompt.label for prompt in prompts],
        "template": [prompt.template for prompt in prompts],
        "names": None if claim.is_arithmetic else claim.domain.name,
    }
    if claim.quantity == "sum":
        known |= {name: [getattr(prompt, name) for prompt in prompts] for name in ("first", "offset")}
    return known | {"period": claim.period, "quantity": claim.quantity}


def size(part: str) -> int:
    return CONFIG.prompts if part == "discovery" else CONFIG.prompts // 2


def read(job: Job, claim: Claim) -> Tensor:
    states = job._read(claim, *prompts_of(claim, job.config), job._plan(claim, claim.prompts("discovery", 1, 0)[0]))
    return torch.cat([states.discovery, states.confirmation])


@pytest.mark.parametrize(("claim", "beside_random"), CASES, ids=[claim.name for claim, _ in CASES])
def test_the_model_s_own_states_give_its_own_verdict(claim: Claim, beside_random: bool, reference: LoadedModel) -> None:
    config = replace(CONFIG, random_control=beside_random, blocks_control=False)
    own = run(ProbePlan(config, (claim,), lambda: reference), None)
    job = Job(config, Session(PROBE), lambda: reference)
    known, states, kinds = columns(claim), read(job, claim), job.item_kinds(claim)
    random = read(job.untrained()[0], claim) if beside_random else None
    result = probe_activations(states, random_states=random, renamings=CONFIG.renamings, kinds=kinds or None, **known)
    of_model, of_arrays = (each.verdicts.iloc[0].replace(np.nan, None) for each in (own, result))
    assert of_arrays[list(SAME)].to_dict() == of_model[list(SAME)].to_dict()
    assert (of_model["layer"], of_arrays["layer"]) == (2, 0)  # the only location
    for part in ("reader", "writer", "basis", "mean"):
        assert torch.equal(getattr(own.plane(), part), getattr(result.plane(), part))


# ------------------------------------------------------------------------------------------------------ planted states

PERIOD, WIDTH, TEMPLATES = 7, 24, 9


def planted(code: Callable[[Tensor], Tensor], *, noise: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor, list[str]]:
    """(states, labels, templates): a code of the labels, a shift of every template, the words' identity, and noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(PERIOD).repeat(TEMPLATES)
    template = torch.arange(TEMPLATES).repeat_interleave(PERIOD)
    vectors = code(torch.arange(PERIOD))
    basis = torch.linalg.qr(torch.randn(WIDTH, vectors.shape[1], generator=generator)).Q
    identity = 0.05 * torch.randn(PERIOD, WIDTH, generator=generator)
    shift = 0.3 * torch.randn(TEMPLATES, WIDTH, generator=generator)
    states = (vectors.float() @ basis.T + identity)[labels] + shift[template]
    return states + noise * torch.randn(states.shape, generator=generator), labels, [f"t{t}" for t in template.tolist()]


def circle(labels: Tensor) -> Tensor:
    return fourier.circle(labels, 1, PERIOD)


@pytest.fixture(scope="module")
def of_circle() -> ProbeResult:
    """A planted circle without random states."""
    states, labels, template = planted(circle)
    return probe_activations(states.numpy(), labels.numpy(), PERIOD, "item", template, renamings=199)


def test_a_planted_circle_is_supported_beside_random_states() -> None:
    states, labels, template = planted(circle)
    random = torch.randn(states.shape, generator=torch.Generator().manual_seed(9))
    result = probe_activations(
        states, labels, PERIOD, "item", template, names="days", random_states=random, renamings=199
    )
    verdict = result.verdict()
    assert (verdict["domain"], verdict["level"], verdict["verdict"]) == ("days", "circle", "supported")
    assert verdict["plane_r2"] > 0.4 and verdict["random_r2"] < 0
    assert set(result.run["not_asked"]) == {"answers", "origin", "shared tokens"}
    assert {"row 0", "row 8"} <= set(result.frames["points"]["prompt"])


def test_without_random_states_a_circle_is_shown_and_not_supported(of_circle: ProbeResult) -> None:
    verdict = of_circle.verdict()
    assert (verdict["level"], verdict["verdict"]) == ("circle", "undetermined")
    assert "no random-weights control" in verdict["reason"]
    assert "not asked: random weights: give random_states" in str(of_circle)
    assert "<li>random weights: give random_states" in of_circle._repr_html_()


def test_a_line_and_a_look_up_are_no_circle() -> None:
    line, labels, template = planted(lambda labels: labels[:, None].double() / 3 - 1)
    verdict = probe_activations(line, labels, PERIOD, "item", template, renamings=199).verdict()
    assert verdict["level"] == "ordered" and verdict["verdict"] == "refuted"
    look_up, labels, template = planted(lambda labels: torch.eye(len(labels)))
    assert probe_activations(look_up, labels, PERIOD, "item", template, renamings=199).verdict()["level"] == "decodable"


def test_the_circle_is_found_at_its_own_location() -> None:
    states, labels, template = planted(circle)
    noise = torch.randn(len(states), 2, WIDTH, generator=torch.Generator().manual_seed(3))
    result = probe_activations(
        torch.cat([noise, states[:, None]], dim=1), labels, PERIOD, "item", template, renamings=199
    )
    assert result.verdict()["layer"] == 2 and result.plane().layer == 2
    assert set(result.table["layer"]) == {0, 1, 2}


def sums(turns: float = 1.0, n: int = 1500) -> tuple[Tensor, dict[str, Any]]:
    """States of sums of two-digit numbers mod 7 with a circle of the result, and what is known of them."""
    generator = torch.Generator().manual_seed(0)
    first, offset = torch.randint(10, 100, (2, n), generator=generator)
    labels = (first + offset) % PERIOD
    basis = torch.linalg.qr(torch.randn(WIDTH, 2, generator=generator)).Q
    states = turns * circle(labels).float() @ basis.T + 0.3 * torch.randn(n, WIDTH, generator=generator)
    template = [f"t{index % TEMPLATES}" for index in range(n)]
    return states, {"labels": labels, "template": template, "first": first, "offset": offset}


def test_a_circle_of_sums_stands_out_of_the_other_periods() -> None:
    states, known = sums()
    result = probe_activations(states, period=PERIOD, quantity="sum", renamings=199, **known)
    verdict = result.verdict("mod-add 7")
    assert (verdict["level"], verdict["frequency"]) == ("circle", 1), verdict["stopped_by"]
    assert verdict["p_period"] <= 0.01 and verdict["p_assignment"] is None
    assert "other moduli" in result.run["not_asked"]
    # A row is used where its pair and its template belong to one part: half of them.
    assert 0.4 < (verdict["n_discovery"] + verdict["n_confirmation"]) / len(states) < 0.6


def test_without_operands_the_level_of_a_sum_is_capped() -> None:
    states, known = sums()
    result = probe_activations(states, known["labels"], PERIOD, "sum", known["template"], renamings=199)
    verdict = result.verdict()
    assert (verdict["level"], verdict["verdict"]) == ("ordered", "undetermined")
    assert verdict["stopped_by"].startswith("the operands of these sums are not known")
    assert "operands" in result.run["not_asked"]


def test_a_result_of_arrays_is_written_and_read_back(of_circle: ProbeResult, tmp_path: Path) -> None:
    of_circle.write(tmp_path)
    again = read_run(tmp_path)
    assert again.run["model"] == "activations" and again.run["not_asked"] == of_circle.run["not_asked"]
    assert again.frames["verdicts"]["level"].tolist() == ["circle"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Not asked of states without a model: answers, origin, random weights, shared tokens" in page


def test_a_file_of_states_gives_its_name(of_circle: ProbeResult, tmp_path: Path) -> None:
    states, labels, template = planted(circle)
    np.save(tmp_path / "mine.npy", states.numpy())
    result = probe_activations(tmp_path / "mine.npy", labels, PERIOD, "item", template, renamings=199)
    assert result.run["model"] == "mine"
    assert result.verdicts.equals(of_circle.verdicts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [*range(7)] * 8 + [*range(6)]}, "states has 63 rows of 1 locations for 62 labels"),
        ({"labels": [7] * 63}, "labels run from 7 to 7: for the period 7 give numbers from 0 to 6"),
        ({"labels": [0.5] * 63}, "labels are float64 of shape .*: give one integer for each row"),
        ({"labels": [0] * 63}, r"label 1 \(label 1\) has no discovery row among 63"),
        ({"first": [1] * 63}, "give first and offset of a sum, or neither"),
        ({"names": "weeks"}, "there is no domain 'weeks': choose from days, months"),
        ({"names": ["a", "b", "c"]}, "3 names for the period 7"),
        ({"kinds": [0, 1]}, "kinds has 2 entries and should have 7"),
        ({"template": ["a"]}, "template has 1 entries and should have 63"),
        ({"random_states": torch.zeros(62, WIDTH)}, "random_states has 62 rows"),
        ({"quantity": "sum", "first": [1] * 63, "offset": [1] * 63}, r"labels are no \+, -, \* of the operands"),
        ({"renamings": 0}, "0 renamings cannot be used"),
    ],
)  # fmt: skip
def test_what_cannot_be_probed_is_said(change: dict[str, Any], message: str) -> None:
    states, labels, template = planted(circle)
    known = {"labels": labels, "period": PERIOD, "quantity": "item", "template": template}
    if "labels" in change and len(change["labels"]) != len(states):
        known["template"] = template[: len(change["labels"])]
    with pytest.raises(InputError, match=message):
        probe_activations(states, **{**known, **change})


def test_the_parts_are_those_of_the_model_s_own_prompts() -> None:
    """Every prompt of the claim is given, and none changes its part."""
    for claim in (ADD, DAYS, ITEMS[0]):
        own = labelled_claim(**columns(claim))
        for part in ("discovery", "confirmation"):
            given = [(p.template, p.first, p.offset, p.total, p.label) for p in own.prompts(part, 0, 0)]  # type: ignore[arg-type]
            prompts = claim.prompts(part, size(part), 0)  # type: ignore[arg-type]
            first = [p.first if claim.quantity == "sum" else p.label for p in prompts]
            assert given == [(p.template, a, p.offset, p.total, p.label) for p, a in zip(prompts, first, strict=True)]


def test_numbers_that_share_digits_do_not_change_places() -> None:
    twice = [*range(12)] * 9
    template = [str(row // 12) for row in range(len(twice))]
    hours, months = (labelled_claim(twice, 12, "item", template, names=name).kinds for name in ("hours", "months"))
    assert set(months) == {0}
    assert len(set(hours[2:9])) == 1  # 3 … 9
    assert len({hours[0], hours[1], hours[2], *hours[9:]}) == 6
