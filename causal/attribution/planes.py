"""Which components write the planes of a circle, and what the planes write into the answer's logits.

Writers: the coordinates y = Wᵀh (directions) are a sum over the embedding and every component's output Δ_c, since
the stream is; so the share of their variance that a component writes is

    share_c = Σ_m cov(w_mᵀ Δ_c, y_m) / Σ_m var(y_m)          Σ_c share_c + share of the embedding = 1

and is negative where it writes against the rest. Where a norm stands between heads and stream they have no share.

Direct logit attribution: the last block's state h_L becomes logits by U (g ⊙ C h_L / σ(h_L) + b), U the vocabulary's
rows, g and b the final norm's gain and offset, C its centring (LayerNorm) or 1 (RMSNorm), σ its scale. With σ frozen
at the prompt's own this is linear, and the planes' part of the stream Q Qᵀ(h - μ) at their block, which every following
block hands on, has its part of the right answer's logit minus the mean of all answers' (first tokens, at the prompt's
last token). g, b, σ and C are read off the norm by calling it, so that its class need not be known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from causal.attribution.components import Point, adds_heads, points, rewriting
from causal.attribution.tables import PlaneLogitRow
from causal.controls.random_controls import matched
from causal.interventions.directions import Directions
from causal.interventions.questions import Batch, Questions, batches
from llm_probe.models.loading import LoadedModel, evaluating
from toy.maths.intervals import mean_interval
from toy.networks.hooks import capture

DRAWS = 200
"""Random bases beside the planes."""


@torch.no_grad()
def plane_logits(loaded: LoadedModel, questions: Questions, d: Directions, *, seed: int) -> list[PlaneLogitRow]:
    """A row, or none: a site inside a block, another position, no vocabulary matrix, or one first token for all."""
    head = getattr(loaded.model, "get_output_embeddings", lambda: None)()
    if d.site != "resid_post" or d.position != "last" or head is None:
        return []
    random = matched(d.basis, d.covariance, DRAWS, torch.Generator().manual_seed(seed))
    bases = [d.basis, *(one.basis * one.gain**0.5 for one in random)]
    margins, parts, order = [], [], []
    for batch in batches(questions, "last"):
        tokens = batch.tree.children(())
        if len(tokens) < 2:
            return []
        states = _states(loaded, batch, sorted({d.layer, len(loaded.layers) - 1}))
        here, last = states[d.layer], states[len(loaded.layers) - 1]
        gain, offset, normed = frozen(loaded.final_norm, last)
        rows = head.weight[list(tokens)].double().cpu()  # type: ignore[index,union-attr]
        right = [tokens.index(batch.tree.answers[questions.prompts[row].label][0]) for row in batch.rows.tolist()]
        contrast = rows[right] - rows.mean(dim=0)
        margins.append((contrast * (gain * normed(last) + offset)).sum(dim=1))
        # C is symmetric: contrast · (g ⊙ C x / σ) is x · (C (g ⊙ contrast) / σ), which is computed once for all bases.
        reading, change = normed(gain * contrast), here - d.mean
        parts.append(torch.stack([((change @ basis) * (reading @ basis)).sum(dim=1) for basis in bases]))
        order.append(batch.rows)
    margin, effects = float(torch.cat(margins).mean()), torch.cat(parts, dim=1)
    shares = effects.mean(dim=1) / margin
    low, high = mean_interval(effects[0] / margin, questions.pairs[torch.cat(order)], seed)
    controlled = (float(shares[1:].mean()), float(shares[1:].max()))
    mine = (margin, float(effects[0].mean()), float(shares[0]))
    return [PlaneLogitRow(d.domain, d.layer, d.name, *mine, low, high, *controlled, effects.shape[1])]


@torch.no_grad()
def plane_shares(loaded: LoadedModel, questions: Questions, d: Directions) -> dict[tuple[str, int], float]:
    """(point, part) to its share of the coordinates' variance; of the components up to the planes' block."""
    if d.site != "resid_post":
        return {}
    every = [
        point
        for point in points(loaded)[0]
        if point.layer <= d.layer and (point.kind == "mlp" or adds_heads(loaded.layers[point.layer]))
    ]
    coordinates: dict[tuple[str, int], list[Tensor]] = {}
    whole: list[Tensor] = []
    for batch in batches(questions, d.position):
        seen: dict[str, Tensor] = {}
        with rewriting({point.name: point for point in every}, lambda name, x, seen=seen: seen.setdefault(name, x)):
            whole.append(_states(loaded, batch, [d.layer])[d.layer] @ d.reader)
        for point in every:
            for part, written in enumerate(_written(point, _at(seen[point.name], batch)).unbind(dim=1)):
                coordinates.setdefault((point.name, part), []).append(written.double().cpu() @ d.reader)
    total = _centred(whole)
    variance = total.square().sum()
    return {where: float((_centred(some) * total).sum() / variance) for where, some in coordinates.items()}


def frozen(
    norm: nn.Module | None, states: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"], Callable[[Tensor], Tensor]]:
    """(g, b, x -> C x / σ) with norm(states) = g ⊙ C states / σ + b, σ frozen at each of the states."""
    width = states.shape[1]
    if norm is None:
        return torch.ones(width).double(), torch.zeros(width).double(), lambda x: x
    weight = next(norm.parameters())

    def called(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return norm(x.to(weight)[None])[0].double().cpu()

    signs = (-1.0) ** torch.arange(width).double()[None]
    offset = (called(signs) + called(-signs))[0] / 2
    # A norm that centres makes nothing of a constant.
    centres = bool(torch.allclose(called(torch.ones_like(signs))[0], offset, atol=1e-3))

    def centred(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return x - x.mean(dim=1, keepdim=True) if centres else x

    gain = (called(signs)[0] - offset) / centred(signs)[0]
    plain = gain * centred(states)
    scale = plain.square().sum(dim=1, keepdim=True) / (plain * (called(states) - offset)).sum(dim=1, keepdim=True)
    return gain, offset, lambda x: centred(x) / scale


def _written(point: Point, values: Float[Tensor, "n w"]) -> Float[Tensor, "n parts d"]:
    """What each part adds to the stream: a head's slice through the projection without its bias, an MLP as it is."""
    if point.kind == "mlp":
        return values[:, None]
    alone = torch.eye(point.parts).to(values).repeat_interleave(values.shape[1] // point.parts, dim=1)
    return point.module(values[:, None] * alone) - point.module(torch.zeros_like(values[:1, None]))


def _states(loaded: LoadedModel, batch: Batch, layers: Sequence[int]) -> dict[int, Float[Tensor, "n d"]]:
    """The stream behind some blocks at the batch's columns, float64 on the CPU."""
    seen: dict[int, Tensor] = {}
    blocks = {str(layer): loaded.layers[layer] for layer in layers}
    with evaluating(loaded.model), capture(blocks, lambda name, x: seen.__setitem__(int(name), x)):
        loaded.model(input_ids=batch.ids.to(loaded.device), logits_to_keep=1)  # type: ignore[operator]
    return {layer: _at(states, batch).double().cpu() for layer, states in seen.items()}


def _at(values: Float[Tensor, "n length w"], batch: Batch) -> Float[Tensor, "n w"]:
    assert batch.columns is not None
    return values[torch.arange(len(values), device=values.device), batch.columns.to(values.device)]


def _centred(parts: Sequence[Tensor]) -> Float[Tensor, "n m"]:
    """Rows (·, m) of all batches minus their mean."""
    rows = torch.cat(list(parts))
    return rows - rows.mean(dim=0)
