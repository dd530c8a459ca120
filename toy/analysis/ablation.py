"""Taking parts out of a network and seeing what it still answers, each beside a control that takes out as much.

frequencies, embedding   the planes cos w_k t, sin w_k t are projected out of W_E (rows on the circle) and the network
                         runs on: a cause, not a description
frequencies, logits      the part of the logits in cos w_k s, sin w_k s of the right answer s is taken off
                         (restricted.py), for the first key and for all of them; the control takes frequencies that
                         no rule calls key, as many, drawn anew several times
neurons                  the last block's neurons at "=" are set to zero, or to their mean on the grid. No LayerNorm
                         follows, so the logits change by exactly (new - x) W_L. The control takes other neurons:
                         drawn at random, or those of nearest variance

Accuracies are on the n x n grid; drops in percentage points. Neuron ablation counts the circle's outputs, frequency
ablation in the embedding all outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toy.analysis import spectra
from toy.analysis.readout import Readout, grid
from toy.analysis.restricted import AnswerPlanes
from toy.config import ToyConfig
from toy.maths import fourier
from toy.networks.model import Toy
from toy.networks.scores import cross_entropy, scores
from toy.networks.tasks import named

DRAWS = 5
GROUPS = (5, 10, 20, 50, 100)


def frequency_ablation(
    model: Toy, config: ToyConfig, readout: Readout, keys: Sequence[int], *, seed: int, spared: Sequence[int] = ()
) -> dict[str, Any] | None:
    """Accuracy without key frequencies, strongest in W_E first; None if there are no keys.

    `spared` are further frequencies that the control must not take (keys by other rules).
    """
    if not keys:
        return None
    ordered = spectra.strongest(spectra.matrix_shares(readout.embedding), keys)
    others = [k for k in fourier.frequencies(readout.size) if k not in {*keys, *spared}]
    operands = grid(config.task, config.modulus)
    answers = named(config.task).answer(operands, config.modulus)
    planes = AnswerPlanes.of(readout)

    def from_embedding(removed: Sequence[int]) -> float:
        weights = {"W_E": without_frequencies(model.W_E.detach(), readout.tokens, removed)}
        return scores(model, operands, answers, weights).mean()[1]

    def from_logits(removed: Sequence[int]) -> float:
        return float((planes.excluded(removed).argmax(dim=1) == planes.answer).double().mean())

    generator = torch.Generator().manual_seed(seed)
    return {
        "keys": ordered,
        "accuracy": from_embedding([]),
        "embedding": _removals(from_embedding, ordered, others, generator),
        "logits": _removals(from_logits, ordered, others, generator),
    }


def without_frequencies(
    embedding: Float[Tensor, "tokens d"], circle: Int[Tensor, " n"], removed: Sequence[int]
) -> Float[Tensor, "tokens d"]:
    """W_E with the planes of some frequencies projected out of the circle's rows; other rows stay."""
    n, result = len(circle), embedding.clone()
    for k in removed:
        columns = fourier.design(torch.arange(n), k, n).to(embedding)
        columns = columns / columns.norm(dim=0)
        rows = result[circle]
        result[circle] = rows - columns @ (columns.T @ rows)
    return result


def _removals(
    accuracy_without: Callable[[Sequence[int]], float],
    keys: Sequence[int],
    others: Sequence[int],
    generator: torch.Generator,
) -> dict[str, Any]:
    before = accuracy_without([])

    def removal(removed: Sequence[int]) -> dict[str, Any]:
        accuracy = accuracy_without(removed)
        return {"frequencies": list(removed), "accuracy": accuracy, "drop": 100 * (before - accuracy)}

    each = [removal([k]) for k in keys]
    controls = {}
    for name, wanted in {"top": 1, "all": len(keys)}.items():
        size = min(wanted, len(others))
        draws = [
            removal([others[i] for i in torch.randperm(len(others), generator=generator)[:size].tolist()])["drop"]
            for _ in range(DRAWS if size else 0)
        ]
        controls[f"control_{name}"] = {"size": size, **_drops(draws)} if draws else None
    return {"each": each, "top": each[0], "all": removal(keys), **controls}


def neuron_ablation(readout: Readout, ranked: Sequence[int], *, seed: int) -> dict[str, Any]:
    """Single neurons and groups of the ranking (best first) set to zero and to their mean, with controls."""
    cut = NeuronCut(readout)
    generator = torch.Generator().manual_seed(seed)
    m = readout.neurons.shape[2]
    top = list(ranked)[:20]
    others = [i for i in torch.randperm(m, generator=generator).tolist() if i not in set(top)][: len(top)]
    singles = [cut.both([neuron]) for neuron in others]
    order = list(ranked)
    return {
        "accuracy": cut.accuracy,
        "loss": cut.loss,
        "single": [{"neuron": neuron, **cut.both([neuron])} for neuron in top],
        "single_control": _over_draws(singles),
        "groups": [_group(cut, order[:size], generator) for size in GROUPS if size <= len(order) and size < m],
    }


class NeuronCut:
    """The grid's logits with some neurons replaced by a constant."""

    def __init__(self, readout: Readout) -> None:
        on_circle = readout.answer >= 0
        self.neurons = readout.neurons[on_circle]
        self.logits, self.answer = readout.logits[on_circle], readout.answer[on_circle]
        self.W_L, self.mean = readout.W_L, self.neurons.mean(dim=0)
        self.variance = self.neurons.var(dim=0, correction=0)
        self.loss, self.accuracy = self._measure(self.logits)

    def both(self, group: Sequence[int]) -> dict[str, dict[str, float]]:
        """What is left with the group at zero and at its mean."""
        return {"zero": self._replaced(group, 0.0), "mean": self._replaced(group, 1.0)}

    def nearest_in_variance(self, group: Sequence[int]) -> list[int]:
        """For each neuron of the group another one, outside it, of nearest variance; none is taken twice."""
        left = set(range(len(self.variance))) - set(group)
        partners = []
        for neuron in group:
            if not left:
                break
            rest = sorted(left)
            nearest = rest[int((self.variance[rest] - self.variance[neuron]).abs().argmin())]
            left.remove(nearest)
            partners.append(nearest)
        return partners

    def _replaced(self, group: Sequence[int], of_mean: float) -> dict[str, float]:
        index = torch.as_tensor(list(group))
        change = (of_mean * self.mean[index] - self.neurons[:, index]) @ self.W_L[index]
        loss, accuracy = self._measure(self.logits + change)
        return {"accuracy": accuracy, "loss": loss, "drop": 100 * (self.accuracy - accuracy)}

    def _measure(self, logits: Float[Tensor, "rows n"]) -> tuple[float, float]:
        right = logits.argmax(dim=1) == self.answer
        return float(cross_entropy(logits, self.answer).mean()), float(right.double().mean())


def _group(cut: NeuronCut, group: Sequence[int], generator: torch.Generator) -> dict[str, Any]:
    m = len(cut.variance)
    rest = torch.tensor(sorted(set(range(m)) - set(group)))
    # A group of more than half of the neurons has no control of its own size.
    n_draws = DRAWS if len(rest) >= len(group) else 0
    draws = [
        cut.both(rest[torch.randperm(len(rest), generator=generator)[: len(group)]].tolist()) for _ in range(n_draws)
    ]
    matched = cut.nearest_in_variance(group)
    return {
        "size": len(group),
        "top": cut.both(group),
        "random": _over_draws(draws),
        "matched": cut.both(matched) if len(matched) == len(group) else None,
    }


def _over_draws(draws: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float | int]] | None:
    """Mean and largest drop, and mean loss, of some ablations, for zero and for the mean."""
    if not draws:
        return None
    return {
        way: {
            **_drops([draw[way]["drop"] for draw in draws]),
            "mean_loss": sum(draw[way]["loss"] for draw in draws) / len(draws),
        }
        for way in ("zero", "mean")
    }


def _drops(drops: Sequence[float]) -> dict[str, float | int]:
    return {"draws": len(drops), "mean_drop": sum(drops) / len(drops), "max_drop": max(drops)}
