"""The engine of interventions: many edits of the same prompts, with everything before the edit computed once.

An edit replaces the output of one site at one position of each prompt (or at every position). In a causal model it
changes neither the blocks before it nor the positions before it. So for prompts of equal length, once:

    one forward of the prompts with the nodes of the answer tree behind them        (n, L + N tokens)
    keep the edited block's output from the first edited column on                  (n, T, d), T = L + N - q
    keep the keys and values of the q columns before it in the blocks behind it

and for each edit: only the blocks behind it, only T columns, the vocabulary head at the 1 + N columns where an answer
is decided. Edits of one prompt stand side by side behind its cached columns, (n, edits x T), and a mask keeps them
apart: keys and values are there once a prompt and never copied. The N nodes ("1" of "12", `answers`) stand side by side
in the same way; each sees the prompt, its own beginning and itself, and its rotary position is that of its depth. After
the last block an edit of the last position reaches the root only: the nodes' predictions are those of the clean
forward.

Where this does not apply - sites inside a block, models with caches of another kind, code that is not transformers'
own, or a first batch on which it is not equal to the plain way - every edit re-runs the whole model under hooks
(`toy.networks.hooks.rewrite`), node by node: `whole=True` forces that, and the tests compare the two.

An `Edit` maps the states of some rows (r, d) and the indices (r,) of their prompts to new states (r, d). At position
`answer` - the prompt's last token and the answer's own tokens behind it - an edit is a mapping from nodes to such
functions; a node that it does not name is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from causal.interventions.questions import EVERYWHERE, Batch, Questions, batches, geometry, side_by_side
from llm_probe.activations.answers import Answers, Reading, Tokens
from llm_probe.activations.prefixes import agree, can_share
from llm_probe.models.loading import LoadedModel, evaluating
from llm_probe.run.vocabulary import Site
from toy.networks.hooks import capture, rewrite
from toy.run.errors import InputError

Edit = Callable[[Tensor, Tensor], Tensor]
Edits = Edit | Mapping[Tokens, Edit]
LOGIT_BYTES = 16 * 2**20
"""Largest (rows, nodes, vocabulary) tensor of one edited forward."""
SIBLINGS = 48
"""Largest number of edited columns beside each other: each costs attention to all of them, seen or not."""
KEPT_BYTES = 2 * 2**30
"""Clean states that are kept between calls; beyond it they are computed again."""


@dataclass(frozen=True)
class Clean:
    """What one clean forward leaves behind for every edit."""

    batch: Batch
    first: int
    """q: the first column that an edit can change."""
    states: Float[Tensor, "n columns d"]
    """Output of the edited block from column q on."""
    cache: tuple[tuple[Tensor, Tensor], ...]
    """Keys and values of the columns before q in every block; of one row only in blocks before the edit."""
    reading: Reading

    @property
    def bytes(self) -> int:
        return 4 * (self.states.numel() + sum(keys.numel() + values.numel() for keys, values in self.cache))


@dataclass
class Engine:
    """The answers to some questions under edits of one site at one position."""

    loaded: LoadedModel
    questions: Questions
    layer: int
    site: Site = "resid_post"
    position: str = "last"
    whole: bool = False
    """Re-run the whole model for every edit."""
    _kept: list[Clean] = field(default_factory=list)
    _batches: list[Batch] = field(default_factory=list)

    def __post_init__(self) -> None:
        module = self.loaded.site_module(self.layer, self.site)
        self._modules = {f"{self.layer}.{self.site}": module}
        self._batches = list(batches(self.questions, self.position))
        longest = max(len(item.ids) + len(item.tree.nodes) for item in self.questions.items)
        self.whole = self.whole or self.site != "resid_post" or not can_share(self.loaded, longest)
        if not self.whole and not self._same_as_whole():
            self.whole = True

    def answers(self, edits: Sequence[Edits], tick: Callable[[int], Any] = lambda count: None) -> list[Answers]:
        """What is answered under each edit, in the order of the prompts; `tick` is told of finished rows."""
        parts: list[list[Answers]] = [[] for _ in edits]
        with torch.no_grad(), evaluating(self.loaded.model):
            for clean in self._cleans():
                done = 0
                for readings in self._edited(clean, edits):
                    for reading in readings:
                        parts[done].append(clean.batch.tree.score(reading))
                        done += 1
                    tick(len(readings) * len(clean.batch.rows))
        order = torch.cat([batch.rows for batch in self._batches])
        return [Answers.in_order(part, order) for part in parts]

    def log_p(self, edit: Edits) -> Iterator[tuple[Int[Tensor, " n"], Float[Tensor, "n p"]]]:
        """(prompts, log P of their answers) under an edit, a batch at a time; gradients flow back into the edit."""
        for clean in self._cleans():
            with evaluating(self.loaded.model):
                (readings,) = self._edited(clean, [edit])
                yield clean.batch.rows, clean.batch.tree.score(readings[0]).log_p

    def clean(self) -> Answers:
        """What is answered without an edit."""
        with torch.no_grad(), evaluating(self.loaded.model):
            parts = [clean.batch.tree.score(clean.reading) for clean in self._cleans()]
        return Answers.in_order(parts, torch.cat([batch.rows for batch in self._batches]))

    def states(self, node: Tokens = ()) -> Float[Tensor, "n d"]:
        """The states that an edit would be given, in the order of the prompts; of a node behind it at `answer`.

        Zeros for prompts whose answers have no such node.

        Raises:
            InputError: every position is edited: there is not one state a prompt.
        """
        if self.position == EVERYWHERE:
            raise InputError("every position is edited: read the states at one of them")
        states = torch.zeros(len(self.questions.items), self.loaded.d_model)
        with torch.no_grad(), evaluating(self.loaded.model):
            for clean in self._cleans():
                if node not in clean.batch.tree.nodes:
                    continue
                assert clean.batch.columns is not None
                rows = torch.arange(len(clean.states), device=clean.states.device)
                column = clean.batch.columns.to(rows.device) - clean.first + clean.batch.tree.nodes.index(node)
                states[clean.batch.rows] = clean.states[rows, column].float().cpu()
        return states.clone()

    @property
    def nodes(self) -> tuple[Tokens, ...]:
        """Every node of every prompt's tree, the root first."""
        return tuple(dict.fromkeys(node for batch in self._batches for node in batch.tree.nodes))

    def _cleans(self) -> Iterator[Clean]:
        if self._kept:
            yield from self._kept
            return
        kept: list[Clean] = []
        size = 0
        for batch in self._batches:
            clean = self._clean(batch)
            size += clean.bytes
            if size <= KEPT_BYTES:
                kept.append(clean)
            yield clean
        if len(kept) == len(self._batches):
            self._kept = kept

    @torch.no_grad()
    def _clean(self, batch: Batch) -> Clean:
        """One forward of the prompts and the nodes behind them (or, the whole way, one a node)."""
        length = batch.ids.shape[1]
        first = 0 if batch.columns is None else int(batch.columns.min())
        seen: dict[str, Tensor] = {}
        with capture(self._modules, seen.__setitem__):
            if self.whole:
                reading = self._read_whole(batch, None)
                # The last node's forward was the last to be seen; the prompt's own columns are the same in all.
                states = next(iter(seen.values()))[:, first:length]
                return Clean(batch, first, states, (), reading)
            cache, logits = self._forward_tree(batch)
        states = next(iter(seen.values()))[:, first:]
        layers = [
            (layer.keys[:, :, :first], layer.values[:, :, :first]) if index > self.layer
            # Only its length is needed, by models that count what was read before.
            else (layer.keys[:1, :, :first], layer.values[:1, :, :first])
            for index, layer in enumerate(cache.layers)
        ]  # fmt: skip
        return Clean(batch, first, states, tuple(layers), batch.tree.read(logits))

    def _forward_tree(self, batch: Batch) -> tuple[Any, Tensor]:
        """(cache, logits (n, nodes, vocabulary)) of the prompts with the nodes behind them."""
        from transformers.cache_utils import DynamicCache

        device, nodes = self.loaded.device, batch.tree.nodes
        tail = torch.tensor([node[-1] for node in nodes[1:]], dtype=torch.long, device=device)
        ids = torch.cat([batch.ids.to(device), tail.expand(len(batch.ids), -1)], dim=1)
        mask, positions = geometry(batch, self.loaded.dtype)
        cache = DynamicCache()
        output = self.loaded.model(  # type: ignore[operator]
            input_ids=ids,
            attention_mask=mask.to(device).expand(len(ids), -1, -1, -1),
            position_ids=positions.to(device).expand(len(ids), -1),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=len(nodes),
        )
        return cache, output.logits

    def _edited(self, clean: Clean, edits: Sequence[Edits]) -> Iterator[list[Reading]]:
        """The readings of every edit, as many edits at a time as a forward has room for."""
        if self.whole:
            for edit in edits:
                yield [self._read_whole(clean.batch, edit)]
            return
        n, nodes = len(clean.batch.rows), len(clean.batch.tree.nodes)
        vocabulary = self.loaded.model.config.get_text_config().vocab_size  # type: ignore[union-attr]
        room = min(LOGIT_BYTES // (4 * vocabulary * nodes * n), SIBLINGS // clean.states.shape[1])
        for start in range(0, len(edits), max(1, room)):
            some = edits[start : start + max(1, room)]
            states = [_applied(edit, clean.states, clean.batch, clean.first, range(nodes)) for edit in some]
            yield self._read_behind(clean, torch.stack(states, dim=1)).split(n)

    def _read_behind(self, clean: Clean, states: Float[Tensor, "n edits columns d"]) -> Reading:
        """Predictions at the nodes, edit after edit, when the edited block puts out `states`."""
        tree, nodes = clean.batch.tree, len(clean.batch.tree.nodes)
        n, edits, columns, width = states.shape
        last = self.layer == len(self.loaded.layers) - 1
        if last and clean.batch.columns is not None:
            # No attention follows: a column's prediction is its own state's.
            rows = states.transpose(0, 1).reshape(edits * n, columns, width)
            if clean.batch.onward:
                return tree.read(self._logits_behind(rows[:, -nodes:], None, None, None, nodes))
            root = tree.read(self._logits_behind(rows[:, -nodes : columns - nodes + 1], None, None, None, 1))
            return clean.reading.with_root(root)
        mask, positions = side_by_side(clean.batch, clean.first, edits, self.loaded.dtype)
        read = torch.arange(edits * columns, device=states.device).view(edits, columns)[:, -nodes:].flatten()
        logits = self._logits_behind(
            states.reshape(n, edits * columns, width),
            filled_cache(clean.cache),
            mask.to(states.device).expand(n, -1, -1, -1),
            positions.to(states.device).expand(n, -1),
            read,
        )
        return tree.read(logits.view(n, edits, nodes, -1).transpose(0, 1).reshape(edits * n, nodes, -1))

    def _logits_behind(
        self, states: Tensor, cache: Any, mask: Tensor | None, positions: Tensor | None, kept: int | Tensor
    ) -> Float[Tensor, "rows kept vocabulary"]:
        """Logits of the last `kept` columns, or of these columns."""
        with partial_forward(self.loaded, self.layer, states):
            return self.loaded.model(  # type: ignore[operator]
                inputs_embeds=states,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=cache is not None,
                logits_to_keep=kept,
            ).logits

    def _read_whole(self, batch: Batch, edit: Edits | None) -> Reading:
        """The plain way: one forward a node, under hooks."""
        logits, nodes = [], batch.tree.nodes
        for node in nodes:
            seen = [nodes.index(node[:length]) for length in range(len(node) + 1)]

            def edited(_: str, output: Tensor, seen: Sequence[int] = seen) -> Tensor:
                return output if edit is None else _applied(edit, output, batch, 0, seen)

            tail = torch.tensor(node, dtype=torch.long).expand(len(batch.ids), -1)
            ids = torch.cat([batch.ids, tail], dim=1).to(self.loaded.device)
            with rewrite(self._modules, edited):
                logits.append(self.loaded.model(input_ids=ids, logits_to_keep=1).logits[:, -1])  # type: ignore[operator]
        return batch.tree.read(torch.stack(logits, dim=1))

    def _same_as_whole(self) -> bool:
        """Whether two prompts answer alike both ways under a small edit; otherwise this model needs the plain way."""
        batch = self._batches[0]
        columns = None if batch.columns is None else batch.columns[:2]
        few = Batch(batch.rows[:2], batch.ids[:2], columns, batch.tree)

        def nudge(states: Tensor, _: Tensor) -> Tensor:
            # Neither a shift nor a scaling, which a norm would take out again.
            return states + 0.1 * states.roll(1, dims=-1)

        try:
            with torch.no_grad(), evaluating(self.loaded.model):
                plain = self._read_whole(few, nudge)
                clean = self._clean(few)
                states = _applied(nudge, clean.states, few, clean.first, range(len(few.tree.nodes)))
                fast = self._read_behind(clean, states[:, None])
        except (AttributeError, IndexError, TypeError, ValueError, RuntimeError):
            # A forward that takes no mask of its own, or no states: nothing is wrong with the model itself.
            return False
        return agree(fast.log_p, plain.log_p, self.loaded.dtype)


def _applied(
    edit: Edits, states: Float[Tensor, "n columns d"], batch: Batch, first: int, nodes: Sequence[int]
) -> Float[Tensor, "n columns d"]:
    """The states with an edit done; they begin with the column `first` and end with those of `nodes`."""
    n, columns, width = states.shape
    if batch.onward:
        assert isinstance(edit, Mapping), "position `answer` has an edit for each node"
        edited = states.clone()
        for column, node in enumerate(nodes, start=columns - len(nodes)):
            if function := edit.get(batch.tree.nodes[node]):
                edited[:, column] = function(states[:, column], batch.rows).to(states)
        return edited
    assert not isinstance(edit, Mapping), "there is one edit at this position"
    if batch.columns is None:
        flat = states.reshape(-1, width)
        return edit(flat, batch.rows.repeat_interleave(columns)).to(states).view(states.shape)
    edited, row = states.clone(), torch.arange(n, device=states.device)
    column = batch.columns.to(row.device) - first
    edited[row, column] = edit(states[row, column], batch.rows).to(states)
    return edited


def filled_cache(layers: Sequence[tuple[Tensor, Tensor]]) -> Any:
    """A cache of its own for one forward, which adds to it, with the keys and values of every layer."""
    from transformers.cache_utils import DynamicCache

    cache = DynamicCache()
    for index, (keys, values) in enumerate(layers):
        cache.update(keys, values, index)
    return cache


@contextmanager
def partial_forward(loaded: LoadedModel, layer: int, states: Float[Tensor, "rows columns d"]) -> Iterator[None]:
    """Let forwards start in the middle: block `layer` puts out `states`, and the blocks before it do nothing.

    `loaded.model(inputs_embeds=…)` inside the `with` block runs the blocks behind it, the final norm and the vocabulary
    head. Nothing is known of the architecture but where its blocks are (`models.layout`): their `forward` is replaced.
    """

    def same(hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden_states

    def given(*_: Any, **__: Any) -> Tensor:
        return states

    with ExitStack() as stack:
        for block in loaded.layers[:layer]:
            stack.enter_context(_forward(block, same))
        stack.enter_context(_forward(loaded.layers[layer], given))
        yield


@contextmanager
def _forward(block: nn.Module, function: Callable[..., Any]) -> Iterator[None]:
    """Replace a module's forward; what stood on the instance before is put back."""
    own = block.__dict__.get("forward")
    block.forward = function  # type: ignore[method-assign]
    try:
        yield
    finally:
        if own is None:
            del block.__dict__["forward"]
        else:
            block.forward = own  # type: ignore[method-assign]
