"""Five networks that add modulo p in a way that was written down, as a test of whoever tells ways of adding apart.

Each turns two operands into one hidden state and reads the answer off it, and nothing else passes between them:

    Clock       the neurons of Gromov's network (toy/networks/closed_form.py): circles of n mod p, read by cosines
    DigitAdder  ones digits are added, then tens with the carry. The state holds circles of the ones digit (T = 10, 5,
                2) and one-hot tens and carry, turned into a random basis; the read-out finds the nearest digit and the
                largest ten and looks 10 t + u up in a table of remainders
    LookUp      a random code for each operand pair; the read-out finds the pair whose code is nearest, and its answer
    AnswerCode  a code for each answer; the read-out finds the answer whose code is nearest. With `random_codes` all
                planes of the answer turned together move it as they move a clock

    IdleCircle  two circles of the answer, at two frequencies; the larger one is carried and never read

hidden: operands (n, 2) -> (n, d)      read: (n, d) -> logits (n, p)      float64

`Turner` turns circles in the hidden state: their planes are fitted on some operand pairs, the answers observed on
others. It is an `algorithm.Observe`, and its `after_code_turns` an `order_tests.AnswersAfter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from causal.algorithms.algorithm import Decision, Observations, observe, which
from causal.algorithms.answer_code import AnswerMeans, CodeTurn
from causal.algorithms.order_tests import OrderEvidence, order_evidence
from causal.algorithms.predictions import BASE, DIGIT_FREQUENCIES, Kind, Rotation, digit_frequencies, rotations
from causal.interventions.directions import regression_pattern
from llm_probe.statistics.patterns import nearest_orthonormal, rotate, rotation, targets_of
from toy.analysis import spectra
from toy.maths import fourier
from toy.networks.closed_form import gromov

Operands = Int[Tensor, "n 2"]


@runtime_checkable
class Adder(Protocol):
    """Adds numbers below `below` modulo `modulus`, through one hidden state."""

    modulus: int
    below: int

    def hidden(self, operands: Operands) -> Float[Tensor, "n d"]:
        """The state."""
        ...

    def read(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """Logits of the answers."""
        ...


class Clock(nn.Module):
    """The closed-form network; the state is its hidden layer."""

    def __init__(self, modulus: int, below: int, frequencies: Sequence[int] | None = None) -> None:
        super().__init__()
        self.modulus, self.below = modulus, below
        self.network, _ = gromov(modulus, frequencies)

    def hidden(self, operands: Operands) -> Float[Tensor, "n d"]:
        """Squares of sums of cosines."""
        return self.network.neurons(operands % self.modulus)

    def read(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """Cosines of n - c."""
        return hidden @ self.network.W_out + self.network.b_out


class DigitAdder(nn.Module):
    """Adds digit by digit with a carry, then reduces by a table."""

    basis: Tensor
    circles: Tensor
    table: Tensor

    def __init__(self, modulus: int, below: int, width: int = 64, seed: int = 0) -> None:
        """`width` must have room for five coordinates of the digit, the tens of 2 (below - 1) and two of the carry."""
        super().__init__()
        self.modulus, self.below, self.tens = modulus, below, (2 * below - 2) // BASE + 1
        circles = torch.cat([fourier.design(torch.arange(BASE), k, BASE) for k in DIGIT_FREQUENCIES], dim=1)
        self.parts = (circles.shape[1], self.tens, 2)
        generator = torch.Generator().manual_seed(seed)
        mixing = torch.linalg.qr(torch.randn(width, sum(self.parts), generator=generator, dtype=torch.float64)).Q
        remainders = torch.arange(BASE * self.tens) % modulus
        self.register_buffer("basis", mixing)
        self.register_buffer("circles", circles)
        self.register_buffer("table", torch.eye(modulus, dtype=torch.float64)[remainders])

    def hidden(self, operands: Operands) -> Float[Tensor, "n d"]:
        """Circles of the ones digit, one-hot tens, one-hot carry."""
        tens, ones = operands // BASE, operands % BASE
        carry = (ones.sum(dim=1) >= BASE).long()
        digit = ones.sum(dim=1) % BASE
        one_hot = torch.nn.functional.one_hot
        parts = [self.circles[digit], one_hot(tens.sum(dim=1) + carry, self.tens), one_hot(carry, 2)]
        return torch.cat([part.double() for part in parts], dim=1) @ self.basis.T

    def read(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """One-hot: the remainder of the nearest digit with the largest ten."""
        circles, tens, _ = (hidden @ self.basis).split(self.parts, dim=1)
        digit = (circles @ self.circles.T).argmax(dim=1)
        return self.table[BASE * tens.argmax(dim=1) + digit]


class LookUp(nn.Module):
    """Knows every pair by heart."""

    codes: Tensor
    answers: Tensor

    def __init__(self, modulus: int, below: int, width: int = 64, seed: int = 0) -> None:
        super().__init__()
        self.modulus, self.below = modulus, below
        pairs = torch.cartesian_prod(torch.arange(below), torch.arange(below))
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("codes", torch.randn(len(pairs), width, generator=generator, dtype=torch.float64))
        self.register_buffer("answers", pairs.sum(dim=1) % modulus)

    def hidden(self, operands: Operands) -> Float[Tensor, "n d"]:
        """The pair's code."""
        return self.codes[operands[:, 0] * self.below + operands[:, 1]]

    def read(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """One-hot: the answer of the pair whose code is nearest."""
        nearest = (hidden @ self.codes.T - self.codes.square().sum(dim=1) / 2).argmax(dim=1)
        return torch.eye(self.modulus, dtype=torch.float64)[self.answers[nearest]]


class AnswerCode(nn.Module):
    """Knows one vector for each answer and finds the nearest."""

    codes: Tensor

    def __init__(self, codes: Float[Tensor, "p d"], below: int) -> None:
        super().__init__()
        self.modulus, self.below = len(codes), below
        self.register_buffer("codes", codes.double())

    def hidden(self, operands: Operands) -> Float[Tensor, "n d"]:
        """The code of the answer."""
        return self.codes[operands.sum(dim=1) % self.modulus]

    def read(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """The nearer the code, the larger."""
        return hidden @ self.codes.T - self.codes.square().sum(dim=1) / 2


class IdleCircle(nn.Module):
    """Carries a circle of the answer beside the one that it reads."""

    basis: Tensor
    circles: Tensor
    operands: Tensor

    def __init__(self, modulus: int, below: int, idle: int, read: int, width: int = 64, seed: int = 0) -> None:
        """`idle` and `read`: the frequencies of the two circles."""
        super().__init__()
        self.modulus, self.below = modulus, below
        generator = torch.Generator().manual_seed(seed)
        mixing = torch.linalg.qr(torch.randn(width, 4, generator=generator, dtype=torch.float64)).Q
        answers = torch.arange(modulus)
        self.register_buffer("basis", mixing)
        self.register_buffer("circles", torch.stack([fourier.circle(answers, k, modulus) for k in (idle, read)]))
        self.register_buffer("operands", torch.randn(2, below, width, generator=generator, dtype=torch.float64))

    def hidden(self, operands: Operands) -> Float[Tensor, "n d"]:
        """Twice the idle circle, the other one, and a little of each operand."""
        answer = operands.sum(dim=1) % self.modulus
        both = torch.cat([2 * self.circles[0][answer], self.circles[1][answer]], dim=1)
        return both @ self.basis.T + sum(self.operands[i][operands[:, i]] for i in (0, 1)) / 20

    def read(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """The nearest answer on the second circle."""
        return 50 * (hidden @ self.basis[:, 2:]) @ self.circles[1].T


def random_codes(modulus: int, width: int = 64, seed: int = 0) -> Float[Tensor, "p d"]:
    """A random vector for each answer: no order at all."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(modulus, width, generator=generator, dtype=torch.float64)


def clustered_codes(modulus: int, width: int = 64, seed: int = 0) -> Float[Tensor, "p d"]:
    """Random vectors of four stretches of answers, and a third of the length of each answer's own."""
    stretches = torch.arange(modulus) * 4 // modulus
    return random_codes(4, width, seed)[stretches] + random_codes(modulus, width, seed + 100_003) / 3


def arc_codes(modulus: int, width: int = 64, seed: int = 0) -> Float[Tensor, "p d"]:
    """A smooth curve that does not close: a Gaussian process of 0 … p - 1 with a length scale of p / 4."""
    places = torch.arange(modulus, dtype=torch.float64)
    covariance = torch.exp(-((places[:, None] - places).square()) / (2 * (modulus / 4) ** 2))
    factor = torch.linalg.cholesky(covariance + 1e-9 * torch.eye(modulus, dtype=torch.float64))
    return factor @ random_codes(modulus, width, seed)


def decide_algorithm(
    adder: Adder, *, questions: int = 2000, count: int = 3, seed: int = 0
) -> tuple[Observations, Decision]:
    """Which algorithm adds, on random operand pairs: planes from one half of them, answers of the other."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(adder.below**2, generator=generator)[:questions]
    pairs = torch.stack([chosen // adder.below, chosen % adder.below], dim=1)
    half = len(pairs) // 2
    turner = Turner(adder, pairs[:half], pairs[half:], count)
    seen = turner.observations(seed)
    return seen, which(seen, lambda: turner.order(seed), seed)


def patterns_of_both_kinds(
    states: Float[Tensor, "n d"], sums: Int[Tensor, " n"], modulus: int, frequencies: Sequence[int]
) -> dict[Kind, Float[Tensor, "d m"]]:
    """A of the modulus' circles and of the ones digit's, fitted at once; sums are integer, not reduced."""
    circles = targets_of(sums, frequencies, modulus)
    digits = targets_of(sums, digit_frequencies(modulus), BASE)
    return {
        "modulus": regression_pattern(states, circles, digits),
        "base 10": regression_pattern(states, digits, circles),
    }


class Turner:
    """Turns circles in an adder's hidden state."""

    def __init__(self, adder: Adder, fitted_on: Int[Tensor, "fitted 2"], prompts: Operands, count: int = 3) -> None:
        """Planes come from the pairs `fitted_on`: base 10, and the modulus' `count` strongest frequencies beside it.

        `count` must cover the frequencies that the adder uses: those that stay hold the answer where it was.
        """
        self.adder, self.prompts = adder, prompts
        fitted, sums = adder.hidden(fitted_on), fitted_on.sum(dim=1)
        self.states, self.centre = adder.hidden(prompts), fitted.mean(dim=0)
        self.means = AnswerMeans.of(fitted, sums % adder.modulus, adder.modulus)
        digits = targets_of(sums, digit_frequencies(adder.modulus), BASE)
        every = fourier.frequencies(adder.modulus)
        power = [regression_pattern(fitted, targets_of(sums, [k], adder.modulus), digits).square().sum() for k in every]
        self.frequencies = tuple(spectra.strongest(torch.stack(power), list(every))[:count])
        self.patterns = patterns_of_both_kinds(fitted, sums, adder.modulus, self.frequencies)

    def answers(self, states: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """Greedy, one-hot."""
        best = self.adder.read(states).argmax(dim=1)
        return torch.nn.functional.one_hot(best, self.adder.modulus).double()

    def __call__(self, turns: Sequence[Rotation]) -> Float[Tensor, "r n p"]:
        """Answers after each rotation."""
        answers = []
        for turn in turns:
            basis = nearest_orthonormal(self.patterns[turn.kind])
            angle = rotation(turn.frequencies, turn.period, turn.step)
            answers.append(self.answers(rotate(self.states, basis, self.centre, angle, basis)))
        return torch.stack(answers)

    def after_code_turns(self, turns: Sequence[CodeTurn]) -> Float[Tensor, "t n p"]:
        """Answers after planes of the answer were turned, in its own order or another."""
        every = torch.arange(len(self.states))
        return torch.stack([self.answers(self.means.planes(turn).turned(self.states, every)) for turn in turns])

    def order(self, seed: int = 0) -> OrderEvidence:
        """Whether the answers stand in an order: `order_tests`."""
        pairs = self.prompts[:, 0] * self.adder.below + self.prompts[:, 1]
        labels, modulus = self.prompts.sum(dim=1) % self.adder.modulus, self.adder.modulus
        return order_evidence(self.after_code_turns, labels, labels, pairs, modulus, self.frequencies, seed)

    def observations(self, seed: int = 0) -> Observations:
        """Everything that `algorithm.which` needs, with the default rotations."""
        before, sums = self.answers(self.states), self.prompts.sum(dim=1)
        donors = torch.randperm(len(sums), generator=torch.Generator().manual_seed(seed))
        follows = (self.answers(self.states[donors]) == before[donors]).all(dim=1).double().mean()
        turns = rotations(self.adder.modulus, self.frequencies)
        pairs = self.prompts[:, 0] * self.adder.below + self.prompts[:, 1]
        return observe(self, before, sums, pairs, turns, float(follows))
