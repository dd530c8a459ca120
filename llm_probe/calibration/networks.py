"""Random ReLU networks that see a question but were never trained: states for which no claim may be supported.

A network sees what any tokenizer could show it and more: the magnitudes of a, b, n = a op b and the modulus, their
decimal digits (a random vector for each digit and place), and the template. An item that is a word is a random vector
of its own, without a magnitude, and then there is no n. Two ReLU layers mix them,

    x   = [magnitudes, digits, words, template] · random gains      gains: how much of each kind, log-uniform
    h_1 = relu(x W_1 + b_1),  h_2 = relu(h_1 W_2 + b_2)
    cells: h_1 U_1 and h_2 U_2, each (N, d)

so its states are smooth in the magnitudes or ragged in the digits as the gains fall, they hold the sum itself, and
they mix a with b and with the modulus. What they do not hold is a residue.

`plant` adds a known signal: amplitude · s · (cos θ u + sin θ v) with θ = 2πk(n mod p)/p, s the root mean square of the
cell's dimensions about their mean, u and v orthonormal directions (a rotated plane) or u one dimension alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.questions.claims import Claim
from llm_probe.questions.prompts import Prompt
from toy.maths import fourier

WIDTH, CELLS, VECTOR = 256, 2, 16
PLACES = 3
"""Digits an operand, the result or the modulus may have."""
WORDS, TEMPLATES = 32, 16
"""Items and templates a domain may have."""
Unit = Literal["plane", "dimension"]


@dataclass(frozen=True)
class Planted:
    """A signal of known size."""

    amplitude: float
    """In standard deviations of the cell's dimensions."""
    frequency: int = 1
    unit: Unit = "plane"
    everywhere: bool = True
    """Under every modulus of the family, each at its own period; else under the claim's alone."""


class MagnitudeNetwork:
    """One untrained network; its states are a function of the prompt and the seed alone."""

    def __init__(self, seed: int, d_model: int = 64) -> None:
        self.seed, self.d_model = seed, d_model
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        self.gains = torch.exp(torch.empty(4).uniform_(-1.5, 1.5, generator=generator))
        self.digits = normal(4, PLACES, 10, VECTOR)
        self.words, self.templates = normal(WORDS, 2 * VECTOR), normal(TEMPLATES, VECTOR)
        inputs = 4 + 4 * PLACES * VECTOR + 2 * VECTOR + VECTOR
        self.first, self.first_bias = normal(inputs, WIDTH) / VECTOR, normal(WIDTH) / 2
        self.second, self.second_bias = normal(WIDTH, WIDTH) * (2 / WIDTH) ** 0.5, normal(WIDTH) / 2
        self.out = normal(CELLS, WIDTH, d_model) / WIDTH**0.5

    def states(self, claim: Claim, prompts: Sequence[Prompt]) -> Float[Tensor, "n cells d"]:
        """What it makes of these prompts, float32."""
        texts = claim.domain.questions if claim.quantity == "sum" else claim.domain.statements
        names = list(texts)
        template = torch.tensor([names.index(prompt.template) for prompt in prompts])
        numbers = _numbers(claim, prompts)
        # A negative number is one that the prompt does not hold.
        held = (numbers >= 0).float()
        magnitudes = (numbers.float() / torch.tensor([50.0, 50.0, 100.0, 20.0]) - 1) * held
        parts = [magnitudes * self.gains[0] * 4]
        for column in range(4):
            for place in range(PLACES):
                digit = (numbers[:, column].clamp_min(0) // 10**place) % 10
                parts.append(self.digits[column, place][digit] * held[:, column, None] * self.gains[1])
        word = torch.tensor([prompt.first for prompt in prompts]) % WORDS
        parts.append(self.words[word] * self.gains[2] * float(not claim.renames_digits))
        parts.append(self.templates[template] * self.gains[3])
        hidden = (torch.cat(parts, dim=1) @ self.first + self.first_bias).relu()
        deeper = (hidden @ self.second + self.second_bias).relu()
        return torch.stack([hidden @ self.out[0], deeper @ self.out[1]], dim=1)


def _numbers(claim: Claim, prompts: Sequence[Prompt]) -> Int[Tensor, "n four"]:
    """First operand, second, result and modulus of every prompt; -1 where it is no number or not there."""
    domain, columns = claim.domain, []
    numbers, added, is_sum = claim.renames_digits, claim.adds_numbers, claim.quantity == "sum"
    asks = {name for name, text in domain.questions.items() if claim.is_arithmetic and "{modulus}" in text}
    for prompt in prompts:
        first = int(domain.first_text(prompt.first)) if numbers else -1
        offset = prompt.offset if is_sum else -1
        total = first + offset if added and domain.operation == "add" else prompt.total
        modulus = domain.period if prompt.template in asks else -1
        columns.append((first, offset, abs(total) if added else -1, modulus))
    return torch.tensor(columns)


def plant(
    states: Float[Tensor, "n cells d"], label: Int[Tensor, " n"], period: int, planted: Planted, seed: int
) -> Float[Tensor, "n cells d"]:
    """The states with a signal added to the last cell; its directions are a function of the seed."""
    d = states.shape[2]
    generator = torch.Generator().manual_seed(seed)
    if planted.unit == "plane":
        directions = torch.linalg.qr(torch.randn(d, 2, generator=generator)).Q.T
    else:
        directions = torch.zeros(2, d)
        directions[0, int(torch.randint(d, (), generator=generator))] = 1
    last = states[:, -1]
    scale = float((last - last.mean(dim=0)).square().mean().sqrt())
    circle = fourier.circle(label, planted.frequency, period).float()
    result = states.clone()
    result[:, -1] += planted.amplitude * scale * (circle @ directions)
    return result
