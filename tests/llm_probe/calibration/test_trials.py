"""Each kind of network end to end through the job, with few prompts and renamings: what comes out is a p, and finds."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from llm_probe.activations.streaming import ReadPlan
from llm_probe.calibration.networks import CELLS, MagnitudeNetwork, Planted
from llm_probe.calibration.trials import CLAIMS, NetworkStates, Setting, _shuffled, run_trial
from llm_probe.questions.claims import Claim, plain
from llm_probe.questions.domains import modular
from llm_probe.questions.prompts import question
from llm_probe.run.config import ProbeConfig

CONFIG = ProbeConfig(prompts=250, renamings=19, behaviour=False)
HOURS = next(index for index, claim in enumerate(CLAIMS["magnitudes"]) if claim.domain.name == "hours")
EVERYWHERE = {
    "p_fwer (planes)",
    "p_order",
    "p_fwer (dimensions)",
    "renaming alone (not printed)",
    "class-mean R² against noise",
}


@pytest.mark.parametrize(
    ("null", "seed", "more"),
    [
        ("magnitudes", HOURS, {"p_selective", "p_period"}),
        ("names", 1, set()),  # days: item
        ("qwen3", 8, {"p_selective", "p_repeats"}),  # days: sum
        ("shuffled", 0, set()),
    ],
)
def test_each_null_gives_p_values_and_no_finding(null, seed, more) -> None:
    trial = run_trial(Setting(null, seed, config=CONFIG))
    assert set(trial.p) == EVERYWHERE | more
    assert all(0 < p <= 1 for p in trial.p.values()), trial
    # 19 renamings cannot support anything.
    assert trial.verdict in ("refuted", "undetermined")


def test_a_planted_plane_of_one_sd_is_found() -> None:
    """No renaming, and hardly an assignment, does as well: 1/20 is the smallest p of 19 renamings."""
    trial = run_trial(Setting("magnitudes", 0, Planted(1.0), config=CONFIG))
    assert trial.p["p_fwer (planes)"] == pytest.approx(1 / 20)
    assert trial.p["renaming alone (not printed)"] == pytest.approx(1 / 20)
    assert trial.p["p_assignment"] <= 5 / 5040
    assert trial.p["p_selective"] <= trial.p["p_assignment"] / 0.5


def test_a_trial_is_a_function_of_its_setting() -> None:
    setting = Setting("names", 3, config=CONFIG)
    assert run_trial(setting) == run_trial(setting)
    assert run_trial(setting).p != run_trial(replace(setting, seed=7)).p  # the same claim, another network


def test_trials_take_the_claims_in_turn() -> None:
    claims = CLAIMS["magnitudes"]
    assert [Setting("magnitudes", seed).claim for seed in range(len(claims) + 1)] == [*claims, claims[0]]


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_signal_is_planted_where_the_modulus_is_said(everywhere: bool) -> None:
    own, other = CLAIMS["magnitudes"][0], CLAIMS["magnitudes"][1]
    setting = Setting("magnitudes", 0, Planted(1.0, everywhere=everywhere), config=CONFIG)
    network = MagnitudeNetwork(setting.seed)
    states = NetworkStates(network, setting.planted_in)
    for claim, planted in ((own, True), (other, everywhere), (Claim(plain(own.domain), "sum"), False)):
        prompts = claim.prompts("discovery", 30, 0)
        assert torch.equal(states.of(claim, prompts), network.states(claim, prompts)) != planted


def test_class_means_of_the_published_grid_by_hand() -> None:
    network, claim = MagnitudeNetwork(0), CLAIMS["magnitudes"][0]
    parts = claim.prompts("discovery", 20, 0), claim.prompts("confirmation", 10, 0)
    states = NetworkStates(network, {})(claim, *parts, ReadPlan(tuple(range(CELLS))))
    assert states.class_means is not None
    pairs = [(a, b) for a in range(7) for b in range(7) if (a + b) % 7 == 3]
    grid = [question(claim.domain, "published", a, b) for a, b in pairs]
    assert len(grid) == 7
    mean = network.states(claim, grid).double().mean(dim=0)
    torch.testing.assert_close(states.class_means[:, 3], mean, atol=1e-5, rtol=1e-5)


def test_shuffled_labels_keep_their_counts_and_lose_their_order() -> None:
    claim = Claim(modular("add", 7), "sum")
    given = _shuffled(claim, 5, CONFIG)
    true = {prompt.text: prompt.label for prompt in claim.prompts("discovery", CONFIG.prompts, 5)}
    shuffled = {prompt.text: prompt.label for prompt in given.given}
    assert shuffled.keys() == true.keys()
    assert Counter(shuffled.values()) == Counter(true.values())
    same = sum(shuffled[text] == true[text] for text in true) / len(true)
    assert 0.05 < same < 0.25  # one in seven by chance
