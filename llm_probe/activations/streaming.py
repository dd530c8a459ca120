"""One streaming pass over the prompts: every requested layer, site and position, from one forward each.

Prompts of equal length form a batch without padding: no mask, and a position is an index from the left. A hook on
each site takes the positions it needs and drops the rest. Never computed are the blocks behind the last probed
layer, the final norm and the vocabulary head; computed once are the beginnings that prompts share (`prefixes`). What
the first block reads, the token embedding, is a location as well, layer -1: it costs one more hook of the same pass.
What comes out is (rows, cells, d_model) in float32, where a cell is a (layer, site, position), and it is reduced as
it comes:

    class_sums   (cells, n_classes, d_model): what class means need, whatever the number of prompts
    rows         (n_rows, cells, d_model): every prompt, for regressions per prompt
    read         both for one claim: class means of the published grid, rows of discovery and confirmation

Cost: about 2 · parameters FLOP per token of the blocks up to the last requested layer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from llm_probe.activations.prefixes import Prefixes, Sharing, agree, can_share, prefix_cache, worthwhile
from llm_probe.models.loading import LoadedModel, check_layers, evaluating
from llm_probe.questions.claims import Claim
from llm_probe.questions.prompts import Prompt, published_grid
from llm_probe.questions.tokens import Encoded, buckets, encode
from llm_probe.run.vocabulary import EMBEDDING, Position, Site
from toy.networks.hooks import capture, capture_input, stop_after
from toy.run.errors import InputError, is_out_of_memory

CPU_BATCH_TOKENS = 8192
GPU_BATCH_TOKENS = 65536
Location = tuple[int, Site, Position]
"""(layer, site, token) at which states are read; the embedding is (-1, "resid_post", token)."""
OPERANDS: tuple[Position, ...] = ("item", "offset")
"""Positions whose token changes with the operands: elsewhere all prompts of a template have one embedding."""
Batches = Iterable[tuple[Int[Tensor, " rows"], Float[Tensor, "rows cells d_model"]]]
"""Indices of prompts and their states, batch by batch."""
READ_BYTES = 512 * 2**20
"""Largest (rows, cells, d_model) float32 tensor of one batch: with many cells it limits the batch, not the tokens."""


@dataclass(frozen=True)
class ReadPlan:
    """What is read from each prompt."""

    layers: tuple[int, ...]
    sites: tuple[Site, ...] = ("resid_post",)
    positions: tuple[Position, ...] = ("last",)
    embedding: tuple[Position, ...] = ()
    """Those of the positions at which the embedding is read too."""

    @property
    def cells(self) -> list[Location]:
        """The order of the cells: the embedding, then layer by layer, in each its sites, in each its positions."""
        before: list[Location] = [(EMBEDDING, "resid_post", position) for position in self.embedding]
        return before + [
            (layer, site, position) for layer in self.layers for site in self.sites for position in self.positions
        ]

    def with_embedding(self) -> ReadPlan:
        """The same plan with the embedding at the operands, where it differs between prompts."""
        return replace(self, embedding=tuple(position for position in self.positions if position in OPERANDS))


def stream(
    loaded: LoadedModel,
    encoded: Sequence[Encoded],
    plan: ReadPlan,
    *,
    batch_tokens: int | None = None,
    share_prefixes: bool = True,
) -> Iterator[tuple[Int[Tensor, " rows"], Float[Tensor, "rows cells d_model"]]]:
    """Batches of (indices into `encoded`, activations), on the model's device, longest prompts first.

    Running out of memory halves the batch and goes on.
    With `share_prefixes`, beginnings that prompts share are computed once where that pays: the activations are the
    same up to rounding, 1e-5 in float32.

    Raises:
        InputError: a layer or a position that does not exist, tokens that the model cannot read, one prompt alone that
            does not fit, or states that are no numbers.
    """
    check_layers(loaded, plan.layers)
    _check_positions(encoded, plan)
    loaded.check_ids(prompt.ids for prompt in encoded)
    lengths = [len(prompt.ids) for prompt in encoded]
    # Longest first: if memory is short, that shows in the first minute.
    pending = deque(buckets(lengths, _batch_tokens(loaded, plan, lengths, batch_tokens)))
    sharing = Sharing(allowed=share_prefixes and can_share(loaded, max(lengths, default=0)))
    while pending:
        batch = pending.popleft()
        cells = _forward_or_none(loaded, [encoded[index] for index in batch], plan, sharing)
        if cells is None:
            if len(batch) == 1:
                raise InputError(
                    f"one prompt of {lengths[batch[0]]} tokens does not fit into the memory of {loaded.device}: "
                    "choose a smaller model or --dtype bfloat16"
                )
            left = [index for group in (batch, *pending) for index in group]
            smaller = buckets([lengths[index] for index in left], len(batch) // 2 * lengths[batch[0]])
            pending = deque([left[index] for index in group] for group in smaller)
            continue
        check_numbers(loaded, cells, plan.cells)
        yield torch.tensor(batch, device=cells.device), cells


def check_numbers(
    loaded: LoadedModel, cells: Float[Tensor, "rows cells d_model"], places: Sequence[tuple[Any, ...]]
) -> None:
    """Raises InputError if a state is NaN or infinite; `places` are the layer and site (and more) of each cell."""
    whole = cells.isfinite().all(dim=-1).all(dim=0)
    if whole.all():
        return
    layer, site = places[int(whole.logical_not().nonzero()[0])][:2]
    where = "the token embedding" if layer == EMBEDDING else f"{site} of layer {layer}"
    dtype = str(loaded.dtype).removeprefix("torch.")
    advice = "choose other weights" if loaded.dtype == torch.float32 else "run with --dtype float32"
    raise InputError(f"{where} of {loaded.name} ({loaded.weights} weights) is NaN or infinite in {dtype}: {advice}")


def class_sums(
    batches: Batches, labels: Int[Tensor, " n"], n_classes: int
) -> tuple[Float[Tensor, "cells n_classes d_model"], Int[Tensor, " n_classes"]]:
    """Sums of the activations of each class and the number of prompts in it; the mean is their quotient.

    Summed in float64 where the activations are: memory does not grow with the number of prompts.
    """
    sums: Tensor | None = None
    for indices, cells in batches:
        if cells.device.type == "mps":  # has no float64
            indices, cells = indices.cpu(), cells.cpu()  # noqa: PLW2901
        if sums is None:
            labels = labels.to(cells.device)
            sums = torch.zeros(cells.shape[1], n_classes, cells.shape[2], dtype=torch.float64, device=cells.device)
        owner = labels[indices]
        # Location by location: a float64 copy of the whole batch would double its memory.
        for cell, total in enumerate(sums):
            total.index_add_(0, owner, cells[:, cell].double())
    if sums is None:
        raise ValueError("no prompts to sum over")
    return sums, torch.bincount(labels, minlength=n_classes)


def rows(batches: Batches, n_rows: int) -> Float[Tensor, "n_rows cells d_model"]:
    """Every prompt's activations in the order of the prompts, float32 on the CPU."""
    kept: Tensor | None = None
    for indices, cells in batches:
        if kept is None:
            kept = torch.empty(n_rows, *cells.shape[1:])
        kept[indices.cpu()] = cells.cpu()
    if kept is None:
        raise ValueError("no prompts to read")
    return kept


def layer_states(
    loaded: LoadedModel, encoded: Sequence[Encoded], positions: tuple[Position, ...]
) -> Float[Tensor, "n_rows layers positions d_model"]:
    """Every prompt's states behind every block at some positions, float32 on the CPU."""
    plan = ReadPlan(layers=tuple(range(len(loaded.layers))), positions=positions)
    return rows(stream(loaded, encoded, plan), len(encoded)).unflatten(1, (-1, len(positions)))


@dataclass(frozen=True)
class States:
    """Residual states of one claim under one set of weights, float32."""

    cells: tuple[Location, ...]
    discovery: Float[Tensor, "n cells d"]
    confirmation: Float[Tensor, "m cells d"]
    class_means: Float[Tensor, "cells labels d"] | None
    """Means over the published grid (for items: over the discovery statements); None without a grid."""


def read(
    loaded: LoadedModel,
    claim: Claim,
    discovery: Sequence[Prompt],
    confirmation: Sequence[Prompt],
    plan: ReadPlan,
    *,
    chat: bool = False,
    batch_tokens: int | None = None,
    on_prompts: Callable[[int], None] = lambda count: None,
    grid: bool = True,
) -> States:
    """Run every prompt of a claim through the model; `on_prompts` is told how many more are done.

    `grid`: whether the published grid is read too, where there is one.

    Raises:
        InputError: as `stream`, or every prompt has the same states.
    """

    def batches(prompts: Sequence[Prompt]) -> Batches:
        encoded = encode(loaded.tokenizer, prompts, chat=chat)
        for batch in stream(loaded, encoded, plan, batch_tokens=batch_tokens):
            on_prompts(len(batch[0]))
            yield batch

    def means(of: Batches, prompts: Sequence[Prompt]) -> Float[Tensor, "cells labels d"]:
        sums, counts = class_sums(of, torch.tensor([prompt.label for prompt in prompts]), claim.period)
        return (sums / counts[:, None].clamp_min(1)).cpu()

    n, class_means = len(discovery), None
    kept = rows(batches([*discovery, *confirmation]), n + len(confirmation))
    if torch.equal(kept[0], kept[-1]) and bool((kept == kept[:1]).all()):
        raise InputError(
            f"all {len(kept)} prompts of {claim.name} have the same states in {loaded.name} ({loaded.weights} "
            "weights): give prompts that differ, or a model whose weights are not all zero"
        )
    if claim.quantity == "item":
        class_means = means([(torch.arange(n), kept[:n])], discovery)
    elif grid and claim.domain.has_grid:
        prompts = published_grid(claim.domain)
        class_means = means(batches(prompts), prompts)
    return States(tuple(plan.cells), kept[:n], kept[n:], class_means)


def _forward_or_none(
    loaded: LoadedModel, prompts: list[Encoded], plan: ReadPlan, sharing: Sharing
) -> Float[Tensor, "rows cells d_model"] | None:
    """One batch, or None if memory ran out."""
    try:
        return _forward(loaded, prompts, plan, sharing)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    # Outside the `except`: the traceback held every tensor of the failed forward.
    if loaded.device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def _forward(
    loaded: LoadedModel, prompts: list[Encoded], plan: ReadPlan, sharing: Sharing
) -> Float[Tensor, "rows cells d_model"]:
    """All cells of prompts of equal length; the first batch that shares beginnings is checked on two of its prompts."""
    shared = None
    if sharing.allowed:
        first_read = min(prompt.positions[position] for prompt in prompts for position in plan.positions)
        shared = worthwhile([prompt.ids for prompt in prompts], first_read, loaded.device)
    if shared is None or sharing.checked:
        return _read(loaded, prompts, plan, shared)
    whole = _read(loaded, [prompts[0], prompts[-1]], plan)
    cells = None
    try:
        cells = _read(loaded, prompts, plan, shared)
    except Exception as error:
        # The prompts are sound, as `whole` shows, so it is the cache that this model cannot use.
        if is_out_of_memory(error):
            raise
    sharing.checked = True
    sharing.allowed = cells is not None and agree(cells[[0, -1]], whole, loaded.dtype)
    return cells if cells is not None and sharing.allowed else _read(loaded, prompts, plan)


def _read(
    loaded: LoadedModel, prompts: list[Encoded], plan: ReadPlan, shared: Prefixes | None = None
) -> Float[Tensor, "rows cells d_model"]:
    """All cells of prompts of equal length, from one forward, or from one of their beginnings and one of the rest."""
    start = shared.length if shared else 0
    ids = torch.tensor([prompt.ids[start:] for prompt in prompts], device=loaded.device)
    places = torch.tensor(
        [[prompt.positions[position] - start for position in plan.positions] for prompt in prompts],
        device=loaded.device,
    )
    row = torch.arange(len(prompts), device=loaded.device)[:, None]
    width = len(plan.positions)
    modules: dict[str, nn.Module] = {}
    column: dict[str, int] = {}
    for layer in plan.layers:
        for site in plan.sites:
            column[f"{layer}.{site}"] = len(plan.embedding) + len(modules) * width
            modules[f"{layer}.{site}"] = loaded.site_module(layer, site)
    # Made outside inference mode, so that what a user receives is an ordinary tensor.
    cells = torch.empty(len(prompts), len(plan.cells), loaded.d_model, device=loaded.device)

    def keep(name: str, output: Tensor) -> None:
        # A model spread over several GPUs puts its blocks elsewhere than its input.
        read = output[row.to(output.device), places.to(output.device)]
        cells[:, column[name] : column[name] + width] = read.to(cells.device)

    def keep_embedding(state: Tensor) -> None:
        chosen = places[:, [plan.positions.index(position) for position in plan.embedding]]
        cells[:, : len(plan.embedding)] = state[row.to(state.device), chosen.to(state.device)].to(cells.device)

    last = loaded.layers[max(plan.layers)]
    with torch.inference_mode(), evaluating(loaded.model):
        cache = prefix_cache(loaded.backbone, last, shared, loaded.device) if shared else None
        past = {"past_key_values": cache, "use_cache": True} if shared else {"use_cache": False}
        before = capture_input(loaded.layers[0], keep_embedding) if plan.embedding else nullcontext()
        with capture(modules, keep), before, stop_after(last):
            loaded.backbone(input_ids=ids, **past)
    return cells


def _batch_tokens(loaded: LoadedModel, plan: ReadPlan, lengths: list[int], most_tokens: int | None) -> int:
    tokens = most_tokens or (CPU_BATCH_TOKENS if loaded.device.type == "cpu" else GPU_BATCH_TOKENS)
    most_rows = max(1, READ_BYTES // (4 * len(plan.cells) * loaded.d_model))
    return min(tokens, most_rows * min(lengths, default=1))


def _check_positions(encoded: Sequence[Encoded], plan: ReadPlan) -> None:
    for number, prompt in enumerate(encoded):
        for position in plan.positions:
            if position not in prompt.positions:
                raise InputError(
                    f"prompt {number} has no position {position!r}: its template fills {', '.join(prompt.positions)}; "
                    "read one of those or choose templates with that slot"
                )
