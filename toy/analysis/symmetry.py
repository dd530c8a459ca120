"""What a network that only memorised gains from a + b = b + a: the floor under every test accuracy.

Where a task gives (a, b) and (b, a) one answer, and the network's sum over positions makes it treat them alike, a
test question whose mirror image was trained on is answered from memory. With a fraction f trained, that alone is
right on a share f of the test, which reads like partial generalisation. So accuracy is told apart:

    mirrored      test questions (a, b) with (b, a) among the training questions
    unmirrored    the others, the diagonal a = b included: only these need the rule
"""

from __future__ import annotations

import torch

from toy.networks.scores import TableScores


def mirror_accuracy(whole: TableScores) -> dict[str, float] | None:
    """Test accuracy on mirrored and unmirrored questions, and the share of the test that is mirrored.

    None where the operation is not one of two operands and symmetric, or where one of the kinds is empty.
    """
    rows, p = whole.rows, whole.rows.modulus
    if rows.operands.shape[1] != 2 or len(rows.answers) != p * p:
        return None
    answers = rows.answers.view(p, p)
    if not torch.equal(answers, answers.T):
        return None
    trained = torch.zeros(p * p, dtype=torch.bool)
    trained[whole.train] = True
    mirrored = trained.view(p, p).T.flatten()[whole.test]
    if mirrored.all() or not mirrored.any():
        return None
    right = whole.scores.right[whole.test].double()
    return {
        "share_mirrored": float(mirrored.double().mean()),
        "mirrored": float(right[mirrored].mean()),
        "unmirrored": float(right[~mirrored].mean()),
    }
