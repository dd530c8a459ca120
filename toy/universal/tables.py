"""What a universal modulus can do and how, as tables.

accuracy.csv   a row a modulus 2 … 199: right answers over all p² pairs. `bound` is the share of pairs of which a, b and
               the answer are all below the largest training modulus: without weights shared between numbers, nothing
               else can be answered.
circles.csv    a row a modulus, for this network and an untrained one: the toy's own rules for key frequencies
               (keys.py) and the logits' share along cos w_k(s - c) (spectra.py), summed over k. Then what the last
               block's neurons are functions of, as shares of their variance over the pairs:
                   sum_share      between the values of a + b            residue_share  between those of (a + b) mod p
               A residue is a function of the sum, so residue ≤ sum; a network that adds and then subtracts p once
               need not know residues, one that turns on a circle knows nothing else.
wraps.csv      which of the two, outside the training range: a and b up to the largest number that training shows,
               p in the lower half of the range. For a + b at least 2p the true residue and a + b - p come apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toy.analysis import keys, spectra
from toy.analysis.readout import Readout
from toy.run.files import Row, write_tables
from toy.universal.config import LARGEST, Split
from toy.universal.network import Universal, answers, pairs
from toy.universal.train import QUESTIONS_AT_ONCE, Training, accuracies, answered, share

CIRCLES_AT = (15, 23, 35, 55, 64, 75, 95, 113, 115)
"""Held-out moduli, primes and a power of two."""
WRAPS_AT = (10, 20, 30, 40, 50)
FRESH = 1_000_003
"""Added to the seed of the untrained network."""


def measure(training: Training, folder: Path) -> dict[str, float]:
    """Write the three tables and summary.json; the summary. Raises InputError if they cannot be written."""
    model, split = training.model.requires_grad_(False), training.split
    accuracy = accuracy_rows(model, split)
    fresh = Universal(replace(training.config, seed=FRESH + training.config.seed)).to(model.W_U.device)
    nets = {"trained": model, "untrained": fresh.requires_grad_(False)}
    chosen = [modulus for modulus in CIRCLES_AT if modulus <= split.largest]
    circles = [{"weights": name, **circle_row(net, modulus)} for name, net in nets.items() for modulus in chosen]
    wraps = [wrap_row(model, modulus, split.largest) for modulus in WRAPS_AT if 2 * modulus <= split.largest]
    summary = summarise(accuracy)
    write_tables(folder, {"accuracy": accuracy, "circles": circles, "wraps": wraps}, summary)
    return summary


def accuracy_rows(model: Universal, split: Split) -> list[Row]:
    """A row a modulus 2 … 199."""
    by_modulus = accuracies(model, range(2, LARGEST + 1))
    parts = dict.fromkeys(split.train, "train") | dict.fromkeys(split.held_out, "held_out")
    return [
        {"modulus": modulus, "part": parts.get(modulus, "beyond"), "accuracy": value, "bound": bound(modulus, split)}
        for modulus, value in by_modulus.items()
    ]


def bound(modulus: int, split: Split) -> float:
    """Share of the pairs whose a, b and answer are all numbers that training shows."""
    questions = pairs(modulus)
    seen = (questions[:, 2] < split.largest) & (answers(questions) < split.largest)
    return share(questions, seen)


def summarise(rows: Sequence[Row]) -> dict[str, float]:
    """Mean and least accuracy of each part, and the mean bound."""
    summary = {}
    for part in dict.fromkeys(row["part"] for row in rows):
        own = [row for row in rows if row["part"] == part]
        values = [row["accuracy"] for row in own]
        summary |= {f"{part}_mean": sum(values) / len(values), f"{part}_lowest": min(values)}
        summary[f"{part}_bound"] = sum(row["bound"] for row in own) / len(own)
    return summary


def circle_row(model: Universal, modulus: int) -> Row:
    """What the network holds of one modulus' circle."""
    readout = read_out(model, modulus)
    rules = keys.all_rules(readout, spectra.grid_shares(readout.neurons))
    n = torch.arange(modulus)[:, None] + torch.arange(modulus)
    by_sum, by_residue = (between(readout.neurons, labels) for labels in (n, n % modulus))
    return {
        "modulus": modulus,
        **{f"keys_{name}": " ".join(map(str, frequencies)) for name, frequencies in rules.items()},
        "logit_fve": float(spectra.logit_shares(readout).sum()),
        "sum_share": by_sum,
        "residue_share": by_residue,
    }


def read_out(model: Universal, modulus: int) -> Readout:
    """The network on the grid of one modulus, as the toy's measurements take it."""
    numbers = torch.arange(modulus)
    grid = torch.cartesian_prod(numbers, numbers)
    questions = torch.cat([torch.full_like(grid[:, :1], modulus), grid], dim=1).to(model.W_U.device)
    parts = questions.split(QUESTIONS_AT_ONCE)
    unembedding = model.unembedding[:, :modulus].cpu()
    return Readout(
        task="add",
        modulus=modulus,
        tokens=numbers,
        embedding=model.embedding[:modulus].cpu(),
        unembedding=unembedding,
        W_L=model.last.W_out.cpu() @ unembedding,
        logits=torch.cat([model(some)[:, :modulus].cpu() for some in parts]).view(modulus, modulus, -1),
        neurons=torch.cat([model.neurons(some).cpu() for some in parts]).view(modulus, modulus, -1),
        attention=None,
        answer=grid.sum(1).view(modulus, modulus) % modulus,
    )


def between(grids: Float[Tensor, "p p m"], labels: Int[Tensor, "p p"]) -> float:
    """Share of the grids' pooled variance between classes of equal label."""
    values = grids.flatten(0, 1).double()
    values = values - values.mean(0)
    _, index, counts = labels.flatten().unique(return_inverse=True, return_counts=True)
    sums = torch.zeros(len(counts), values.shape[1], dtype=torch.float64).index_add_(0, index, values)
    return float((sums.square() / counts[:, None]).sum() / values.square().sum())


def wrap_row(model: Universal, modulus: int, largest: int) -> Row:
    """Answers to a + b ≥ 2p, operands up to `largest`, which training never asks: the residue, or a + b - p?"""
    questions = pairs(modulus, largest)
    n = questions[:, 1] + questions[:, 2]
    unseen = (n >= 2 * modulus) & (n - modulus < largest)
    chosen, n = answered(model, questions[unseen]), n[unseen]
    shares = {"residue": n % modulus, "subtracted_once": n - modulus}
    return {"modulus": modulus, "questions": len(n)} | {
        name: float((chosen == wanted).double().mean()) for name, wanted in shares.items()
    }
