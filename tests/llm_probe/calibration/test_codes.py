"""Networks that know an answer without a circle: what is in their states, by hand, and two of them through the job."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from llm_probe.calibration.codes import LARGEST, NOISE, Code, CodeNetwork
from llm_probe.calibration.trials import Setting, run_trial
from llm_probe.questions.claims import Claim, plain
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.run.config import ProbeConfig
from toy.maths import fourier

CODES = get_args(Code)
DAYS, WEEKDAY = Claim(DOMAINS["days"], "sum"), Claim(DOMAINS["days"], "item")
MONTHS, MOD_7, MOD_11 = Claim(DOMAINS["months"], "sum"), *(Claim(modular("add", m), "sum") for m in (7, 11))
CONFIG = ProbeConfig(prompts=250, renamings=99, behaviour=False)
"""Enough for p = 0.01, and for little else."""


def table(code: Code, claim: Claim, seed: int = 0) -> torch.Tensor:
    """The vector of every label, from one prompt of each."""
    prompts = claim.prompts("discovery", 300, 0)
    vectors = CodeNetwork(code, seed).of(claim, prompts)
    label = torch.tensor([prompt.label for prompt in prompts])
    return torch.stack([vectors[label == s][0] for s in range(claim.period)])


@pytest.mark.parametrize("claim", [DAYS, WEEKDAY, MONTHS, MOD_7], ids=lambda claim: claim.name)
@pytest.mark.parametrize("code", [code for code in CODES if code not in ("helix", "tuning")])
def test_every_code_of_labels_has_the_size_of_a_random_vector(code: Code, claim: Claim) -> None:
    """Mean square √d … so that an amplitude is in units of one operand's vector, whatever the code."""
    vectors = table(code, claim)
    assert vectors.square().sum(dim=1).mean().item() == pytest.approx(64, rel=1e-4)
    assert vectors.mean(dim=0).abs().max() < 1e-4


@pytest.mark.parametrize("code", ["helix", "tuning"])
def test_codes_of_the_integer_have_that_size_over_all_integers(code: Code) -> None:
    vectors = CodeNetwork(code, 0)._table(MOD_7, LARGEST)
    assert vectors.square().sum(dim=1).mean().item() == pytest.approx(64, rel=1e-4)


@pytest.mark.parametrize("code", CODES)
def test_a_code_is_a_function_of_the_answer_or_of_the_integer(code: Code) -> None:
    prompts = MOD_7.prompts("discovery", 300, 0)
    vectors = CodeNetwork(code, 0).of(MOD_7, prompts)
    total = torch.tensor([prompt.total for prompt in prompts])
    keys = total if code in ("helix", "tuning") else total % 7
    for key in keys.unique():
        assert (vectors[keys == key] - vectors[keys == key][0]).abs().max() == 0
    if code in ("helix", "tuning"):  # 100 and 107 differ: the period of seven is not in it
        assert (vectors[total == 100][0] - vectors[total == 107][0]).norm() > 1


def test_a_look_up_is_drawn_for_every_claim_and_a_shared_one_once() -> None:
    days, other = table("look-up", DAYS), table("look-up", MOD_7)
    assert torch.corrcoef(torch.stack([days.flatten(), other.flatten()]))[0, 1].abs() < 0.2
    torch.testing.assert_close(table("shared look-up", DAYS), table("shared look-up", MOD_7))
    # Of 11 labels the first seven are those of 7, but for their mean and size.
    seven, eleven = table("shared look-up", MOD_7), table("shared look-up", MOD_11)[:7]
    both = torch.stack([(one - one.mean(dim=0)).flatten() for one in (seven, eleven)])
    assert torch.corrcoef(both)[0, 1] > 0.99
    # Another seed is another network.
    assert (table("look-up", DAYS, 1) - days).norm() > 1


def test_the_columns_by_hand() -> None:
    s, generator = torch.arange(12), torch.Generator()
    months = {code: CodeNetwork(code, 0)._columns(MONTHS, s, generator.manual_seed(0)) for code in CODES}
    torch.testing.assert_close(months["circle"], fourier.circle(s, 1, 12))
    assert months["line"].flatten().tolist() == list(range(12))
    # x from -1 to 1 and a parabola: the ends do not meet.
    x, bow = months["parabola"].T
    assert (x[0], x[11], bow[0], bow[11]) == (-1, 1, 1.5, 1.5)
    # There and back: neighbours are one apart, and two labels share each place.
    there = months["fold"].flatten()
    assert (there - there.roll(1)).abs().max() == 1 and len(there.unique()) == 7
    # The same points in another order.
    ring, shuffled = ({tuple(row) for row in months[code].tolist()} for code in ("circle", "shuffled"))
    assert ring == shuffled and not torch.equal(months["circle"], months["shuffled"])
    classes = months["clusters"].argmax(dim=1).tolist()
    assert tuple(classes) in DOMAINS["months"].partitions.values()
    assert CodeNetwork("clusters", 0)._columns(MOD_7, torch.arange(7), generator).argmax(dim=1).tolist() == [
        0, 0, 0, 1, 1, 2, 2,
    ]  # fmt: skip
    assert months["tuning"].shape[1] == math.ceil((LARGEST + 20) / 3)


@pytest.mark.parametrize("code", CODES)
def test_a_question_without_a_modulus_has_no_answer_and_an_integer(code: Code) -> None:
    claim = Claim(plain(MOD_7.domain), "sum")
    vectors = CodeNetwork(code, 0).of(claim, claim.prompts("discovery", 50, 0))
    assert bool(vectors.abs().max() > 0) == (code in ("helix", "tuning"))


def test_the_code_is_in_the_last_place_only_beside_templates_operands_and_noise() -> None:
    prompts = DAYS.prompts("discovery", 300, 0)
    with_it, without = (CodeNetwork("circle", 0, amplitude).states(DAYS, prompts) for amplitude in (2.0, 0.0))
    torch.testing.assert_close(with_it[:, 0], without[:, 0])
    code = CodeNetwork("circle", 0).of(DAYS, prompts)
    torch.testing.assert_close(with_it[:, 1] - without[:, 1], 2 * code, atol=1e-5, rtol=0)
    # The places share all but the noise: the variance of their difference is twice its own.
    noise = (without[:, 0] - without[:, 1]).square().mean().item()
    assert noise == pytest.approx(2 * NOISE["sum"] ** 2, rel=0.05)
    again = CodeNetwork("circle", 0, 2.0).states(DAYS, prompts)
    assert torch.equal(again, with_it)


def test_discovery_and_confirmation_read_together_have_new_noise() -> None:
    """The noise is a function of the claim and of how many prompts are read at once, so that no part repeats it."""
    few, more = DAYS.prompts("discovery", 100, 0), DAYS.prompts("confirmation", 60, 0)
    apart = CodeNetwork("look-up", 0).states(DAYS, few)
    together = CodeNetwork("look-up", 0).states(DAYS, [*few, *more])[: len(few)]
    assert (apart - together).abs().mean() > 0.5


@pytest.mark.parametrize(("null", "seed"), [("code of sums", 0), ("code of items", 0)], ids=["sum", "item"])
def test_a_circle_of_days_is_supported_and_a_look_up_is_decodable(null, seed) -> None:
    signal = run_trial(Setting(null, seed, code="circle", config=CONFIG))
    assert (signal.verdict, signal.level) == ("supported", "circle"), signal.reason
    hard = run_trial(Setting(null, seed, code="look-up", config=CONFIG))
    assert (hard.verdict, hard.level) == ("undetermined", "decodable")
    assert "other orders" in hard.reason and hard.p["p_order"] > 0.01


def test_a_look_up_of_sums_mod_7_is_read_as_well_as_a_circle_and_not_supported() -> None:
    """Renamed labels, other moduli and the neighbourhood of the period cannot tell it from a circle: the order does."""
    hard = run_trial(Setting("code of sums", 2, code="look-up", config=CONFIG))
    assert (hard.verdict, hard.level) == ("undetermined", "decodable")
    assert hard.p["renaming alone (not printed)"] <= 0.01 and hard.p["p_selective"] <= 0.01 < hard.p["p_order"]


def test_a_helix_is_named_and_not_supported() -> None:
    trial = run_trial(Setting("code of sums", 0, code="helix", config=CONFIG))
    assert (trial.verdict, trial.level) == ("undetermined", "helix")
    assert {"2", "5", "10"} <= set(trial.shape.removeprefix("T = ").split(", "))
