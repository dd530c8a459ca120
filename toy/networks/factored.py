"""The factored forward of the one-layer transformer: exact, and several times faster than reading every position.

Only "=" is read, its query is the same for every question, and keys and values depend on one token at one place. So
the attention of a question is a sum over tables with one row a number. With x_i,t = W_E[t] + W_pos[i], x_= for "=",
q_h = x_= W_Q,h / √d_head and e_h,i,t = exp(q_h · x_i,t W_K,h - max):

    z_h    = Σ_i e_h,i,t_i (x_i,t_i W_V,h) / Σ_i e_h,i,t_i          sum over operands and "="
    r      = act(z (W_O W_in) + b_in + x_= W_in)                     the neurons
    logits = r (W_out W_U) + z (W_O W_U) + (x_= + b_out) W_U

The products in brackets are taken once per step, not once per question: W_O W_in, W_L = W_out W_U, W_O W_U. What is
left per question is two matrix products (`_rows`), whose gradients are written out; the tables, small, are left to
autograd. A leading `seeds` axis holds several networks at once.

Shapes: S seeds, N questions, n operands, H = heads · d_head, h heads, m neurons, v logits.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

Weights = dict[str, Float[Tensor, "seeds ..."]]
"""Parameters of several networks of one shape, by the names of the module's parameters."""
ROWS_AT_ONCE = 2048
"""Questions per pass: their neurons (4 MB) stay near the processor, and long tables fit in memory."""


class Tables(NamedTuple):
    """What a question is put together from."""

    numbers: Float[Tensor, "S n p Hh"]
    """Per operand and number: e · value (H columns), then e (h columns)."""
    equals: Float[Tensor, "S Hh"]
    """The same for "="."""
    into: Float[Tensor, "S H m"]
    """W_O W_in."""
    bias_in: Float[Tensor, "S m"]
    from_neurons: Float[Tensor, "S m v"]
    """W_L."""
    from_heads: Float[Tensor, "S H v"]
    """W_O W_U."""
    bias_out: Float[Tensor, "S v"]


def tables(weights: Weights) -> Tables:
    """The tables of these networks, with a graph back to their weights; block 0 is the only one."""
    attention = {name: weights[f"blocks.0.attn.{name}"] for name in ("W_Q", "W_K", "W_V", "W_O")}
    mlp = {name: weights[f"blocks.0.mlp.{name}"] for name in ("W_in", "b_in", "W_out", "b_out")}
    embedding, place = weights["W_E"], weights["W_pos"]
    x = embedding[:, None, :-1] + place[:, :-1, None]
    x_equals = embedding[:, -1] + place[:, -1]
    query = torch.einsum("sd,shde->she", x_equals, attention["W_Q"]) / math.sqrt(attention["W_Q"].shape[-1])
    reader = torch.einsum("shde,she->shd", attention["W_K"], query)
    scores = torch.einsum("snpd,shd->snph", x, reader)
    scores_equals = torch.einsum("sd,shd->sh", x_equals, reader)
    largest = torch.maximum(scores.amax((1, 2)), scores_equals).detach()
    weight = (scores - largest[:, None, None]).exp()
    weight_equals = (scores_equals - largest).exp()
    value = torch.einsum("snpd,shde->snphe", x, attention["W_V"])
    value_equals = torch.einsum("sd,shde->she", x_equals, attention["W_V"])
    heads = attention["W_O"].flatten(1, 2)
    return Tables(
        numbers=torch.cat([(weight[..., None] * value).flatten(3), weight], dim=3),
        equals=torch.cat([(weight_equals[..., None] * value_equals).flatten(1), weight_equals], dim=1),
        into=heads @ mlp["W_in"],
        bias_in=mlp["b_in"] + torch.einsum("sd,sdm->sm", x_equals, mlp["W_in"]),
        from_neurons=mlp["W_out"] @ weights["W_U"],
        from_heads=heads @ weights["W_U"],
        bias_out=torch.einsum("sd,sdv->sv", x_equals + mlp["b_out"], weights["W_U"]),
    )


def logits(parts: Tables, operands: Int[Tensor, "S N n"], activation: str) -> Float[Tensor, "S N v"]:
    """What the network answers; no gradient."""
    with torch.no_grad():
        heads, _ = _attend(parts, operands)
        neurons = _activate(torch.baddbmm(parts.bias_in[:, None], heads, parts.into), activation)[1]
        return torch.baddbmm(parts.bias_out[:, None], neurons, parts.from_neurons).baddbmm_(heads, parts.from_heads)


def losses(
    parts: Tables, operands: Int[Tensor, "S N n"], answers: Int[Tensor, "S N"], activation: str, dtype: torch.dtype
) -> Float[Tensor, " S"]:
    """Mean cross-entropy of each network; `dtype` is the softmax' precision. Differentiable in the tables."""
    result = _Losses.apply(operands, answers, activation, dtype, *parts)
    assert isinstance(result, Tensor)
    return result


class _Losses(torch.autograd.Function):
    """The loss and, in the same pass over the questions, its gradient in every table."""

    @staticmethod
    def forward(ctx: Any, operands: Tensor, answers: Tensor, activation: str, dtype: torch.dtype, *parts: Tensor):
        given = Tables(*parts)
        gradient = Tables(*(torch.zeros_like(part) for part in parts))
        total = torch.zeros(operands.shape[0], dtype=dtype, device=operands.device)
        for start in range(0, operands.shape[1], ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            total += _rows(given, gradient, operands[:, rows], answers[:, rows], activation, dtype, operands.shape[1])
        ctx.save_for_backward(*gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor):
        (upstream,) = grad_outputs
        scaled = (part * upstream.to(part.dtype).view(-1, *[1] * (part.ndim - 1)) for part in ctx.saved_tensors)
        return None, None, None, None, *scaled


def _rows(
    parts: Tables,
    gradient: Tables,
    operands: Int[Tensor, "S N n"],
    answers: Int[Tensor, "S N"],
    activation: str,
    dtype: torch.dtype,
    count: int,
) -> Float[Tensor, " S"]:
    """These questions' share of the loss; their share of its gradient is added to `gradient`."""
    heads, normaliser = _attend(parts, operands)
    before, neurons = _activate(torch.baddbmm(parts.bias_in[:, None], heads, parts.into), activation)
    out = torch.baddbmm(parts.bias_out[:, None], neurons, parts.from_neurons).baddbmm_(heads, parts.from_heads)
    log_probability = out.to(dtype).log_softmax(2)
    right = answers[..., None]
    loss = -log_probability.gather(2, right)[..., 0].sum(1) / count
    d_out = (
        log_probability.exp_().scatter_add_(2, right, -torch.ones_like(right, dtype=dtype)).div_(count).to(out.dtype)
    )

    gradient.from_neurons.baddbmm_(neurons.mT, d_out)
    gradient.from_heads.baddbmm_(heads.mT, d_out)
    gradient.bias_out.add_(d_out.sum(1))
    d_before = _through_activation(d_out @ parts.from_neurons.mT, before, neurons, activation)
    gradient.into.baddbmm_(heads.mT, d_before)
    gradient.bias_in.add_(d_before.sum(1))
    d_heads = (d_out @ parts.from_heads.mT).baddbmm_(d_before, parts.into.mT)

    # z = numerator / normaliser per head, and both are sums of table rows.
    n_heads = normaliser.shape[2]
    d_numerator = d_heads.unflatten(2, (n_heads, -1)) / normaliser[..., None]
    d_normaliser = -(d_numerator * heads.unflatten(2, (n_heads, -1))).sum(3)
    d_sum = torch.cat([d_numerator.flatten(2), d_normaliser], dim=2)
    gradient.equals.add_(d_sum.sum(1))
    numbers = parts.numbers.shape[2]
    for place in range(operands.shape[2]):
        add_up = by_product if d_sum.is_cuda else by_index
        gradient.numbers[:, place].add_(add_up(operands[..., place], d_sum, numbers))
    return loss


def _attend(parts: Tables, operands: Int[Tensor, "S N n"]) -> tuple[Float[Tensor, "S N H"], Float[Tensor, "S N h"]]:
    """The heads' output z and its denominators."""
    seeds, _, numbers, width = parts.numbers.shape
    added = parts.equals[:, None].expand(seeds, operands.shape[1], width).clone()
    for place in range(operands.shape[2]):
        table = parts.numbers[:, place].reshape(-1, width)
        added += table.index_select(0, _in_all(operands[..., place], numbers)).view_as(added)
    n_inside = parts.into.shape[1]
    normaliser = added[..., n_inside:]
    heads = added[..., :n_inside].unflatten(2, (normaliser.shape[2], -1)) / normaliser[..., None]
    return heads.flatten(2), normaliser


def by_index(tokens: Int[Tensor, "S N"], rows: Float[Tensor, "S N w"], numbers: int) -> Float[Tensor, "S {numbers} w"]:
    """Sum of the rows of each number. The fastest way on a CPU."""
    width = rows.shape[2]
    target = torch.zeros(len(rows) * numbers, width, device=rows.device, dtype=rows.dtype)
    return target.index_add_(0, _in_all(tokens, numbers), rows.flatten(0, 1)).view(-1, numbers, width)


def by_product(
    tokens: Int[Tensor, "S N"], rows: Float[Tensor, "S N w"], numbers: int
) -> Float[Tensor, "S {numbers} w"]:
    """The same as a matrix product: on a GPU `index_add_` adds in any order, and a resumed run would drift."""
    chosen = (tokens[..., None] == torch.arange(numbers, device=tokens.device)).to(rows.dtype)
    return chosen.mT @ rows


def _in_all(tokens: Int[Tensor, "S N"], numbers: int) -> Int[Tensor, " SN"]:
    """Rows of the seeds' tables laid end to end."""
    return (tokens + torch.arange(len(tokens), device=tokens.device)[:, None] * numbers).flatten()


def _activate(before: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    """(before, after); ReLU works in place, as its gradient can be read off its output."""
    if activation == "relu":
        after = before.relu_()
        return after, after
    return before, before.square()


def _through_activation(d_after: Tensor, before: Tensor, after: Tensor, activation: str) -> Tensor:
    if activation == "relu":
        # In place: another buffer of this size is a pass over the memory more.
        return torch.ops.aten.threshold_backward.grad_input(d_after, after, 0, grad_input=d_after)
    return d_after.mul_(before).mul_(2)
