"""How well a network answers a whole table: loss and right or wrong for every row, whatever the table's size.

The cross-entropy is that of all outputs the network has ("=" too, if it has a logit), with the softmax in float64:
float32 cannot tell losses below 1e-7 apart. Rows pass in chunks, and a transformer of one layer through its factored
forward (factored.py: exact, and several times faster), so that 1.4 million questions of three numbers take seconds.

    scores(model, operands, answers)                       as it is
    scores(model, operands, answers, {"W_E": changed})     with some weights replaced; the model is left alone
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.func import functional_call

from toy.config import ToyConfig
from toy.networks import factored
from toy.networks.model import MLP, Toy, Transformer
from toy.networks.tasks import Table, named, split, table

ROWS_AT_ONCE = 8192
MEASURED = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
"""What every evaluation of a training measures, in the order of its columns."""


@dataclass(frozen=True)
class Scores:
    """One entry a row of the table."""

    loss: Float[Tensor, " rows"]
    right: Bool[Tensor, " rows"]

    def mean(self, rows: Tensor | slice = slice(None)) -> tuple[float, float]:
        """(loss, accuracy) over some rows."""
        return float(self.loss[rows].mean()), float(self.right[rows].double().mean())


@torch.no_grad()
def scores(
    model: Toy,
    operands: Int[Tensor, "rows operands"],
    answers: Int[Tensor, " rows"],
    weights: Mapping[str, Tensor] | None = None,
) -> Scores:
    """Loss and correctness of every row, on the CPU; `weights` stand in for the model's own of the same name."""
    used = {name: weight.detach() for name, weight in model.named_parameters()} | dict(weights or {})
    device = used["W_E"].device
    fast = isinstance(model, Transformer) and len(model.blocks) == 1
    parts = factored.tables({name: weight[None] for name, weight in used.items()}) if fast else None
    losses, right = [], []
    for some, wanted in zip(operands.split(ROWS_AT_ONCE), answers.split(ROWS_AT_ONCE), strict=True):
        rows, target = some.to(device), wanted.to(device)
        if parts is not None:
            logits = factored.logits(parts, rows[None], activation_of(model))[0]
        else:
            logits = functional_call(model, used, (rows,))
        losses.append(cross_entropy(logits, target).cpu())
        right.append((logits.argmax(dim=1) == target).cpu())
    return Scores(torch.cat(losses), torch.cat(right))


def activation_of(model: Toy) -> str:
    """The name of the neurons' activation function."""
    return model.activation if isinstance(model, MLP) else model.last.mlp.activation


@dataclass(frozen=True)
class TableScores:
    """A network on every question of its task."""

    rows: Table
    scores: Scores
    train: Int[Tensor, " train"]
    test: Int[Tensor, " test"]

    @staticmethod
    def of(model: Toy, config: ToyConfig) -> TableScores:
        """Run the network on the whole table; the split is the configuration's."""
        rows = table(config.task, config.modulus)
        train, test = split(len(rows.answers), config.train_fraction, config.seed, config.split)
        return TableScores(rows, scores(model, rows.operands, rows.answers), train, test)

    def summary(self) -> dict[str, float]:
        """Loss and accuracy of the training rows, of the test rows, and the accuracy of all."""
        (train_loss, train_accuracy), (test_loss, test_accuracy) = map(self.scores.mean, (self.train, self.test))
        measured = dict(zip(MEASURED, (train_loss, test_loss, train_accuracy, test_accuracy), strict=True))
        return {**measured, "full_accuracy": self.scores.mean()[1]}

    def accuracy_by_c(self) -> dict[str, float] | None:
        """Accuracy for each value of the third operand; None for tasks of two."""
        if named(self.rows.task).n_operands < 3:
            return None
        third, right = self.rows.operands[:, 2], self.scores.right.double()
        return {str(c): float(right[third == c].mean()) for c in third.unique().tolist()}

    def mirror_accuracy(self) -> dict[str, float] | None:
        """What a network that only memorised gains from a + b = b + a: the floor under every test accuracy.

        Where (a, b) and (b, a) have one answer and the network's sum over positions makes it treat them alike, a test
        question whose mirror image was trained on is answered from memory: with a share f trained, that alone is right
        on a share f of the test, which reads like partial generalisation. So the test is told apart into `mirrored`
        questions (a, b) with (b, a) among the training questions, and `unmirrored` ones, the diagonal a = b included:
        only these need the rule. None where the operation is not symmetric or not one of two operands, or where one
        of the kinds is empty.
        """
        rows, p = self.rows, self.rows.modulus
        if rows.operands.shape[1] != 2 or len(rows.answers) != p * p:
            return None
        answers = rows.answers.view(p, p)
        if not torch.equal(answers, answers.T):
            return None
        trained = torch.zeros(p * p, dtype=torch.bool)
        trained[self.train] = True
        mirrored = trained.view(p, p).T.flatten()[self.test]
        if mirrored.all() or not mirrored.any():
            return None
        right = self.scores.right[self.test].double()
        return {
            "share_mirrored": float(mirrored.double().mean()),
            "mirrored": float(right[mirrored].mean()),
            "unmirrored": float(right[~mirrored].mean()),
        }


def trained_on(config: ToyConfig, operands: Int[Tensor, "some operands"]) -> Bool[Tensor, " some"]:
    """Which of these questions are training rows."""
    rows = table(config.task, config.modulus).operands
    train, _ = split(len(rows), config.train_fraction, config.seed, config.split)
    is_train = torch.zeros(len(rows), dtype=torch.bool)
    is_train[train] = True
    # Tables are in lexicographic order, so their rows read as numbers in base p ascend.
    base = config.modulus ** torch.arange(rows.shape[1] - 1, -1, -1)
    return is_train[torch.searchsorted((rows * base).sum(dim=1), (operands * base).sum(dim=1))]


def cross_entropy(logits: Float[Tensor, "rows n"], answer: Int[Tensor, " rows"]) -> Float[Tensor, " rows"]:
    """-log softmax at the answer, in float64: losses of 1e-10 are still right."""
    logits = logits.double()
    others = logits - logits.gather(1, answer[:, None])
    # log(1 + Σ exp(others)) without the answer's own 1, which would swallow a sum below 1e-16.
    others = others.scatter(1, answer[:, None], -torch.inf)
    return torch.nn.functional.softplus(others.logsumexp(dim=1))
