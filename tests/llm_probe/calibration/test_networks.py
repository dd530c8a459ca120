"""What an untrained network is shown, worked out by hand, and a planted circle of exactly the size asked for."""

import pytest
import torch

from llm_probe.calibration.networks import CELLS, MagnitudeNetwork, Planted, _numbers, plant
from llm_probe.questions.claims import Claim, plain
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.questions.prompts import question
from toy.maths import fourier

SUM = Claim(modular("add", 7), "sum")


def test_states_are_a_function_of_prompt_and_seed() -> None:
    prompts = SUM.prompts("discovery", 40, 0)
    states = MagnitudeNetwork(3).states(SUM, prompts)
    assert states.shape == (40, CELLS, 64)
    assert torch.equal(states, MagnitudeNetwork(3).states(SUM, prompts))
    torch.testing.assert_close(states[5:6], MagnitudeNetwork(3).states(SUM, prompts[5:6]))
    assert not torch.allclose(states, MagnitudeNetwork(4).states(SUM, prompts))


def test_numbers_that_a_network_sees_by_hand() -> None:
    def seen(claim: Claim, first: int, offset: int) -> list[int]:
        name = next(iter(claim.domain.questions))
        return _numbers(claim, [question(claim.domain, name, first, offset)])[0].tolist()

    assert seen(SUM, 34, 57) == [34, 57, 91, 7]
    assert seen(Claim(modular("sub", 7), "sum"), 34, 57) == [34, 57, 23, 7]
    assert seen(Claim(plain(SUM.domain), "sum"), 34, 57) == [34, 57, 91, -1]
    hours = Claim(DOMAINS["hours"], "sum")
    number = int(hours.domain.items[4])
    assert seen(hours, 4, 20) == [number, 20, number + 20, -1]
    # A weekday is a word: neither it nor the answer is a number, and no modulus is named.
    assert seen(Claim(DOMAINS["days"], "sum"), 4, 20) == [-1, 20, -1, -1]


def test_without_the_modulus_every_modulus_is_the_same_question() -> None:
    """No residue can be held: the states are equal to the last bit whatever the period the labels have."""
    plains = [Claim(plain(modular("add", modulus)), "sum") for modulus in (7, 11, 23)]
    states = [MagnitudeNetwork(0).states(claim, claim.prompts("discovery", 50, 0)) for claim in plains]
    assert torch.equal(states[0], states[1]) and torch.equal(states[0], states[2])
    question_states = MagnitudeNetwork(0).states(SUM, SUM.prompts("discovery", 50, 0))
    assert not torch.allclose(question_states, states[0])


def test_words_are_vectors_without_an_order() -> None:
    """A mention of item i is a function of i's own random vector: no two items, and no neighbours, are alike."""
    claim = Claim(DOMAINS["months"], "item")
    prompts = claim.prompts("discovery", 0, 0)[:12]  # every month in one template
    assert (_numbers(claim, prompts) == -1).all()
    near, far = [], []
    for seed in range(40):
        means = MagnitudeNetwork(seed).states(claim, prompts)[:, 0]
        distance = torch.cdist(means, means) / means.std()
        near.append(float(distance[torch.arange(12), (torch.arange(12) + 1) % 12].mean()))
        far.append(float(distance[torch.arange(12), (torch.arange(12) + 6) % 12].mean()))
        assert float(distance[~torch.eye(12, dtype=torch.bool)].min()) > 0.01
    assert sum(near) / sum(far) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("unit", "frequency"), [("plane", 1), ("plane", 3), ("dimension", 1)])
def test_a_planted_circle_has_the_size_that_was_asked_for(unit, frequency) -> None:
    states = 5 + 3 * torch.randn(300, CELLS, 20, generator=torch.Generator().manual_seed(0))
    label = torch.arange(300) % 7
    planted = Planted(0.4, frequency, unit)
    added = plant(states, label, 7, planted, seed=1) - states
    assert not added[:, 0].any()  # the last cell alone
    scale = float((states[:, 1] - states[:, 1].mean(dim=0)).square().mean().sqrt())
    circle = fourier.circle(label, frequency, 7).float()
    if unit == "plane":
        # Every prompt lies on a circle of the amplitude's radius …
        torch.testing.assert_close(added[:, 1].norm(dim=1), torch.full((300,), 0.4 * scale), rtol=1e-4, atol=1e-5)
        # … at its own angle: inner products are those of the labels' circle.
        torch.testing.assert_close(
            added[:, 1] @ added[:, 1].T, (0.4 * scale) ** 2 * circle @ circle.T, atol=1e-4, rtol=1e-4
        )
    else:
        touched = added[:, 1].abs().amax(dim=0).nonzero()[:, 0]
        assert len(touched) == 1
        torch.testing.assert_close(added[:, 1, touched[0]], 0.4 * scale * circle[:, 0], atol=1e-5, rtol=1e-4)
    assert torch.equal(plant(states, label, 7, planted, seed=1) - states, added)
    assert not torch.allclose(plant(states, label, 7, planted, seed=2) - states, added)
