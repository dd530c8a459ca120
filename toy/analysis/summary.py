"""The main numbers of a network, as the terminal and the page show them: each beside the same untrained.

`rows` are (name, this network, untrained, what it means); `sentence` is the network in words. A number that was not
measured is a dash, and no number has more digits than it supports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from toy.config import ToyConfig
from toy.networks.tasks import named
from toy.pictures.style import listed, percent

DASH = "–"
FORMS: dict[str, Callable[[Any], str]] = {
    "share": percent,
    "loss": "{:.3g}".format,
    "two": "{:.2f}".format,
    "keys": lambda keys: " ".join(map(str, keys)) or "none",
}
MEASURES = (
    ("accuracy, train", "train_accuracy", "share", "of the rows that were trained on"),
    ("accuracy, test", "test_accuracy", "share", "of the other rows"),
    ("accuracy, all", "full_accuracy", "share", "of the whole table"),
    ("accuracy, grid", "slice_accuracy", "share", "of the grid of two operands, outputs on the circle"),
    ("loss, train", "train_loss", "loss", "cross-entropy in nats"),
    ("loss, test", "test_loss", "loss", "cross-entropy in nats"),
    ("keys, neuron rule", "key_frequencies_neurons", "keys", "neurons"),
    ("keys of W_E", "key_frequencies_embedding", "keys", "embedding"),
    ("keys of W_L", "key_frequencies_w_l", "keys", "w_l"),
    ("keys of the logits", "key_frequencies_logits", "keys", "logits"),
    ("logit FVE", "logit_fve", "share", "logit variance in cos w_k(s − c) of the keys, one coefficient a key"),
    ("neurons explained", "neurons_explained", "share", "live neurons, more than 85 % by one frequency"),
    ("full loss", "full_loss", "loss", "on the same grid"),
    ("restricted loss", "restricted_loss", "loss", "the same with the keys' part of the logits alone"),
    ("excluded loss", "excluded_loss", "loss", "training rows without the keys' part"),
    ("Gini of W_E", "gini", "two", "sparsity of the Fourier components: 0 is flat"),
    ("Gini of W_L", "gini_w_l", "two", "the same of neurons to logits"),
    ("sum of squares", "sum_squared_weights", "loss", "of all weights"),
    ("symmetricity", "gradient_symmetricity", "two", "of the gradients in a and b: Clock 0.33, Pizza 0.99"),
    ("distance irrelevance", "distance_irrelevance", "two", "Clock 0.85, Pizza 0.17"),
    ("circularity", "circularity", "two", "of the first four principal components"),
)
"""Name, key of the analysis, form, and what it means; of keys the rule, whose sentence the analysis holds."""


class Row(NamedTuple):
    """One measure."""

    name: str
    trained: str
    untrained: str
    meaning: str


def rows(analysis: Mapping[str, Any]) -> list[Row]:
    """The main numbers of `toy.analysis.measurements.analyse`."""
    untrained, rules = analysis["untrained"], analysis["key_rules"]
    return [
        Row(name, _form(analysis[key], form), _form(untrained.get(key), form), rules.get(meaning, meaning))
        for name, key, form, meaning in MEASURES
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
        f"{_form(analysis['restricted_loss'], 'loss')}, with all of the logits {_form(analysis['full_loss'], 'loss')}."
    )


def terminal_table(analysis: Mapping[str, Any]) -> str:
    """The numbers in three aligned columns."""
    table = [("", "this network", "untrained"), *((row.name, row.trained, row.untrained) for row in rows(analysis))]
    widths = [max(len(line[column]) for line in table) for column in range(3)]
    return "\n".join(f"{name:<{widths[0]}}  {one:>{widths[1]}}  {other:>{widths[2]}}" for name, one, other in table)


def _form(value: Any, form: str) -> str:
    return DASH if value is None else FORMS[form](value)
