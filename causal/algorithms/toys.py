"""The toy under intervention: its circles removed and turned, at every site where they can be reached.

    site           states h of one question a, b                         the circle in it        what follows
    embedding      the first operand's vector in the stream (n, d)        a                       the whole network
    neurons        the last block's neurons at "="        (n, m)          s = a + b mod p         a linear map
    resid_post     the stream before the unembedding      (n, d)          s                       the unembedding

Planes: least squares of the states on [1, cos w_k l, sin w_k l] of the label l, all key frequencies at once, gives the
pattern A (d, 2K); Q is the orthonormal basis nearest to it (`directions.nearest_orthonormal`), μ the states' mean.
They are fitted on one half of the operand pairs and tested on the other (a token's embedding is in both). Keys come
from the weights alone (`keys.of_matrix` of W_E); a network without keys lends its strongest frequencies. Positions are
along the task's circle (`tasks.circle_order`), so that multiplication turns like addition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causal.interventions.directions import Planes, moments, regression_pattern
from llm_probe.statistics.patterns import nearest_orthonormal, targets_of
from toy.analysis import keys, spectra
from toy.analysis.readout import ROWS_AT_ONCE, answer_positions, check_same_modulus, grid
from toy.config import ToyConfig
from toy.maths import fourier
from toy.networks.closed_form import gromov
from toy.networks.model import MLP, Toy, activate, build_untrained
from toy.networks.tasks import circle_order, named
from toy.run.errors import InputError
from toy.training.runs import Run, open_run
from toy.training.train import THRESHOLD

HARDLY = 0.1
"""Test accuracy up to which a network that knows its training questions counts as memorising."""

TIE = 1e-9
"""Logits as near as this are equal: without its circle the closed-form network prefers nothing but by rounding."""

Rows = Int[Tensor, " rows"]
Finish = Callable[[Rows, Float[Tensor, "rows d"]], Float[Tensor, "rows p"]]


@dataclass(frozen=True)
class ToySite:
    """One site of one toy on every question."""

    name: str
    states: Float[Tensor, "n d"]
    """float64."""
    labels: Int[Tensor, " n"]
    """Where on the circle the quantity lies whose plane is looked for here."""
    answers: Int[Tensor, " n"]
    period: int
    """p, the size of the circle."""
    finish: Finish
    """(questions, their states at this site) to the logits of the circle's outputs."""
    is_last: bool
    """Whether nothing but this site's state reaches the answer."""

    @torch.no_grad()
    def answered(self, rows: Rows, states: Float[Tensor, "rows d"]) -> Int[Tensor, " rows"]:
        """The answers that follow from these states."""
        return self.finish(rows, states).argmax(dim=1)

    @torch.no_grad()
    def accuracy(self, rows: Rows, states: Float[Tensor, "rows d"]) -> float:
        """Share of the questions answered rightly; where logits tie, the chance of picking the right one."""
        logits = self.finish(rows, states).double()
        tied = logits >= logits.amax(dim=1, keepdim=True) - TIE
        return float((tied.gather(1, self.answers[rows][:, None])[:, 0] / tied.sum(dim=1)).mean())


class SiteAdder:
    """What follows a toy's last site, as an adder (`known_networks.Adder`)."""

    def __init__(self, site: ToySite) -> None:
        self.site, self.modulus, self.below = site, site.period, site.period

    def hidden(self, operands: Int[Tensor, "n 2"]) -> Float[Tensor, "n d"]:
        """The states of these questions."""
        return self.site.states[operands[:, 0] * self.below + operands[:, 1]]

    def read(self, hidden: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """Logits; which question a state is from does not matter."""
        return self.site.finish(torch.zeros(len(hidden), dtype=torch.long), hidden)


@dataclass(frozen=True)
class Network:
    """One network and the frequencies whose planes are turned in it."""

    name: str
    model: Toy
    config: ToyConfig
    frequencies: tuple[int, ...]
    memorised: bool = False
    """Whether it is tested on questions that it was trained on: it answers no others."""
    exact: bool = False
    """Whether planes are fitted on all questions: in a network written by hand there is nothing to overfit."""


def networks(paths: Sequence[Path], seed: int) -> Iterator[Network]:
    """Each run's last checkpoint, its untrained twin and its memorising checkpoint; then closed forms of its kind.

    Raises:
        InputError: a path is no run directory, or its network has no key frequency.
    """
    kinds = set()
    for path in paths:
        run, name = open_run(path), "/".join(path.parts[-2:]) if path.name.startswith("seed") else path.name
        model, config = run.model(), run.config
        own = key_frequencies(model, config)
        if not own:
            raise InputError(f"{path} has no key frequency, so no circle to turn: give a run that has grokked")
        yield Network(name, model, config, own)
        twin, fresh = build_untrained(config, seed)
        yield Network(f"{name}, untrained", twin, fresh, key_frequencies(twin, fresh, len(own)))
        if step := memorising_step(run):
            young = run.model(step)
            lent = key_frequencies(young, config, len(own))
            yield Network(f"{name}, memorising", young, config, lent, memorised=True)
        kinds.add((config.task, config.modulus))
    for task, modulus in sorted(kinds):
        spread = closed_form_frequencies(len(circle_order(task, modulus)))
        model, config = gromov(modulus, spread, task=task, one_hot=True)
        yield Network(f"closed form, {task} mod {modulus}", model, config, spread, exact=True)


def planes_of(site: ToySite, rows: Rows, frequencies: Sequence[int]) -> Planes:
    """The planes of these frequencies of the site's own quantity, fitted on these questions; W is the filter with
    Wᵀ A = I: the coordinates along A, which need not be orthogonal."""
    states = site.states[rows]
    writer = regression_pattern(states, targets_of(site.labels[rows], frequencies, site.period))
    reader = torch.linalg.pinv(writer).T
    return Planes(tuple(frequencies), nearest_orthonormal(writer), writer, reader, *moments(states))


@torch.no_grad()
def sites(model: Toy, config: ToyConfig) -> dict[str, ToySite]:
    """The sites of a network by name; an MLP has no stream, so no `resid_post`.

    Raises:
        InputError: the task is no cyclic group of two operands, or the modulus is another than the configuration's.
    """
    check_same_modulus(model, config)
    rows, n = grid(config.task, config.modulus), len(circle_order(config.task, config.modulus))
    answers, task = answer_positions(config.task, config.modulus, rows), named(config.task)
    first, second = torch.cartesian_prod(torch.arange(n), torch.arange(n)).T
    if task.n_operands != 2 or not torch.equal((task.signs[0] * first + task.signs[1] * second) % n, answers):
        raise InputError(f"{config.task} modulo {config.modulus} is no circle to turn: give a toy of add or subtract")
    outputs = circle_order(config.task, config.modulus)
    finishes = _mlp(model, rows) if isinstance(model, MLP) else _transformer(model, rows)
    return {
        name: ToySite(
            name,
            states,
            labels=first if name == "embedding" else answers,
            answers=answers,
            period=n,
            finish=_chosen(finish, outputs),
            is_last=name == list(finishes)[-1],
        )
        for name, (states, finish) in finishes.items()
    }


def key_frequencies(model: Toy, config: ToyConfig, count: int | None = None) -> tuple[int, ...]:
    """The keys of W_E, the strongest first; `count`: so many of the strongest, whether they are keys or not."""
    embedding = model.embedding.detach().cpu()[circle_order(config.task, config.modulus)]
    if count is None:
        return tuple(keys.of_matrix(embedding))
    shares = spectra.matrix_shares(embedding)
    return tuple(spectra.strongest(shares, list(fourier.frequencies(len(embedding))))[:count])


def closed_form_frequencies(size: int) -> tuple[int, ...]:
    """Some eight frequencies spread over 1 … (size - 1)/2, and no more than a third of them: others must be left."""
    highest = (size - 1) // 2
    return tuple(range(1, highest + 1, max(3, highest // 8)))


def memorising_step(run: Run) -> int | None:
    """The last checkpoint that answers the training questions and hardly another; None if there is none."""
    metrics = {row["step"]: row for row in run.metrics()}
    steps = [
        step
        for step in run.checkpoints()
        if step in metrics and metrics[step]["train_accuracy"] >= THRESHOLD and metrics[step]["test_accuracy"] <= HARDLY
    ]
    return max(steps, default=None)


def halves(site: ToySite, generator: torch.Generator) -> Bool[Tensor, " n"]:
    """Which questions planes are fitted on: a random half."""
    in_half = torch.zeros(len(site.answers), dtype=torch.bool)
    in_half[torch.randperm(len(in_half), generator=generator)[: len(in_half) // 2]] = True
    return in_half


def sample(among: Bool[Tensor, " n"], count: int, generator: torch.Generator) -> Rows:
    """At most `count` of the questions that are marked."""
    rows = among.nonzero()[:, 0]
    return rows[torch.randperm(len(rows), generator=generator)[:count]]


# ------------------------------------------------------------------------------------------------------ the networks

Parts = dict[str, tuple[Float[Tensor, "n d"], Finish]]


def _transformer(model: Toy, rows: Int[Tensor, "n 2"]) -> Parts:
    assert not isinstance(model, MLP)
    last = model.last

    def before(x: Float[Tensor, "n pos d"]) -> Float[Tensor, "n d"]:
        for block in model.blocks[:-1]:
            x = block(x)
        return (x + last.attn(x))[:, -1]

    def from_embedding(chosen: Rows, states: Float[Tensor, "rows d"]) -> Float[Tensor, "rows v"]:
        x = model.embed(rows[chosen]).clone()
        x[:, 0] = states.to(x)
        middle = before(x)
        return (middle + last.mlp(middle)) @ model.W_U

    middle = torch.cat([before(model.embed(some)) for some in rows.split(ROWS_AT_ONCE)])
    neurons = last.mlp.activations(middle)
    return {
        "embedding": (model.embed(rows)[:, 0].double(), from_embedding),
        "neurons": (
            neurons.double(),
            lambda chosen, states: (middle[chosen] + states.to(middle) @ last.mlp.W_out + last.mlp.b_out) @ model.W_U,
        ),
        "resid_post": ((middle + last.mlp(middle)).double(), lambda chosen, states: states.to(middle) @ model.W_U),
    }


def _mlp(model: MLP, rows: Int[Tensor, "n 2"]) -> Parts:
    second = model.W_E[rows[:, 1]] @ model.W_in[1] + model.b_in

    def from_embedding(chosen: Rows, states: Float[Tensor, "rows d"]) -> Float[Tensor, "rows p"]:
        hidden = activate(states.to(second) @ model.W_in[0] + second[chosen], model.activation)
        return hidden @ model.W_out + model.b_out

    return {
        "embedding": (model.W_E[rows[:, 0]].double(), from_embedding),
        "neurons": (model.neurons(rows).double(), lambda chosen, states: states.to(second) @ model.W_out + model.b_out),
    }


def _chosen(finish: Finish, outputs: Int[Tensor, " p"]) -> Finish:
    """The logits of the circle's outputs in their order."""

    def finished(rows: Rows, states: Float[Tensor, "rows d"]) -> Float[Tensor, "rows p"]:
        return finish(rows, states)[:, outputs]

    return finished
