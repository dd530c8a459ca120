"""The parts of a transformer that write into its stream: every attention head, every MLP; reading and replacing them.

    stream after block l = stream before + Σ_h O_h z_h + MLP

z_h: what head h read, O_h: its columns of the output projection. Heads meet in the projection's *input*, where head h
holds the h-th of `num_attention_heads` equal slices; replacing a slice replaces what the head writes. An MLP is what
its block adds of it (`models.layout`, site mlp_out). A `Point` is one tensor (batch, position, parts x width) that
is read: all heads of a block (a part each), its MLP (one part), or the stream that it is given.

    with rewriting(points, edit):    each point's tensor becomes edit(name, tensor)

Planes of a circle: which components write the planes of a circle, and what the planes write into the answer's logits.

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

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from causal.attribution.tables import PlaneLogitRow
from causal.controls.random_controls import matched
from causal.interventions.directions import Directions
from causal.interventions.questions import Batch, Questions, batches
from llm_probe.models import layout
from llm_probe.models.loading import LoadedModel, evaluating
from toy.maths.intervals import mean_interval
from toy.networks.hooks import capture, rewrite

PROJECTIONS = ("o_proj", "out_proj", "dense", "c_proj", "attention.out_proj")
"""Names of the matrix behind the heads, inside attention: Llama, Qwen; OPT, GPT-J; GPT-NeoX, Falcon; GPT-2; GPT-Neo."""


@dataclass(frozen=True)
class Point:
    """One tensor that is read in a forward."""

    layer: int
    kind: str
    """`head`, `mlp`, or `stream`: what a block is given."""
    module: nn.Module
    parts: int
    """Heads, or 1."""

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.kind}"

    def split(self, values: Tensor) -> Tensor:
        """(…, parts · width) as (…, parts, width)."""
        return values.unflatten(-1, (self.parts, -1))


def points(loaded: LoadedModel) -> tuple[list[Point], str]:
    """The points of a model in the order of its blocks, and one sentence on what cannot be read, or nothing."""
    config: Any = loaded.model.config.get_text_config()  # type: ignore[union-attr,operator]
    heads = getattr(config, "num_attention_heads", None)
    every: list[Point] = []
    without: list[str] = []
    for layer, block in enumerate(loaded.layers):
        matrix = projection(block)
        if matrix is None or not heads or input_width(matrix) % heads:
            without.append(str(layer))
        else:
            every.append(Point(layer, "head", matrix, heads))
        every.append(Point(layer, "mlp", layout.part(block, "mlp_out"), 1))
    if not without:
        return every, ""
    return every, (
        f"heads of {loaded.name} are skipped in blocks {', '.join(without)}: their attention has no output projection "
        f"of a known name ({', '.join(PROJECTIONS)}) that divides by the number of heads"
    )


def projection(block: nn.Module) -> nn.Module | None:
    """The matrix behind a block's heads."""
    for attention in layout.paths("attention"):
        for name in PROJECTIONS:
            try:
                matrix = attrgetter(f"{attention}.{name}")(block)
            except AttributeError:
                continue
            if getattr(matrix, "weight", None) is not None:
                return matrix
    return None


def input_width(matrix: nn.Module) -> int:
    """Numbers it reads; GPT-2's Conv1D holds its weight the other way round."""
    weight: Any = matrix.weight
    return weight.shape[1] if isinstance(matrix, nn.Linear) else weight.shape[0]


def adds_heads(block: nn.Module) -> bool:
    """Whether the stream gets the projection's output as it is, with no norm between (Gemma 2 and 3, OLMo 2)."""
    return not layout.output_norms(block)


@contextmanager
def rewriting(at: Mapping[str, Point], edit: Callable[[str, Tensor], Tensor]) -> Iterator[None]:
    """Replace what points hold; `edit` returns a new tensor, or the old one where it only reads."""

    def entering(name: str) -> Callable[[nn.Module, Any], Any]:
        return lambda _, given: (edit(name, given[0]), *given[1:])

    with ExitStack() as stack:
        for name, point in at.items():
            if point.kind != "mlp":
                stack.callback(point.module.register_forward_pre_hook(entering(name)).remove)
        stack.enter_context(rewrite({name: point.module for name, point in at.items() if point.kind == "mlp"}, edit))
        yield


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
