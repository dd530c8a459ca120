"""What is taken out is gone, what is not stays, and controls are drawn from elsewhere."""

import pytest
import torch

from tests.toy.planted import planted
from toy.analysis import spectra
from toy.analysis.ablation import NeuronCut, frequency_ablation, neuron_ablation, without_frequencies
from toy.analysis.readout import read_out
from toy.config import ToyConfig
from toy.maths import fourier
from toy.networks.closed_form import gromov
from toy.networks.model import build
from toy.networks.tasks import circle_order


@pytest.mark.parametrize(("task", "modulus"), [("add", 12), ("multiply", 13)])
def test_only_the_removed_planes_leave_the_embedding(task: str, modulus: int) -> None:
    circle = circle_order(task, modulus)
    embedding = torch.randn(modulus + 1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    result = without_frequencies(embedding, circle, [2, 6])
    before, after = fourier.power(embedding[circle]), fourier.power(result[circle])
    assert float(after[[1, 5]].max()) < 1e-25
    torch.testing.assert_close(after[[0, 2, 3, 4]], before[[0, 2, 3, 4]])
    torch.testing.assert_close(result[circle].mean(dim=0), embedding[circle].mean(dim=0))
    off = [token for token in range(modulus + 1) if token not in circle.tolist()]
    torch.testing.assert_close(result[off], embedding[off])


def test_controls_avoid_the_keys_and_what_is_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    model, config = gromov(23, [2, 5, 9])
    readout = read_out(model, config)
    ablation = frequency_ablation(model, config, readout, [5, 2], seed=0, spared=[9])
    assert ablation is not None
    # Strongest in the embedding first: amplitudes fall in the order they were given.
    assert ablation["keys"] == [2, 5]
    # Frequencies that the network does not hold can be taken without loss; had 9 been drawn, logits would change.
    assert ablation["embedding"]["control_all"] == {"size": 2, "draws": 5, "mean_drop": 0, "max_drop": 0}
    assert ablation["logits"]["control_top"]["size"] == 1


def test_no_keys_no_ablation_and_no_frequencies_left_no_control() -> None:
    model, config = gromov(5)
    readout = read_out(model, config)
    assert frequency_ablation(model, config, readout, [], seed=0) is None
    ablation = frequency_ablation(model, config, readout, [1, 2], seed=0)
    assert ablation is not None
    assert ablation["embedding"]["control_top"] is None and ablation["logits"]["control_all"] is None


@pytest.mark.parametrize("architecture", ["transformer", "mlp"])
def test_cut_neurons_are_gone_from_the_forward(architecture: str) -> None:
    """Setting a neuron to zero or its mean is exact: the same as a network whose neuron is made to put that out."""
    config = ToyConfig(modulus=7, d_model=8, n_heads=2, d_mlp=12, architecture=architecture)
    model = build(config).double()
    readout = read_out(model, config)
    left = NeuronCut(readout).both([3, 5])
    mean = readout.neurons.mean(dim=(0, 1))
    for way, value in {"zero": torch.zeros(12).double(), "mean": mean}.items():
        changed = build(config).double()
        layer = changed if architecture == "mlp" else changed.last.mlp
        layer.W_in.data[..., [3, 5]] = 0
        layer.b_in.data[[3, 5]] = value[[3, 5]]
        logits = read_out(changed, config).logits
        loss = torch.nn.functional.cross_entropy(logits.view(-1, 7), readout.answer.flatten())
        assert left[way]["loss"] == pytest.approx(float(loss), abs=1e-6)
        right = (logits.argmax(dim=2) == readout.answer).double().mean()
        assert left[way]["accuracy"] == pytest.approx(float(right))


def test_controls_match_in_variance_and_size() -> None:
    n = 5
    scales = torch.tensor([10.0, 9.0, 1.0, 8.0, 1.1, 2.0], dtype=torch.float64)
    pattern = torch.randn(n, n, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cut = NeuronCut(planted("add", n, neurons=pattern * scales))
    assert cut.nearest_in_variance([0, 2]) == [1, 4]
    # Nobody is taken twice, and when all are taken the match is shorter.
    assert cut.nearest_in_variance([0, 1, 3]) == [5, 4, 2]
    assert cut.nearest_in_variance([0, 1, 2, 3, 4]) == [5]


def test_a_network_whose_answer_hangs_on_few_neurons() -> None:
    """Neurons 0 … 4 carry the logits, 55 others as large carry nothing: only the first group matters."""
    n, m = 7, 60
    base = planted("add", n)
    generator = torch.Generator().manual_seed(0)
    neurons = torch.randn(n, n, m, generator=generator, dtype=torch.float64)
    neurons[..., :5] = torch.nn.functional.one_hot(base.answer, n).double()[..., :5] * 3
    readout = planted("add", n, neurons=neurons)
    readout.W_L.zero_()[:5, :5] = torch.eye(5, dtype=torch.float64) * 4
    # Answers 5 and 6 have no neuron: a constant stands for them below what a neuron gives.
    logits = neurons @ readout.W_L + torch.tensor([0.0] * 5 + [1.0, 0.5])
    readout = planted("add", n, neurons=neurons, logits=logits)
    readout.W_L.zero_()[:5, :5] = torch.eye(5, dtype=torch.float64) * 4
    ablation = neuron_ablation(readout, list(range(20)), seed=0)
    assert ablation["accuracy"] == pytest.approx(6 / 7)
    assert [row["zero"]["drop"] for row in ablation["single"][:5]] == pytest.approx([100 / 7] * 5)
    assert [row["zero"]["drop"] for row in ablation["single"][5:]] == [0] * 15
    assert ablation["single_control"]["zero"]["max_drop"] == 0
    assert ablation["single_control"]["zero"]["mean_loss"] == pytest.approx(ablation["loss"])
    group = ablation["groups"][0]
    assert group["size"] == 5 and group["top"]["zero"]["drop"] == pytest.approx(500 / 7)
    assert group["random"]["zero"]["max_drop"] == 0 and group["matched"]["zero"]["drop"] == 0
    assert [row["size"] for row in ablation["groups"]] == [5, 10, 20]


def test_frequencies_leave_the_logits_as_they_leave_the_network() -> None:
    model, config = gromov(23, [3, 7])
    readout = read_out(model, config)
    weights = without_frequencies(model.W_E, readout.tokens, [3])
    changed, _ = gromov(23, [3, 7])
    changed.W_E.copy_(weights)
    assert spectra.logit_coefficients(read_out(changed, config)).tolist() == pytest.approx(
        [4.5 if k == 7 else 0.0 for k in range(1, 12)], abs=1e-12
    )
