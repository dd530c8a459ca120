"""The positive control: on Gromov's network every measurement has a value that was worked out by hand.

p = 23, frequencies 3 and 7, nine neurons each, logits = 4.5 (cos w_3 d + cos w_7 d) with d = a + b - c, embedding
amplitudes g² = 2 and 1.5 (the first of two frequencies, then 2 - 1/2).
"""

import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from toy.analysis import circuits, clock_pizza, keys, spectra
from toy.analysis.ablation import NeuronCut, frequency_ablation
from toy.analysis.measurements import analyse
from toy.analysis.readout import Readout, read_out
from toy.networks.closed_form import PHASES, gromov
from toy.networks.tasks import circle_order
from toy.run.errors import InputError

P, CHOSEN, HEIGHT = 23, [3, 7], 4.5


def loss_of(*frequencies: int) -> float:
    """-log softmax at d = 0 of 4.5 Σ cos w_k d over the outputs d = 0 … 22."""
    exponents = [HEIGHT * sum(math.cos(2 * math.pi * k * d / P) - 1 for k in frequencies) for d in range(P)]
    return math.log(sum(map(math.exp, exponents)))


@pytest.fixture(scope="module")
def readout() -> Readout:
    return read_out(*gromov(P, CHOSEN))


@pytest.fixture(scope="module")
def analysis() -> dict[str, Any]:
    return analyse(*gromov(P, CHOSEN))


@given(st.integers(3, 14), st.sampled_from(["add", "subtract", "multiply", "divide"]), st.booleans(), st.data())
def test_logits_are_the_sum_of_cosines(modulus: int, task: str, one_hot: bool, data: st.DataObject) -> None:
    assume(task in ("add", "subtract") or modulus not in (8, 12))  # their units are no cycle
    n = len(circle_order(task, modulus))
    chosen = data.draw(st.lists(st.integers(1, n // 2), min_size=1, unique=True))
    readout = read_out(*gromov(modulus, chosen, scale=0.5, task=task, one_hot=one_hot))
    difference = readout.answer[..., None] - torch.arange(n)
    expected = sum((2 * math.pi * k / n * difference.double()).cos() for k in chosen)
    assert readout.is_cyclic
    torch.testing.assert_close(readout.logits, 0.5 * HEIGHT * expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("modulus", [3, 4, 12, 23])
def test_all_frequencies_answer_every_question(modulus: int) -> None:
    model, config = gromov(modulus)
    result = analyse(model, config)
    assert result["train_accuracy"] == result["test_accuracy"] == result["full_accuracy"] == 1
    # Σ_k cos w_k d is the same for every d ≠ 0, up to the Nyquist term of an even modulus.
    peak = HEIGHT * (modulus // 2)
    assert float(read_out(model, config).logits.amax()) == pytest.approx(peak)


def test_accuracy_and_losses(analysis: dict[str, Any]) -> None:
    for name in ("train_accuracy", "test_accuracy", "full_accuracy", "slice_accuracy"):
        assert analysis[name] == 1
    for name in ("train_loss", "test_loss", "full_loss", "restricted_loss"):
        assert analysis[name] == pytest.approx(loss_of(3, 7), rel=1e-9)
    # Without the keys nothing is left: every output has probability 1/23.
    assert analysis["excluded_loss"] == pytest.approx(math.log(P))
    assert analysis["excluded_loss_by_frequency"] == pytest.approx({"3": loss_of(7), "7": loss_of(3)})


def test_all_four_rules_find_the_keys(analysis: dict[str, Any]) -> None:
    # Equal shares leave the order to rounding, except in the embedding.
    assert analysis["key_frequencies_embedding"] == CHOSEN
    for rule in ("w_l", "logits", "neurons"):
        assert sorted(analysis[f"key_frequencies_{rule}"]) == CHOSEN
        assert analysis["by_keys"][rule]["logit_fve"] == pytest.approx(1)


def test_spectra_are_where_they_were_put(analysis: dict[str, Any]) -> None:
    def at(first: float, second: float) -> list[float]:
        return [{3: first, 7: second}.get(k, 0.0) for k in range(1, P // 2 + 1)]

    expected = {
        "embedding": at(2 / 3.5, 1.5 / 3.5),
        "unembedding": at(0.5, 0.5),
        "w_l": at(0.5, 0.5),
        "logits": at(0.5, 0.5),
        "logits_any_output": at(0.5, 0.5),
        # A neuron's four waves: cos 2wa and cos 2wb with amplitude 1/2, cos w(a ± b) with amplitude 1, so a share of
        # 1 / 1.25 lies at its frequency and the rest at its double: 6, and 14, which on Z_23 is 9.
        "neurons": [{3: 0.4, 7: 0.4, 6: 0.1, 9: 0.1}.get(k, 0.0) for k in range(1, P // 2 + 1)],
    }
    for name, shares in expected.items():
        assert analysis["spectra"][name] == pytest.approx(shares, abs=1e-12), name
    assert analysis["logit_coefficients"] == pytest.approx(at(HEIGHT, HEIGHT), abs=1e-12)
    assert analysis["logit_fve"] == pytest.approx(1)
    assert analysis["logit_fve_planes"] == pytest.approx(1)
    assert analysis["logit_bias_share"] == pytest.approx(0, abs=1e-20)


def test_sparsity_and_size(analysis: dict[str, Any], readout: Readout) -> None:
    # 4 of 22 components have a length; sorted ascending they have ranks 19 to 22 and weights 2·rank - 23.
    small, large = math.sqrt(1.5), math.sqrt(2)
    assert analysis["gini"] == pytest.approx((32 * small + 40 * large) / (22 * 2 * (small + large)))
    assert analysis["gini_w_l"] == pytest.approx(1 - 4 / 22)
    # W_E: 23 (2 + 1.5); W_in: 18 unit vectors over 2, and over 1.5; W_out: 18 cosines of 23 outputs.
    assert analysis["sum_squared_weights"] == pytest.approx(80.5 + 18 / 2 + 18 / 1.5 + 18 * 23 / 2)
    assert keys.effective_rank(readout.W_L.T) == pytest.approx(4)
    assert keys.effective_rank(readout.embedding) == pytest.approx(49 / 12.5)


def test_neurons(analysis: dict[str, Any], readout: Readout) -> None:
    assert analysis["n_neurons"] == 18 and analysis["n_dead_neurons"] == 0
    assert analysis["neuron_frequencies"] == [3] * 9 + [7] * 9
    assert analysis["neuron_shares"] == pytest.approx([0.8] * 18)
    assert analysis["neurons_by_frequency"] == {"3": 9, "7": 9}
    # 0.8 is below the line of 0.85; with its double a neuron is explained wholly.
    assert analysis["neurons_explained"] == 0
    assert analysis["neurons_explained_with_double"] == 1


def test_ranking_along_a_path(readout: Readout) -> None:
    # With b = 0 a neuron is cos(2wa + 2φ)/2 + 2 cos ψ cos(wa + φ) + constant. ψ = 0: power 2n and n/8.
    ranked = circuits.rank_neurons(readout, fixed=0, count=18)
    ranking = ranked["neuron_ranking"]
    assert {row["neuron"] for row in ranking[:6]} == {neuron for neuron in range(18) if PHASES[neuron % 9][1] == 0}
    for row in ranking:
        phi, psi = PHASES[row["neuron"] % 9]
        assert row["frequency"] == CHOSEN[row["neuron"] // 9]
        assert row["peak_power"] == pytest.approx(2 * P * math.cos(psi) ** 2)
        assert row["purity"] == pytest.approx(16 / 17 if psi == 0 else 0.8)
        # The fit is cos(wa - phase); a negative cos ψ turns it by π.
        error = row["phase"] + phi + (0 if psi == 0 else math.pi)
        assert math.remainder(error, 2 * math.pi) == pytest.approx(0, abs=1e-9)
    assert ranked["neuron_purity_median"] == pytest.approx(0.8)


def test_a_frequency_taken_out_of_the_embedding_takes_its_cosine_out_of_the_logits() -> None:
    model, config = gromov(P, CHOSEN)
    # A hint of a bias decides for output 0 where all logits are equal.
    model.b_out[0] = 1e-6
    ablation = frequency_ablation(model, config, read_out(model, config), CHOSEN, seed=0)
    assert ablation is not None
    for place in ("embedding", "logits"):
        assert ablation["accuracy"] == 1
        # One cosine alone still peaks at the right answer.
        assert [removal["drop"] for removal in ablation[place]["each"]] == [0, 0]
        assert ablation[place]["all"]["accuracy"] == pytest.approx(1 / P)
        assert ablation[place]["all"]["drop"] == pytest.approx(100 * (1 - 1 / P))
        assert ablation[place]["control_all"] == {"size": 2, "draws": 5, "mean_drop": 0, "max_drop": 0}


def test_a_frequency_taken_out_of_the_neurons(readout: Readout) -> None:
    left = NeuronCut(readout).both(range(9))
    # The neurons' means are all 1, and their output weights sum to zero: zero and mean are one.
    for way in ("zero", "mean"):
        assert left[way]["loss"] == pytest.approx(loss_of(7))
        assert left[way]["drop"] == 0


def test_gradients_turn_with_the_distance() -> None:
    model, _ = gromov(P, CHOSEN)
    operands = torch.cartesian_prod(torch.arange(P), torch.arange(P))
    cosines = clock_pizza.gradient_cosines(model, operands, torch.full((P * P,), 5))
    # ∂Q/∂E_a has length 4.5 / g at angle w(b - c), ∂Q/∂E_b the same at w(a - c): a product of w(a - b) and 1/g².
    difference = (operands[:, 0] - operands[:, 1]).double() * (2 * math.pi / P)
    expected = ((3 * difference).cos() / 2 + (7 * difference).cos() / 1.5) / (1 / 2 + 1 / 1.5)
    torch.testing.assert_close(cosines, expected)


def test_circles_and_nothing_else(analysis: dict[str, Any]) -> None:
    assert analysis["circularity"] == pytest.approx(1)
    # Every right answer has the logit 9: no spread that a distance could be irrelevant to.
    assert analysis["distance_irrelevance"] is None
    assert analysis["attention_periodicity"] is None
    assert analysis["accuracy_by_c"] is None
    (subgroup,) = analysis["subgroups"]
    assert subgroup["order"] == P and subgroup["logit_share"] == pytest.approx(1)


def test_multiplication_is_addition_along_its_circle() -> None:
    model, config = gromov(P, CHOSEN, task="multiply")
    readout = read_out(model, config)
    assert readout.size == 22
    assert sorted(keys.of_logits(readout)) == CHOSEN
    assert spectra.logit_shares(readout).tolist() == pytest.approx(
        [0.5 if k in CHOSEN else 0.0 for k in range(1, 12)], abs=1e-12
    )
    # 22 = 2 · 11: both frequencies are coprime to 22, except that 2 would halve the order.
    orders = {row["order"]: row["logit_share"] for row in circuits.subgroups(22, spectra.logit_shares(readout), CHOSEN)}
    assert orders == pytest.approx({2: 0, 11: 0, 22: 1}, abs=1e-12)


def test_subgroups_of_a_composite_modulus() -> None:
    # On Z_12 frequency 4 sees the sum modulo 3, frequency 3 modulo 4: together they see all of it.
    result = analyse(*gromov(12, [4, 3]))
    shares = {row["order"]: row["logit_share"] for row in result["subgroups"]}
    assert shares == pytest.approx({2: 0, 3: 0.5, 4: 0.5, 6: 0, 12: 0}, abs=1e-12)
    assert result["full_accuracy"] == 1


def test_a_one_hot_embedding_has_a_flat_spectrum() -> None:
    model, config = gromov(P, CHOSEN, one_hot=True)
    readout = read_out(model, config)
    assert spectra.matrix_shares(readout.embedding).tolist() == pytest.approx([2 / 22] * 11)
    assert keys.of_matrix(readout.embedding) == []
    assert sorted(keys.of_matrix(readout.W_L.T)) == CHOSEN


@pytest.mark.parametrize("chosen", [[], [0], [12], [3, 3]])
def test_frequencies_that_do_not_exist_are_refused(chosen: list[int]) -> None:
    with pytest.raises(InputError, match="give different ones from 1 to 11"):
        gromov(P, chosen)


def test_a_task_without_a_cycle_is_refused() -> None:
    with pytest.raises(InputError, match="quadratic has no closed form"):
        gromov(P, task="quadratic")
    with pytest.raises(InputError, match="units modulo 8 form no cycle"):
        gromov(8, task="multiply")
