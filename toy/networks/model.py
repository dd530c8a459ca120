"""The networks: the one-layer transformer whose circuit is known, deeper ones, and the MLP.

A question is n operand tokens from Z_p; the transformer reads them with "=" (token p) behind and answers at "=".

    x_i    = W_E[t_i] + W_pos[i]                              stream, (n_rows, position, d_model), no LayerNorm
    block  : x += Σ_h softmax(q k / √d_head) v W_O,  x += act(x W_in + b_in) W_out + b_out,   causal attention
    logits = x_last W_U

Weights act from the right (x @ W) and are drawn as in Nanda et al. 2023 (2301.05217): N(0, 1/d_model), W_U
N(0, 1/number of tokens), biases zero. The MLP (seed 003; Gromov 2301.02679 with `square` and fixed weights) has
    logits = act(Σ_i W_E[t_i] W_in[i] + b_in) W_out + b_out.

Both answer `logits`, `neurons`, `W_L` (what a neuron writes to the logits) and `embedding` in one way, so that a
measurement need not know which it is given. `attention` is the transformer's own.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from toy.config import ToyConfig
from toy.networks.tasks import checked_modulus, named
from toy.run.errors import InputError

Operands = Int[Tensor, "n operands"]


class Attention(nn.Module):
    """Causal multi-head attention without biases."""

    def __init__(self, d_model: int, n_heads: int, generator: torch.Generator) -> None:
        super().__init__()
        d_head = d_model // n_heads
        for name in ("W_Q", "W_K", "W_V"):
            setattr(self, name, _normal((n_heads, d_model, d_head), d_model, generator))
        self.W_O = _normal((n_heads, d_head, d_model), d_model, generator)

    def pattern(self, x: Float[Tensor, "n pos d"]) -> Float[Tensor, "n heads pos pos"]:
        """How much each position (third) reads from each (fourth)."""
        query = torch.einsum("npd,hde->nhpe", x, self.W_Q)
        key = torch.einsum("npd,hde->nhpe", x, self.W_K)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
        return scores.masked_fill(future, -torch.inf).softmax(-1)

    def forward(self, x: Float[Tensor, "n pos d"]) -> Float[Tensor, "n pos d"]:
        value = torch.einsum("npd,hde->nhpe", x, self.W_V)
        return torch.einsum("nhpe,hed->npd", self.pattern(x) @ value, self.W_O)


class Neurons(nn.Module):
    """The block's MLP."""

    def __init__(self, d_model: int, d_mlp: int, activation: str, generator: torch.Generator) -> None:
        super().__init__()
        self.W_in = _normal((d_model, d_mlp), d_model, generator)
        self.b_in = nn.Parameter(torch.zeros(d_mlp))
        self.W_out = _normal((d_mlp, d_model), d_model, generator)
        self.b_out = nn.Parameter(torch.zeros(d_model))
        self.activation = activation

    def activations(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n m"]:
        """The neurons, after the activation function."""
        return activate(x @ self.W_in + self.b_in, self.activation)

    def forward(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return self.activations(x) @ self.W_out + self.b_out


class Block(nn.Module):
    """Attention, then the MLP, each added to the stream."""

    def __init__(self, config: ToyConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.attn = Attention(config.d_model, config.n_heads, generator)
        self.mlp = Neurons(config.d_model, config.d_mlp, config.activation, generator)

    def forward(self, x: Float[Tensor, "n pos d"]) -> Float[Tensor, "n pos d"]:
        x = x + self.attn(x)
        return x + self.mlp(x)


class Transformer(nn.Module):
    """Embedding, blocks, unembedding; the answer is read at the last position."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        check_shape(config)
        generator = torch.Generator().manual_seed(config.seed)
        self.modulus, positions = config.modulus, named(config.task).n_operands + 1
        tokens, outputs = config.modulus + 1, config.modulus + config.equals_logit
        self.W_E = _normal((tokens, config.d_model), config.d_model, generator)
        self.W_pos = _normal((positions, config.d_model), config.d_model, generator)
        self.blocks = nn.ModuleList(Block(config, generator) for _ in range(config.n_layers))
        self.W_U = _normal((config.d_model, outputs), outputs, generator)

    @property
    def embedding(self) -> Float[Tensor, "p d"]:
        """One row a number; "=" is left out."""
        return self.W_E[: self.modulus]

    @property
    def unembedding(self) -> Float[Tensor, "d p"]:
        """W_U without "="."""
        return self.W_U[:, : self.modulus]

    @property
    def W_L(self) -> Float[Tensor, "m p"]:
        """W_out W_U of the last block: what one unit of a neuron adds to each logit."""
        return self.last.mlp.W_out @ self.unembedding

    @property
    def last(self) -> Block:
        """The last block."""
        block = self.blocks[-1]
        assert isinstance(block, Block)
        return block

    def embed(self, operands: Operands) -> Float[Tensor, "n pos d"]:
        """The stream before the first block."""
        equals = torch.full_like(operands[:, :1], self.modulus)
        return self.W_E[torch.cat([operands, equals], dim=1)] + self.W_pos

    def forward(self, operands: Operands) -> Float[Tensor, "n v"]:
        """Logits, "=" included if the model has a logit for it."""
        x = self.embed(operands)
        for block in self.blocks:
            x = block(x)
        return x[:, -1] @ self.W_U

    def neurons(self, operands: Operands) -> Float[Tensor, "n m"]:
        """Neurons of the last block at the last position."""
        x = self.embed(operands)
        for block in self.blocks[:-1]:
            x = block(x)
        return self.last.mlp.activations((x + self.last.attn(x))[:, -1])

    def attention(self, operands: Operands) -> Float[Tensor, "n heads pos"]:
        """How much "=" reads from each position, in the first block."""
        first = self.blocks[0]
        assert isinstance(first, Block)
        return first.attn.pattern(self.embed(operands))[:, :, -1]


class MLP(nn.Module):
    """One embedding for all operands, one hidden layer."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        check_shape(config)
        generator = torch.Generator().manual_seed(config.seed)
        self.modulus, self.activation = config.modulus, config.activation
        n_operands, d_model = named(config.task).n_operands, config.d_model
        self.W_E = _normal((config.modulus, d_model), d_model, generator)
        self.W_in = _normal((n_operands, d_model, config.d_mlp), n_operands * d_model, generator)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = _normal((config.d_mlp, config.modulus), config.d_mlp, generator)
        self.b_out = nn.Parameter(torch.zeros(config.modulus))

    @property
    def embedding(self) -> Float[Tensor, "p d"]:
        """One row a number."""
        return self.W_E

    @property
    def unembedding(self) -> Float[Tensor, "m p"]:
        """The output map; here it is W_L itself."""
        return self.W_out

    @property
    def W_L(self) -> Float[Tensor, "m p"]:
        """What one unit of a neuron adds to each logit."""
        return self.W_out

    def neurons(self, operands: Operands) -> Float[Tensor, "n m"]:
        """The hidden layer."""
        # One product per number and position instead of one per row: the first layer is linear before the sum.
        parts = self.W_E @ self.W_in
        hidden = sum((part[operands[:, place]] for place, part in enumerate(parts)), start=self.b_in)
        assert isinstance(hidden, Tensor)
        return activate(hidden, self.activation)

    def forward(self, operands: Operands) -> Float[Tensor, "n p"]:
        """Logits."""
        return self.neurons(operands) @ self.W_out + self.b_out


Toy = Transformer | MLP


def build(config: ToyConfig) -> Toy:
    """A network with freshly drawn weights, a function of the configuration's seed.

    Raises InputError for an unknown task, a modulus below 3, or sizes that do not fit together.
    """
    return Transformer(config) if config.architecture == "transformer" else MLP(config)


def build_untrained(config: ToyConfig, seed: int) -> tuple[Toy, ToyConfig]:
    """The same architecture with fresh weights, and its configuration: the control of every measurement.

    Its seed is far from those of any sweep, so that it is never the network itself at step 0.
    """
    fresh = replace(config, seed=1_000_003 + seed)
    return build(fresh).requires_grad_(False), fresh


def activate(x: Float[Tensor, "*n m"], activation: str) -> Float[Tensor, "*n m"]:
    """ReLU or the square."""
    return x.relu() if activation == "relu" else x.square()


def check_shape(config: ToyConfig) -> None:
    """Raises InputError if the sizes cannot make a network."""
    checked_modulus(config.modulus)
    for name in ("n_layers", "d_model", "n_heads", "d_mlp"):
        if getattr(config, name) < 1:
            raise InputError(f"{name} is {getattr(config, name)}: give 1 or more")
    if config.architecture == "transformer" and config.d_model % config.n_heads:
        raise InputError(
            f"d_model {config.d_model} cannot be shared by {config.n_heads} heads: give a multiple of them"
        )


def _normal(shape: tuple[int, ...], fan: int, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape, generator=generator) / math.sqrt(fan))
