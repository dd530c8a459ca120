"""What a network that only memorised gains from a + b = b + a: the floor under every test accuracy.

Where a task gives (a, b) and (b, a) one answer, and the network's sum over positions makes it treat them alike, a
test question whose mirror image was trained on is answered from memory. With a fraction f trained, that alone is
right on a share f of the test, which reads like partial generalisation. So accuracy is told apart:

    mirrored      test questions (a, b) with (b, a) among the training questions
    unmirrored    the others, the diagonal a = b included: only these need the rule
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from toy.config import ToyConfig
from toy.factored import ROWS_AT_ONCE
from toy.model import Toy
from toy.tasks import split, table


@dataclass(frozen=True)
class MirrorAccuracy:
    """Test accuracy on both kinds of question."""

    share_mirrored: float
    """Of the test questions: what memory and symmetry alone would get right."""
    mirrored: float
    unmirrored: float


def mirror_accuracy(model: Toy, config: ToyConfig) -> MirrorAccuracy | None:
    """The accuracy of a network on mirrored and unmirrored test questions.

    None where the operation of two operands is not symmetric, or one of the kinds is empty.
    """
    rows = table(config.task, config.modulus)
    if rows.operands.shape[1] != 2 or len(rows.answers) != config.modulus**2:
        return None
    answers = rows.answers.view(config.modulus, config.modulus)
    if not torch.equal(answers, answers.T):
        return None
    train, test = split(len(rows.answers), config.train_fraction, config.seed, config.split)
    trained = torch.zeros(len(rows.answers), dtype=torch.bool)
    trained[train] = True
    mirrored = trained.view(config.modulus, -1).T.flatten()[test]
    with torch.no_grad():
        out = torch.cat([model(part).argmax(1) for part in rows.operands[test].split(ROWS_AT_ONCE)])
    right = (out == rows.answers[test]).double()
    if not 0 < int(mirrored.sum()) < len(test):
        return None
    return MirrorAccuracy(
        float(mirrored.double().mean()), float(right[mirrored].mean()), float(right[~mirrored].mean())
    )
