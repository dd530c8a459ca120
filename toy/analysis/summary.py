"""The main numbers of a network, as the terminal and the page show them: each beside the same untrained.

`rows` are (name, this network, untrained, what it means); `sentence` is the network in words. A number that was not
measured is a dash, and no number has more digits than it supports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from toy.config import ToyConfig
from toy.networks.tasks import named
from toy.pictures.style import Real, listed, percent

DASH = "–"
KEY_RULES = {
    "neurons": "keys, neuron rule",
    "embedding": "keys of W_E",
    "w_l": "keys of W_L",
    "logits": "keys of the logits",
}


class Row(NamedTuple):
    """One measure."""

    name: str
    trained: str
    untrained: str
    meaning: str


def rows(analysis: Mapping[str, Any]) -> list[Row]:
    """The main numbers of `toy.analysis.measurements.analyse`."""
    untrained = analysis["untrained"]

    def both(name: str, key: str, form: Any, meaning: str) -> Row:
        return Row(name, form(analysis[key]), form(untrained.get(key)), meaning)

    keys = [
        both(words, f"key_frequencies_{rule}", _keys, analysis["key_rules"][rule]) for rule, words in KEY_RULES.items()
    ]
    return [
        both("accuracy, train", "train_accuracy", _share, "of the rows that were trained on"),
        both("accuracy, test", "test_accuracy", _share, "of the other rows"),
        both("accuracy, all", "full_accuracy", _share, "of the whole table"),
        both("accuracy, grid", "slice_accuracy", _share, "of the grid of two operands, outputs on the circle"),
        both("loss, train", "train_loss", _loss, "cross-entropy in nats"),
        both("loss, test", "test_loss", _loss, "cross-entropy in nats"),
        *keys,
        both("logit FVE", "logit_fve", _share, "logit variance in cos w_k(s − c) of the keys, one coefficient a key"),
        both("neurons explained", "neurons_explained", _share, "live neurons, more than 85 % by one frequency"),
        both("full loss", "full_loss", _loss, "on the same grid"),
        both("restricted loss", "restricted_loss", _loss, "the same with the keys' part of the logits alone"),
        both("excluded loss", "excluded_loss", _loss, "training rows without the keys' part"),
        both("Gini of W_E", "gini", _two, "sparsity of the Fourier components: 0 is flat"),
        both("Gini of W_L", "gini_w_l", _two, "the same of neurons to logits"),
        both("sum of squares", "sum_squared_weights", _loss, "of all weights"),
        both("symmetricity", "gradient_symmetricity", _two, "of the gradients in a and b: Clock 0.33, Pizza 0.99"),
        both("distance irrelevance", "distance_irrelevance", _two, "Clock 0.85, Pizza 0.17"),
        both("circularity", "circularity", _two, "of the first four principal components"),
    ]


def sentence(config: ToyConfig, analysis: Mapping[str, Any]) -> str:
    """What the network does, in the numbers that were measured."""
    keys = analysis["key_frequencies_neurons"]
    said = (
        f"{named(config.task).formula} modulo {config.modulus}: {percent(analysis['test_accuracy'])} of the questions "
        f"it was not trained on are right, {percent(analysis['train_accuracy'])} of the others. "
    )
    if not keys:
        return said + "No frequency is key by the neuron rule: no circuit of waves was found."
    explained = analysis["untrained"]["logit_fve"]
    return said + (
        f"{len(keys)} key {'frequency' if len(keys) == 1 else 'frequencies'}, {listed(sorted(keys))}, "
        f"{'explains' if len(keys) == 1 else 'explain'} {percent(analysis['logit_fve'])} of the logits' variance "
        f"(untrained {percent(explained or 0)}); with their part alone the loss is "
        f"{_loss(analysis['restricted_loss'])}, with all of the logits {_loss(analysis['full_loss'])}."
    )


def terminal_table(analysis: Mapping[str, Any]) -> str:
    """The numbers in three aligned columns."""
    table = [("", "this network", "untrained"), *((row.name, row.trained, row.untrained) for row in rows(analysis))]
    widths = [max(len(line[column]) for line in table) for column in range(3)]
    return "\n".join(f"{name:<{widths[0]}}  {one:>{widths[1]}}  {other:>{widths[2]}}" for name, one, other in table)


def _keys(values: list[int] | None) -> str:
    return DASH if values is None else " ".join(map(str, values)) or "none"


def _share(value: Real | None) -> str:
    return DASH if value is None else percent(value)


def _loss(value: Real | None) -> str:
    return DASH if value is None else f"{value:.3g}"


def _two(value: Real | None) -> str:
    return DASH if value is None else f"{value:.2f}"
