"""The parts of a transformer that write into its stream: every attention head, every MLP; reading and replacing them.

    stream after block l = stream before + Σ_h O_h z_h + MLP

z_h: what head h read, O_h: its columns of the output projection. Heads meet in the projection's *input*, where head h
holds the h-th of `num_attention_heads` equal slices; replacing a slice replaces what the head writes. An MLP is what
its block adds of it (`models.layout`, site mlp_out). A `Point` is one tensor (batch, position, parts x width) that
is read: all heads of a block (a part each), its MLP (one part), or the stream that it is given.

    with rewriting(points, edit):    each point's tensor becomes edit(name, tensor)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from torch import Tensor, nn

from llm_probe.models import layout
from llm_probe.models.loading import LoadedModel
from toy.networks.hooks import rewrite

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
