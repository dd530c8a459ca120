"""One network for every modulus: a, b and p go in as vectors, the answer comes out as a number's vector.

    x      = T[a] + T[b] + S[p]                      T = F E (numbers), S = φ P (moduli)
    block  : (u, v) = RMSNorm(x) W_in + b_in,  x += (u ⊙ v) W_out + b_out
    logits = 4 RMSNorm(x) W_U Fᵀ / |F_n|             one for every number 0 … 198

φ(n) = [cos w_j n, sin w_j n], w_j = 2π / period_j, J periods: a geometric progression and a slow one. The modulus is
always written so, with few sinusoids: what they say of 108 moduli cannot be learnt by heart. F, (numbers, f), says
how operands and answers are written, and is not trained:

    encoding    F = φ: no number has a weight of its own, so none is untrained
    digits      F = one 1 for each of the hundreds, the tens and the ones: thirty rows of weights
    rotations   F = φ, and adding is turning, e^{iw(a+b-p)} = e^{iwa} e^{iwb} e^{-iwp}: x = φ(a + b) E + φ(a + b - p) P.
                Addition is given; what is learnt is when to reduce, and how to read the answer
    tokens      F = 1: a row a number, as published; those of numbers that training never shows are never trained

Neurons are products of two linear forms of the stream (the bilinear layer of Shazeer 2020, 2002.05202), because a
product turns cos wa, cos wb into cos w(a + b) without having to learn what a product is. Attention is left out: only
"=" is read and each place holds one thing, so it would only add what is added here; and T is one table, so that a
question and its mirror image (b, a) are one. Shapes: n questions, N numbers, d stream, m neurons.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot, rms_norm

from toy.universal.config import LARGEST, UniversalConfig

LOGIT_SCALE = 4.0
"""Logits of a fresh network vary this much: AdamW would take long to grow them, weights being of unit size."""

SLOWEST = 400.0
"""Period of the sinusoid that tells large from small: no two sums look alike, and a + b - p is within half a turn."""

Questions = Int[Tensor, "n 3"]
"""Modulus, a, b."""


def encoding(numbers: Int[Tensor, " N"], count: int, longest_turn: float) -> Float[Tensor, "N two_count"]:
    """φ: sinusoids of count - 1 periods from 2 to `longest_turn`, and of SLOWEST; every row has length √count."""
    turns = 2 * (longest_turn / 2) ** (torch.arange(count - 1, dtype=torch.float64) / (count - 2))
    angles = numbers.double()[:, None] * (2 * math.pi / torch.cat([turns, torch.tensor([SLOWEST]).double()]))
    return torch.cat([angles.cos(), angles.sin()], dim=1).float()


def written(config: UniversalConfig) -> Float[Tensor, "N f"]:
    """F: how each number is written."""
    numbers = torch.arange(LARGEST)
    if config.numbers in ("encoding", "rotations"):
        return encoding(numbers, config.frequencies, config.longest_turn)
    if config.numbers == "tokens":
        return torch.eye(LARGEST)
    digits = torch.stack([numbers // 100, numbers // 10 % 10, numbers % 10], dim=1)
    return one_hot(digits, 10).flatten(1).float()


class Bilinear(nn.Module):
    """A block's neurons."""

    def __init__(self, d_model: int, d_mlp: int, generator: torch.Generator) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(d_model))
        self.W_in = _normal((d_model, 2 * d_mlp), generator)
        self.b_in = nn.Parameter(torch.zeros(2 * d_mlp))
        self.W_out = _normal((d_mlp, d_model), generator)
        self.b_out = nn.Parameter(torch.zeros(d_model))

    def neurons(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """u ⊙ v."""
        u, v = (rms_norm(x, x.shape[1:], self.gain) @ self.W_in + self.b_in).chunk(2, dim=1)
        return u * v

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return x + self.neurons(x) @ self.W_out + self.b_out


class Universal(nn.Module):
    """The network."""

    features: Float[Tensor, "N f"]
    turns: Float[Tensor, "turns two_count"]

    def __init__(self, config: UniversalConfig) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(config.seed)
        d_model, features = config.d_model, written(config)
        # From -LARGEST, the least a + b - p, to above the largest sum: number n is row LARGEST + n.
        turns = encoding(torch.arange(-LARGEST, 2 * LARGEST), config.frequencies, config.longest_turn)
        self.register_buffer("features", features, persistent=False)
        self.register_buffer("turns", turns, persistent=False)
        self.turning = config.numbers == "rotations"
        self.length = float(features[0].norm())
        # A stream of unit variance, however long the features are.
        self.E = _normal((features.shape[1], d_model), generator, self.length)
        self.P = _normal((turns.shape[1], d_model), generator, math.sqrt(config.frequencies))
        self.blocks = nn.ModuleList(Bilinear(d_model, config.d_mlp, generator) for _ in range(config.n_blocks))
        self.gain = nn.Parameter(torch.ones(d_model))
        self.W_U = _normal((d_model, features.shape[1]), generator)

    @property
    def embedding(self) -> Float[Tensor, "N d"]:
        """T, a row a number."""
        return self.features @ self.E

    @property
    def unembedding(self) -> Float[Tensor, "d N"]:
        """4 W_U Fᵀ / |F_n|, a column a number."""
        return self.W_U @ self.features.T * (LOGIT_SCALE / self.length)

    @property
    def last(self) -> Bilinear:
        """The last block."""
        block = self.blocks[-1]
        assert isinstance(block, Bilinear)
        return block

    def stream(self, questions: Questions) -> Float[Tensor, "n d"]:
        """x in front of the last block."""
        modulus, a, b = questions.T
        numbers, turned = self.embedding, self.turns @ self.P
        if self.turning:
            x = (self.turns @ self.E)[LARGEST + a + b] + turned[LARGEST + a + b - modulus]
        else:
            x = numbers[a] + numbers[b] + turned[LARGEST + modulus]
        for block in self.blocks[:-1]:
            x = block(x)
        return x

    def neurons(self, questions: Questions) -> Float[Tensor, "n m"]:
        """Those of the last block."""
        return self.last.neurons(self.stream(questions))

    def forward(self, questions: Questions) -> Float[Tensor, "n N"]:
        """Logits of every number."""
        x = self.last(self.stream(questions))
        return rms_norm(x, x.shape[1:], self.gain) @ self.unembedding


def answers(questions: Questions) -> Int[Tensor, " n"]:
    """(a + b) mod p."""
    return (questions[:, 1] + questions[:, 2]) % questions[:, 0]


def pairs(modulus: int, below: int | None = None) -> Questions:
    """All questions a ≤ b < `below` (by default the modulus) of one modulus; the others are their mirror images."""
    both = torch.triu_indices(below or modulus, below or modulus)
    return torch.cat([torch.full_like(both[:1], modulus), both]).T


def _normal(shape: tuple[int, int], generator: torch.Generator, scale: float | None = None) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape, generator=generator) / (scale or math.sqrt(shape[0])))
