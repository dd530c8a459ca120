"""Gromov's network: modular addition solved by weights that are written down, not trained (2301.02679, eq. 6 to 9).

An MLP with the square as activation. Frequency k has nine neurons, one per pair of phases φ, ψ in {0, 2π/3, 4π/3}.
With positions a, b, c on the circle of n tokens and w_k = 2πk/n:

    neuron = (cos(w_k a + φ) + cos(w_k b + ψ))²,     its weight to output c = scale · cos(w_k c + φ + ψ)

The square holds cos(w_k(a + b) + φ + ψ) and, beside it, a constant, two doubles cos(2 w_k a + 2φ), cos(2 w_k b + 2ψ)
and cos(w_k(a - b) + φ - ψ). Multiplied by the output weight and summed over φ and ψ every term that keeps a phase
vanishes, because Σ_φ e^{imφ} = 0 unless 3 divides m; what stays is exact, where Gromov's random phases only average:

    logits = 9/2 · scale · Σ_k cos w_k(a + b - c)

It is the positive control: every measurement of this package has a value here that can be worked out by hand.

The embedding holds the circles, g_k cos w_k t and g_k sin w_k t for token t, and W_in makes the phases (`one_hot`:
the identity, and W_in holds everything). Amplitudes g_k fall from √2 towards 1, so that the principal components of
the embedding are single circles; W_in takes them back.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from toy.config import ToyConfig
from toy.maths import fourier
from toy.networks.model import MLP
from toy.networks.tasks import circle_order, named
from toy.run.errors import InputError

PHASES = tuple(itertools.product((0.0, 2 * math.pi / 3, 4 * math.pi / 3), repeat=2))
"""(φ, ψ) of the nine neurons of a frequency."""


def gromov(
    modulus: int, frequencies: Sequence[int] | None = None, scale: float = 1.0, task: str = "add", one_hot: bool = False
) -> tuple[MLP, ToyConfig]:
    """The network and the configuration that describes it; all frequencies unless some are given.

    For a task of another group (`subtract`, `multiply`, `divide`) the same weights lie along its circle; a token
    that is not on it (0 in multiplication) has no weights. The network is in float64.

    Raises InputError if the task is no cyclic group of two operands, or a frequency is not between 1 and n/2.
    """
    tokens, rows = circle_order(task, modulus), named(task)
    n = len(tokens)
    chosen = list(fourier.frequencies(n)) if frequencies is None else list(frequencies)
    if rows.group is None or rows.n_operands != 2:
        raise InputError(f"{task} has no closed form: choose add, subtract, multiply or divide")
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(fourier.frequencies(n)):
        raise InputError(f"frequencies {chosen} cannot be used: give different ones from 1 to {n // 2}")
    if rows.group == "multiplicative" and not torch.equal(tokens * tokens[1] % modulus, tokens.roll(-1)):
        raise InputError(f"the units modulo {modulus} form no cycle, so {task} has no circle: choose a prime modulus")
    embedding, into = _circles(n, chosen, rows.signs)
    if one_hot:
        embedding, into = torch.eye(n, dtype=torch.float64), embedding @ into
    config = ToyConfig(
        task=task,
        modulus=modulus,
        architecture="mlp",
        d_model=embedding.shape[1],
        d_mlp=9 * len(chosen),
        activation="square",
    )
    model = MLP(config).double().requires_grad_(False)
    model.W_E.zero_()[tokens] = embedding
    model.W_in.copy_(into)
    phases = itertools.product(chosen, PHASES)  # cos(w_k c + φ + ψ), one row a neuron
    rows_out = [(fourier.angles(torch.arange(n), k, n) + first + second).cos() for k, (first, second) in phases]
    model.W_out.zero_()[:, tokens] = scale * torch.stack(rows_out)
    return model.eval(), config


def _circles(
    n: int, frequencies: Sequence[int], signs: Sequence[int]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "operands d m"]]:
    """(embedding, W_in): cos(w t + φ) = cos w t cos φ - sin w t sin φ; a minus sign turns the second circle round."""
    amplitudes = [math.sqrt(2 - index / len(frequencies)) for index in range(len(frequencies))]
    columns, into = [], torch.zeros(2, 2 * len(frequencies), 9 * len(frequencies), dtype=torch.float64)
    for index, (frequency, amplitude) in enumerate(zip(frequencies, amplitudes, strict=True)):
        columns.append(amplitude * fourier.circle(torch.arange(n), frequency, n))
        for operand, neuron in itertools.product(range(2), range(9)):
            phase = PHASES[neuron][operand]
            turn = torch.tensor([math.cos(phase), -signs[operand] * math.sin(phase)], dtype=torch.float64)
            into[operand, 2 * index : 2 * index + 2, 9 * index + neuron] = turn / amplitude
    return torch.cat(columns, dim=1), into
