"""What a network that adds can do, as one table: held-out pairs only, whole answers, greedily.

accuracy.csv   a row a group of pairs, with Wilson's 95 % interval:
    by = category        the published sweep: 13 kinds of sums within five digits, and 6d+6d beyond them
         digits          n + n digits, from 1 to five more than trained on
         longest carry   pairs of the longest trained length by the most columns in a row that carry one on
         place           such pairs, one digit of the answer (1 = ones) after the true ones before it
         place, longer   the same of one digit more
neurons.csv    see neurons.py

`carries`: every column of the longer number carries. `zeros`: one of the numbers is 0. `small_exhaustive`: both below
20. Kinds with few possible pairs have few held-out ones: `pairs` says how many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Bool, Int

from toy.addition.config import AdditionConfig
from toy.addition.network import Addition, Pairs, digits_of, draw, held_out
from toy.addition.neurons import neuron_rows, published_r2
from toy.addition.train import Training, right, right_characters
from toy.maths.intervals import wilson
from toy.run.files import Row, write_tables

PAIRS_OF_A_GROUP = 1000
"""Pairs of a group, where so many are held out; published 200."""
DIGITS = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (1, 3), (1, 5), (2, 4), (2, 5), (3, 5))
FRESH = 1_000_003
"""Added to the seed of the untrained network."""


def measure(training: Training, folder: Path) -> dict[str, float]:
    """Write accuracy.csv, neurons.csv and summary.json; the summary. Raises InputError if they cannot be written."""
    model = training.model.requires_grad_(False)
    accuracy = [*category_rows(model), *digit_rows(model), *carry_rows(model), *place_rows(model)]
    nets = {"trained": model, "untrained": untrained(model)}
    neurons = [{"weights": name, **row} for name, net in nets.items() for row in neuron_rows(net)]
    summary = summarise(accuracy)
    for name, net in nets.items():
        summary |= {f"{name}_{key}": value for key, value in published_r2(net).items()}
    write_tables(folder, {"accuracy": accuracy, "neurons": neurons}, summary)
    return summary


def untrained(model: Addition) -> Addition:
    """A network of the same shape with other weights, as they are before training."""
    config = replace(model.config, seed=FRESH + model.config.seed)
    return Addition(config).to(model.W_U.device).requires_grad_(False)


def summarise(rows: list[Row]) -> dict[str, float]:
    """Mean and least accuracy of the sweep's categories in the range that was trained on, and what is beyond it."""
    inside = [row["accuracy"] for row in rows if row["by"] == "category" and not row["beyond"]]
    beyond = {row["value"]: row["accuracy"] for row in rows if row["by"] == "digits" and row["beyond"]}
    summary = {"categories_mean": sum(inside) / len(inside), "categories_lowest": min(inside)}
    return summary | {f"accuracy_{name}": value for name, value in beyond.items()}


def category_rows(model: Addition) -> Iterator[Row]:
    """The published sweep's fourteen categories."""
    for name, pairs in categories(model.config).items():
        yield _row(model.config, "category", name, pairs, right(model, pairs))


def categories(config: AdditionConfig) -> dict[str, Pairs]:
    """Held-out pairs of each category."""
    by_lengths = {f"{a}d+{b}d": sample(config, lengths(a, b)) for a, b in DIGITS}

    def zeros(count: int, generator: torch.Generator) -> Pairs:
        side = torch.randint(2, (count, 1), generator=generator)
        return lengths(1, 5, mixed=True)(count, generator) * torch.cat([side, 1 - side], dim=1)

    def carrying(count: int, generator: torch.Generator) -> Pairs:
        pairs = lengths(2, 5, mixed=True)(10 * count, generator)
        return pairs[carries(pairs).sum(1) == digits_of(pairs.max(1).values)]

    numbers = torch.arange(20)
    small = torch.cartesian_prod(numbers, numbers)
    kinds = {"carries": carrying, "zeros": zeros, "small_exhaustive": lambda count, generator: small}
    return by_lengths | {name: sample(config, kind) for name, kind in kinds.items()}


def digit_rows(model: Addition) -> Iterator[Row]:
    """n + n digits, from 1 to five more than trained on."""
    for digits in range(1, model.config.max_digits + 6):
        pairs = sample(model.config, lengths(digits, digits))
        yield _row(model.config, "digits", f"{digits}d+{digits}d", pairs, right(model, pairs))


def carry_rows(model: Addition) -> Iterator[Row]:
    """Pairs of the longest trained length, by how far a carry travels."""
    digits = model.config.max_digits
    pairs = sample(model.config, lengths(digits, digits), 10 * PAIRS_OF_A_GROUP)
    chain, good = longest_run(carries(pairs)), right(model, pairs)
    for length in chain.unique().tolist():
        mine = chain == length
        yield _row(model.config, "longest carry", str(length), pairs[mine], good[mine])


def place_rows(model: Addition) -> Iterator[Row]:
    """Each digit of the answer after the true ones before it."""
    for name, digits in (("place", model.config.max_digits), ("place, longer", model.config.max_digits + 1)):
        pairs = sample(model.config, lengths(digits, digits))
        good, target = right_characters(model, pairs)
        length = digits_of(pairs.sum(1))[:, None]
        column = torch.arange(target.shape[1])
        place = column + 1 if model.config.order == "reversed" else length - column
        for wanted in range(1, digits + 2):
            here = (place == wanted) & (column < length)
            yield _row(model.config, name, str(wanted), pairs[here.any(1)], good[here])


def lengths(a: int, b: int, *, mixed: bool = False) -> Callable[[int, torch.Generator], Pairs]:
    """Draws pairs of exactly a and b digits, or of a … b digits each."""

    def kind(count: int, generator: torch.Generator) -> Pairs:
        if mixed:
            both = torch.randint(a, b + 1, (2, count), generator=generator)
            return draw(count, (both[0], both[1]), generator)
        return draw(count, (torch.full((count,), a), torch.full((count,), b)), generator)

    return kind


def sample(
    config: AdditionConfig, kind: Callable[[int, torch.Generator], Pairs], count: int = PAIRS_OF_A_GROUP
) -> Pairs:
    """At most `count` different held-out pairs of a kind, the same for every network with the same split."""
    generator = torch.Generator().manual_seed(config.split_seed)
    pairs = kind(math.ceil(3 * count / config.held_out), generator)
    pairs = pairs[held_out(pairs, config.held_out, config.split_seed)].unique(dim=0)
    return pairs[torch.randperm(len(pairs), generator=generator)[:count]]


def carries(pairs: Pairs) -> Bool[torch.Tensor, "n w"]:
    """Whether each column, ones first, carries one into the next: a mod 10^(i+1) + b mod 10^(i+1) ≥ 10^(i+1)."""
    power = 10 ** torch.arange(1, int(digits_of(pairs.max().reshape(1))) + 1)
    return (pairs[:, :, None] % power).sum(1) >= power


def longest_run(carry: Bool[torch.Tensor, "n w"]) -> Int[torch.Tensor, " n"]:
    """The most columns in a row that carry."""
    longest = run = torch.zeros(len(carry), dtype=torch.long)
    for column in carry.T:
        run = (run + 1) * column
        longest = longest.maximum(run)
    return longest


def _row(config: AdditionConfig, by: str, value: str, pairs: Pairs, good: Bool[torch.Tensor, " n"]) -> Row:
    low, high = wilson(int(good.sum()), len(good))
    beyond = int(digits_of(pairs.max().reshape(1))) > config.max_digits
    return {
        "by": by,
        "value": value,
        "beyond": beyond,
        "pairs": len(good),
        "accuracy": float(good.double().mean()),
        "low": low,
        "high": high,
    }
