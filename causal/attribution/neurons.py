"""Do several kinds of sums share the neurons that they are computed with?

A network that adds days, months and numbers in one way may do so in the same few neurons; Feucht et al. (2026) report
that of Llama-3.1-8B. A neuron i of a block is the number x_i that the block's MLP multiplies with its last matrix. It
is *held* by putting x̄_i in its place, the mean over the questions of the same domain, at the prompt's last token and
at the answer's own tokens behind it (a mean for each). For the questions of one domain

    importance   what neuron i has of the fall of log P(right answer), mean over prompts, on the way from no neuron held
                 to all of them: -∂/∂a_i of what x + a ⊙ (x̄ - x) gives, mean over a = t (1, 1, …), t at five midpoints
                 of [0, 1]. Their sum is the whole fall (integrated gradients: Sundararajan et al. 2017, 1703.01365);
                 the slope at t = 0 alone misses what saturates, as right answers of a good model do
    own set      the SHARE of all neurons with the largest importance, in any block, on discovery prompts
    held         right answers to causal prompts of this and of every other domain while the own set is held
    matched      the same for as many other neurons: for each, one of the NEAREST of the same block by sd(x_i) |w_i|,
                 w_i its row of the last matrix: what it writes, whatever for

Two domains share neurons if holding the set of one costs the other more than holding matched sets does. Where the most
important neurons are those that write most, no others write as much (`matched_written`); then the sets of the other
domains, which do, are the better control. That neurons are used by both does not say that they do the same in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from causal.attribution.components import Point, input_width, rewriting
from causal.attribution.tables import NeuronRow
from causal.experiments.effects import rank
from causal.experiments.experiment import Tick
from causal.interventions.questions import Batch, Questions, batches, questions_of
from llm_probe.activations.answers import Answers, Tokens
from llm_probe.models import layout
from llm_probe.models.loading import LoadedModel, evaluating
from llm_probe.questions.claims import Claim
from llm_probe.questions.prompts import Part
from toy.run.errors import InputError

SHARE = 0.05
"""Of all neurons of a network, in a set."""
DRAWS = 19
"""Matched sets: a set that costs more than each of them has p = 0.05."""
FITTED, ASKED = 200, 100
"""Prompts of a domain by which neurons are chosen, and that are asked while they are held."""
PATH = (0.1, 0.3, 0.5, 0.7, 0.9)
NEAREST = 10
Amounts = Mapping[str, Float[Tensor, " w"]]
"""Name of the point to how much of every neuron is held: 0 not at all, 1 altogether."""


def neurons(loaded: LoadedModel) -> list[Point]:
    """What the last matrix of every block's MLP reads.

    Raises:
        InputError: a block has no such matrix.
    """
    return [Point(layer, "neurons", _last_matrix(loaded, block), 1) for layer, block in enumerate(loaded.layers)]


def _last_matrix(loaded: LoadedModel, block: nn.Module) -> nn.Module:
    mlp = next((part for path in layout.paths("mlp") if (part := _submodule(block, path)) is not None), None)
    for module in reversed(list(mlp.modules()) if mlp is not None else []):
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim == 2 and loaded.d_model in weight.shape:
            return module
    raise InputError(f"{loaded.name} has a block whose MLP has no last matrix that is known: its neurons are not found")


def _submodule(block: nn.Module, path: str) -> nn.Module | None:
    try:
        return block.get_submodule(path)
    except AttributeError:
        return None


@dataclass(frozen=True)
class Held:
    """The questions of one domain, answered while neurons are held at their means."""

    loaded: LoadedModel
    questions: Questions
    points: Sequence[Point]

    def answers(self, amounts: Amounts) -> Answers:
        """What is answered; gradients flow back into the amounts."""
        parts, order = [], []
        self._moments  # noqa: B018 - measured before the hooks of a held forward are in place
        for batch in batches(self.questions, "last"):
            parts.append(batch.tree.score(batch.tree.read(self._logits(batch, amounts))))
            order.append(batch.rows)
        return Answers.in_order(parts, torch.cat(order))

    def right(self, amounts: Amounts) -> float:
        """Share of the questions that is answered right."""
        with torch.no_grad(), evaluating(self.loaded.model):
            return float((self.answers(amounts).written == self.questions.labels).double().mean())

    def importance(self) -> dict[str, Float[Tensor, " w"]]:
        """What every neuron has of the fall of log P(right answer) when all are held, nats."""
        falls = self.nothing
        for t in PATH:
            amounts = {name: torch.full_like(some, t).requires_grad_() for name, some in falls.items()}
            with evaluating(self.loaded.model):
                log_p = self.answers(amounts).log_p
            mean = log_p.gather(1, self.questions.labels[:, None]).mean()
            slopes = torch.autograd.grad(mean, list(amounts.values()))
            falls = {name: falls[name] - slope / len(PATH) for name, slope in zip(falls, slopes, strict=True)}
        return falls

    @property
    def nothing(self) -> dict[str, Float[Tensor, " w"]]:
        """Amounts that hold no neuron."""
        device = self.loaded.device
        return {point.name: torch.zeros(input_width(point.module), device=device) for point in self.points}

    def written(self) -> dict[str, Float[Tensor, " w"]]:
        """sd(x_i) |w_i| of every neuron at the prompts' last token."""
        result = {}
        for point in self.points:
            weight: Any = point.module.weight
            lengths = weight.norm(dim=0 if isinstance(point.module, nn.Linear) else 1)
            mean, square = self._moments[point.name][0]
            result[point.name] = (square - mean.square()).clamp(min=0).sqrt() * lengths.detach().float()
        return result

    @cached_property
    def _moments(self) -> dict[str, Float[Tensor, "depths 2 w"]]:
        """Mean of x and of x² over prompts and nodes of one depth: the prompt's last token, then the answer's."""
        nodes = [(batch, node) for batch in batches(self.questions, "last") for node in batch.tree.nodes]
        depths = 1 + max(len(node) for _, node in nodes)
        sums = {name: torch.zeros(depths, 2, *some.shape, device=some.device) for name, some in self.nothing.items()}
        counts = torch.zeros(depths)

        def read(name: str, x: Tensor, depth: int) -> Tensor:
            own = x[:, -1].float()
            sums[name][depth] += torch.stack([own.sum(dim=0), own.square().sum(dim=0)])
            return x

        with torch.no_grad(), evaluating(self.loaded.model):
            for batch, node in nodes:
                counts[len(node)] += len(batch.rows)
                with rewriting(self._at, partial(read, depth=len(node))):
                    self._forward(batch, node)
        return {name: total / counts.to(total)[:, None, None] for name, total in sums.items()}

    @property
    def _at(self) -> dict[str, Point]:
        return {point.name: point for point in self.points}

    def _logits(self, batch: Batch, amounts: Amounts) -> Float[Tensor, "n nodes vocabulary"]:
        first = batch.ids.shape[1] - 1

        def hold(name: str, x: Tensor) -> Tensor:
            tail = x[:, first:]
            apart = self._moments[name][: tail.shape[1], 0] - tail
            return torch.cat([x[:, :first], tail + (amounts[name] * apart).to(tail)], dim=1)

        held = {name: self._at[name] for name, amount in amounts.items() if amount.requires_grad or bool(amount.any())}
        with rewriting(held, hold):
            return torch.stack([self._forward(batch, node) for node in batch.tree.nodes], dim=1)

    def _forward(self, batch: Batch, node: Tokens) -> Float[Tensor, "n vocabulary"]:
        tail = torch.tensor(node, dtype=torch.long).expand(len(batch.ids), -1)
        ids = torch.cat([batch.ids, tail], dim=1).to(self.loaded.device)
        return self.loaded.model(input_ids=ids, logits_to_keep=1).logits[:, -1]  # type: ignore[operator]


def largest(importance: Amounts, count: int) -> dict[str, Bool[Tensor, " w"]]:
    """The `count` most important neurons, as masks."""
    least = torch.cat(list(importance.values())).topk(count).values[-1]
    return {name: some >= least for name, some in importance.items()}


def matched(
    own: Mapping[str, Bool[Tensor, " w"]], written: Amounts, generator: torch.Generator
) -> dict[str, Float[Tensor, " w"]]:
    """As many other neurons of the same blocks, each near one of the set by what it writes; of no other left, fewer."""
    result = {}
    for name, mask in own.items():
        free, size = ~mask.cpu(), written[name].cpu()
        chosen = torch.zeros(len(mask))
        for neuron in mask.cpu().nonzero()[:, 0].tolist():
            others = free.nonzero()[:, 0]
            near = others[(size[others] - size[neuron]).abs().argsort()[:NEAREST]]
            if len(near):
                pick = near[torch.randint(len(near), (1,), generator=generator)]
                chosen[pick], free[pick] = 1.0, False
        result[name] = chosen.to(mask.device)
    return result


@dataclass(frozen=True)
class SharedNeurons:
    """The neurons of several domains, and what each domain loses without those of each."""

    loaded: LoadedModel
    claims: Sequence[Claim]
    seed: int

    def __post_init__(self) -> None:
        if len(self.claims) < 2:
            raise InputError("neurons are shared by two domains or more: name more of them with --claims")

    def rows(self, held: int, tick: Tick = lambda count: None) -> Iterator[NeuronRow]:
        """What every domain loses without the neurons of one, by its number; `tick` is told of asked prompts."""
        own, generator = self._sets[held], torch.Generator().manual_seed(self.seed)
        written, count = self._discovery[held].written(), overlap(own, own)
        draws = [matched(own, written, generator) for _ in range(DRAWS)]
        alike = sum(amount(draw, written) for draw in draws) / (DRAWS * amount(own, written))
        blocks = " ".join(str(int(mask.sum())) for mask in own.values())
        everyone = zip(self.claims, self._sets, self._causal, self._before, strict=True)
        for claim, also, tested, before in everyone:
            accuracy = tested.right({name: mask.float() for name, mask in own.items()})
            controls = []
            for draw in draws:
                controls.append(tested.right(draw))
                tick(len(tested.questions.items))
            yield NeuronRow(
                self.loaded.weights, self.claims[held].domain.name, claim.domain.name, count, blocks,
                alike, overlap(own, also) / count, sum(overlap(draw, also) for draw in draws) / (DRAWS * count),
                before, accuracy, sum(controls) / DRAWS, min(controls), rank(-accuracy, [-one for one in controls]),
                len(tested.questions.items), DRAWS,
            )  # fmt: skip

    @cached_property
    def _discovery(self) -> list[Held]:
        return self._held("discovery", FITTED)

    @cached_property
    def _causal(self) -> list[Held]:
        return self._held("causal", ASKED)

    @cached_property
    def _before(self) -> list[float]:
        return [one.right(one.nothing) for one in self._causal]

    @cached_property
    def _sets(self) -> list[dict[str, Bool[Tensor, " w"]]]:
        count = max(1, round(SHARE * sum(map(len, self._discovery[0].nothing.values()))))
        return [largest(one.importance(), count) for one in self._discovery]

    def _held(self, part: Part, size: int) -> list[Held]:
        every = neurons(self.loaded)
        return [Held(self.loaded, questions_of(self.loaded, one, part, size, self.seed), every) for one in self.claims]


def overlap(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> int:
    """Neurons in both sets."""
    return sum(int((mask.bool() & other[name].bool()).sum()) for name, mask in one.items())


def amount(chosen: Mapping[str, Tensor], written: Amounts) -> float:
    """What some neurons write, added up."""
    return sum(float((mask.to(written[name]) * written[name]).sum()) for name, mask in chosen.items())
