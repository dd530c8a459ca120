"""Sums of many digits as text, and the transformers that continue it.

    prompt  a+b        answer  =d₁d₂…        target  d₁d₂…$        a token a character, no number filled with zeros

Fields are as wide as the longest number of the batch; what is left of them is PAD, which no attention sees. A place
is the number of the character in the text (`absolute`), or the number of the digit within its number (`abacus`), from
a random start s in training. A mark has no place there: with place s (`abacus-marks`) it would say where its number
starts, and "six digits, then the end" can be learnt instead of "no digits and no carry left, then the end".

    prompt  1 2 3 + 4 5    answer  = 6 8 3        places  s+1 s+2 s+3 0 s+1 s+2   0 s+1 s+2 s+3

    block  x += Attention(norm x)   [x += Attention(norm x, memory)]   x += relu(norm x W_in + b) W_out

An unordered pair {a, b} is held out if a hash of it says so: a property of the pair, whatever is drawn, so no training
set can hold one, nor its mirror image. Shapes: n pairs, w digits of the longest operand, t characters, d stream.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, relu, rms_norm, scaled_dot_product_attention

from toy.addition.config import AdditionConfig

PLUS, EQUALS, END, PAD = 10, 11, 12, 13
CHARACTERS = "0123456789+=$_"
PAIRS_AT_ONCE = 512
LONGEST = 64
"""Rows of the table of places."""

Pairs = Int[Tensor, "n 2"]


def digits_of(numbers: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """How many digits each number has; 0 has one."""
    powers = 10 ** torch.arange(1, 18)
    return 1 + (numbers[:, None] >= powers).sum(1)


def written(numbers: Int[Tensor, " n"], width: int, order: str) -> Int[Tensor, "n width"]:
    """Each number's digits from the left of its field, the rest PAD."""
    places, length = torch.arange(width), digits_of(numbers)[:, None]
    power = places.expand(len(numbers), -1) if order == "reversed" else length - 1 - places
    digits = numbers[:, None] // 10 ** power.clamp(min=0, max=17) % 10
    return torch.where(places < length, digits, PAD)


def prompts(pairs: Pairs, order: str) -> Int[Tensor, "n t"]:
    """a+b, t = 2w + 1."""
    width = int(digits_of(pairs.max().reshape(1)))
    a, b = (written(numbers, width, order) for numbers in pairs.T)
    return torch.cat([a, torch.full_like(a[:, :1], PLUS), b], dim=1)


def targets(pairs: Pairs, order: str) -> Int[Tensor, "n t"]:
    """The sum and END, t = w + 2."""
    total = pairs.sum(1)
    text = written(total, int(digits_of(pairs.max().reshape(1))) + 2, order)
    return text.scatter(1, digits_of(total)[:, None], END)


def held_out(pairs: Pairs, share: float, seed: int) -> Bool[Tensor, " n"]:
    """Whether the unordered pair {a, b} belongs to the held-out share (mixing as in splitmix64, modulo 2^64)."""
    low, high = pairs.min(1).values, pairs.max(1).values
    mixed = low * 0x1E3779B97F4A7C15 + high * 0x3F58476D1CE4E5B9 + (seed + 1) * 0x14D049BB133111EB
    for factor in (0x3F58476D1CE4E5B9, 0x14D049BB133111EB):
        mixed = (mixed ^ (mixed >> 29)) * factor
    return (mixed >> 32 & 0xFFFFFF) < share * 2**24


def draw(count: int, digits: tuple[Int[Tensor, " n"], Int[Tensor, " n"]], generator: torch.Generator) -> Pairs:
    """Pairs of numbers with exactly so many digits, uniform among them; a number of one digit may be 0."""
    sides = []
    for length in digits:
        least = torch.where(length == 1, 0, 10 ** (length - 1))
        unit = torch.rand(count, generator=generator, dtype=torch.float64)
        sides.append(least + (unit * (10**length - least)).long())
    return torch.stack(sides, dim=1)


class Attention(nn.Module):
    """Heads that attend to `memory`, or to the stream itself."""

    def __init__(self, config: AdditionConfig, generator: torch.Generator) -> None:
        super().__init__()
        d = config.d_model
        self.n_heads = config.n_heads
        self.gain = nn.Parameter(torch.ones(d))
        self.W_Q, self.W_K, self.W_V, self.W_O = (_normal(d, d, generator) for _ in range(4))

    def forward(
        self, x: Float[Tensor, "n t d"], seen: Bool[Tensor, "n 1 t s"], memory: Float[Tensor, "n s d"] | None = None
    ) -> Float[Tensor, "n t d"]:
        q, k, v = self._heads(x, memory)
        z = scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return linear(z.transpose(1, 2).flatten(2), self.W_O)

    def weights(
        self, x: Float[Tensor, "n t d"], seen: Bool[Tensor, "n 1 t s"], memory: Float[Tensor, "n s d"] | None = None
    ) -> Float[Tensor, "n h t s"]:
        """How much each head of `forward` attends to each place; rows sum to 1."""
        q, k, _ = self._heads(x, memory)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
        return scores.masked_fill(~seen, -math.inf).softmax(3)

    def _heads(self, x: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (n, h, t, d/h), keys and values (n, h, s, d/h)."""
        inside = rms_norm(x, x.shape[2:], self.gain)
        source = inside if memory is None else memory
        q, k, v = (
            linear(part, weight).unflatten(2, (self.n_heads, -1)).transpose(1, 2)
            for part, weight in ((inside, self.W_Q), (source, self.W_K), (source, self.W_V))
        )
        return q, k, v


class Block(nn.Module):
    """Attention, cross-attention if there is an encoder to attend to, neurons."""

    def __init__(self, config: AdditionConfig, generator: torch.Generator, *, crosses: bool) -> None:
        super().__init__()
        self.attention = Attention(config, generator)
        self.cross = Attention(config, generator) if crosses else None
        self.gain = nn.Parameter(torch.ones(config.d_model))
        self.W_in = _normal(config.d_mlp, config.d_model, generator)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = _normal(config.d_model, config.d_mlp, generator)
        self.neurons = nn.Identity()
        """Nothing but a place for a hook."""

    def forward(
        self,
        x: Float[Tensor, "n t d"],
        seen: Bool[Tensor, "n 1 t t"],
        memory: Float[Tensor, "n s d"] | None = None,
        memory_seen: Bool[Tensor, "n 1 1 s"] | None = None,
    ) -> Float[Tensor, "n t d"]:
        x = x + self.attention(x, seen)
        if self.cross is not None and memory_seen is not None:
            x = x + self.cross(x, memory_seen.expand(-1, -1, x.shape[1], -1), memory)
        inside = linear(rms_norm(x, x.shape[2:], self.gain), self.W_in, self.b_in)
        return x + linear(self.neurons(relu(inside)), self.W_out)


class Addition(nn.Module):
    """The network."""

    def __init__(self, config: AdditionConfig) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(config.seed)
        d, both = config.d_model, config.shape == "encoder-decoder"
        self.W_E = _normal(len(CHARACTERS), d, generator, 1.0)
        self.W_pos = _normal(LONGEST, d, generator, 1.0)
        count = config.n_blocks if both else 0
        self.encoder = nn.ModuleList(Block(config, generator, crosses=False) for _ in range(count))
        self.decoder = nn.ModuleList(Block(config, generator, crosses=both) for _ in range(config.n_blocks))
        self.memory_gain = nn.Parameter(torch.ones(d))
        self.gain = nn.Parameter(torch.ones(d))
        self.W_U = _normal(len(CHARACTERS), d, generator)

    def forward(
        self, prompt: Int[Tensor, "n t"], answer: Int[Tensor, "n s"], start: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n s v"]:
        """Logits of the character after each of `answer`; `start` is the abacus' first place, else the middle one."""
        memory = memory_seen = None
        text = torch.cat([prompt, answer], dim=1)
        x = embedding(text, self.W_E) + embedding(self._places(prompt, answer, start), self.W_pos)
        if len(self.encoder):
            memory, x = x[:, : prompt.shape[1]], x[:, prompt.shape[1] :]
            memory_seen, text = (prompt != PAD)[:, None, None], answer
            for block in self.encoder:
                memory = block(memory, memory_seen.expand(-1, -1, prompt.shape[1], -1))
            memory = rms_norm(memory, memory.shape[2:], self.memory_gain)
        earlier = torch.ones(text.shape[1], text.shape[1], dtype=torch.bool, device=text.device).tril()
        seen = (text != PAD)[:, None, None] & earlier
        for block in self.decoder:
            x = block(x, seen, memory, memory_seen)
        x = x[:, -answer.shape[1] :]
        return linear(rms_norm(x, x.shape[2:], self.gain), self.W_U)

    def _places(self, prompt: Tensor, answer: Tensor, start: Tensor | None) -> Int[Tensor, "n t"]:
        if self.config.positions == "absolute":
            parts = (prompt, answer) if len(self.encoder) else (torch.cat([prompt, answer], dim=1),)
            return torch.cat([(part != PAD).cumsum(1).sub(1).clamp(min=0) for part in parts], dim=1)
        width = prompt.shape[1] // 2
        within = [torch.arange(1, width + 1), torch.arange(width + 1), torch.arange(answer.shape[1])]
        row = torch.cat(within).to(prompt.device).expand(len(prompt), -1)
        placed = row + (self.config.starts // 2 if start is None else start[:, None])
        return placed if self.config.positions == "abacus-marks" else placed * (row > 0)


def answer_of(target: Int[Tensor, "n t"]) -> Int[Tensor, "n t"]:
    """What the decoder reads when `target` is to be said: EQUALS, then the target without its last character."""
    return torch.cat([torch.full_like(target[:, :1], EQUALS), target[:, :-1]], dim=1)


def _normal(rows: int, columns: int, generator: torch.Generator, scale: float | None = None) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, columns, generator=generator) * (scale or 1 / math.sqrt(columns)))
