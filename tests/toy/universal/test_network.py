"""One network for every modulus: its encodings, its moduli and its measurements have answers known by hand."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from toy.universal import tables
from toy.universal.config import Split, UniversalConfig, draw_split
from toy.universal.network import Universal, answers, encoding, pairs, written
from toy.universal.train import Training, accuracies

SMALL = UniversalConfig(d_model=16, d_mlp=8, n_blocks=2, frequencies=8, device="cpu")
DENSE = draw_split(SMALL)


class Adder(Universal):
    """Answers a + b, reduced modulo p as often as needed or once."""

    def __init__(self, once: bool) -> None:
        super().__init__(SMALL)
        self.once = once

    def forward(self, questions: Tensor) -> Tensor:
        n = questions[:, 1] + questions[:, 2]
        reduced = torch.where(n >= questions[:, 0], n - questions[:, 0], n)
        return torch.nn.functional.one_hot(reduced if self.once else answers(questions), 400)[:, :199].float()


def test_an_encoding_turns_and_keeps_its_length() -> None:
    phi = encoding(torch.arange(101), 4, 8.0)  # periods 2, 4, 8 and 400
    assert phi.square().sum(1).tolist() == pytest.approx([4.0] * 101, abs=1e-5)
    assert phi[:, 0].tolist() == pytest.approx([(-1.0) ** n for n in range(101)], abs=1e-4)
    assert phi[8, :3].tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert phi[1, 5] == pytest.approx(1) and phi[100, 7] == pytest.approx(1)


def test_a_sum_is_a_turn() -> None:
    model = Universal(UniversalConfig(numbers="rotations", d_model=16, d_mlp=8, n_blocks=1, frequencies=4))
    (phi, periods) = (model.turns[199:], 4)
    turned = torch.complex(*phi[[30, 50]].T.reshape(2, periods, 2).unbind(0)).prod(1)
    assert torch.allclose(torch.cat([turned.real, turned.imag]), phi[80], atol=1e-4)
    expected = phi[80] @ model.E + phi[20] @ model.P
    assert torch.allclose(model.stream(torch.tensor([[60, 30, 50]]))[0], expected, atol=1e-4)


def test_how_numbers_are_written() -> None:
    digits = written(UniversalConfig(numbers="digits"))
    assert digits.shape == (199, 30) and digits[123].nonzero()[:, 0].tolist() == [1, 12, 23]
    assert torch.equal(written(UniversalConfig(numbers="tokens")), torch.eye(199))
    assert written(UniversalConfig()).unique(dim=0).shape == (199, 20)


def test_the_moduli_of_a_run() -> None:
    assert DENSE.held_out == tuple(range(15, 116, 10)) and DENSE.largest == 120 and len(DENSE.train) == 108
    for changed in (UniversalConfig(held_out="random"), UniversalConfig(moduli="sparse")):
        split = draw_split(changed)
        assert split == draw_split(changed) and not set(split.train) & set(split.held_out)
        assert split != draw_split(UniversalConfig(held_out="random", moduli=changed.moduli, split_seed=1))
    assert len(draw_split(UniversalConfig(moduli="sparse")).train) == 24


def test_the_published_ceiling() -> None:
    bounds = [tables.bound(modulus, DENSE) for modulus in (120, 121, 124, 149, 199)]
    assert bounds == pytest.approx([1, 0.975, 0.906, 0.512, 0.204], abs=6e-4)


def test_questions_and_their_mirror_images() -> None:
    assert pairs(2).tolist() == [[2, 0, 0], [2, 0, 1], [2, 1, 1]] and answers(pairs(2)).tolist() == [0, 1, 0]
    model = Universal(SMALL)
    assert torch.equal(model(torch.tensor([[9, 2, 7]])), model(torch.tensor([[9, 7, 2]])))


@pytest.mark.parametrize("numbers", ["encoding", "rotations", "digits", "tokens"])
def test_a_fresh_network_has_a_stream_of_unit_size(numbers) -> None:
    model = Universal(UniversalConfig(numbers=numbers, d_model=256, d_mlp=8))
    size = float(model.embedding.detach().square().mean())
    assert 0.8 < size < 1.2 and 0.5 < float(model(pairs(50)).detach().std()) / 4 < 2


def test_only_tokens_leave_rows_untrained() -> None:
    for numbers, rows, untrained in (("tokens", 199, 79), ("rotations", 20, 0), ("encoding", 20, 0)):
        training = Training(UniversalConfig(numbers=numbers, d_model=16, d_mlp=8, device="cpu"))
        for _ in range(3):  # so that every operand below 120 is shown
            training.update()
        moments = training.optimiser.state[training.model.E]["exp_avg"]
        assert len(moments) == rows and int((moments == 0).all(dim=1).sum()) == untrained


def test_accuracy_counts_every_ordered_pair() -> None:
    assert accuracies(Adder(once=True), [2, 7, 150]) == {2: 1, 7: 1, 150: 1}

    class Doubles(Adder):
        def forward(self, questions: Tensor) -> Tensor:
            answered = super().forward(questions) * (questions[:, 1] == questions[:, 2])[:, None]
            return answered + 0.5 * torch.eye(199)[119]

    accuracy = accuracies(Doubles(once=True), [5])[5]
    assert accuracy == pytest.approx(5 / 25)


def test_adding_and_turning_are_told_apart() -> None:
    assert tables.wrap_row(Adder(once=True), 20, 120)["subtracted_once"] == 1
    assert tables.wrap_row(Adder(once=False), 20, 120)["residue"] == 1
    labels = torch.arange(7)[:, None] + torch.arange(7)
    turning = torch.stack([(2 * math.pi * 3 * labels / 7).cos(), (2 * math.pi * labels / 7).sin()], dim=2)
    assert tables.between(turning, labels % 7) == pytest.approx(1)
    adding = labels.float()[:, :, None]
    assert tables.between(adding, labels) == pytest.approx(1)
    assert tables.between(adding, labels % 7) == pytest.approx(0, abs=1e-9)  # every residue has the same mean


def test_tables(tmp_path: Path) -> None:
    training = Training(SMALL)
    training.split = Split((2, 3, 20), (5,))
    summary = tables.measure(training, tmp_path)
    rows = list(csv.DictReader((tmp_path / "accuracy.csv").open()))
    assert [row["modulus"] for row in rows] == [str(modulus) for modulus in range(2, 200)]
    assert {row["part"] for row in rows} == {"train", "held_out", "beyond"}
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    circles = list(csv.DictReader((tmp_path / "circles.csv").open()))
    assert {row["weights"] for row in circles} == {"trained", "untrained"}
    for row in circles:
        assert 0 <= float(row["residue_share"]) <= float(row["sum_share"]) <= 1
