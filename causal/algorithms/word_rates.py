"""How often each word is said of networks whose algorithm is known: no look-up may be a clock, and clocks must be.

    answer code              one random vector for each answer; every plane turned, and the three strongest alone
    clusters                 four random vectors and something of each answer's own
    open arc                 a smooth curve through the answers that does not close
    clock                    the closed-form network of one to max(2, (p - 1)/4) random frequencies

each of p = 7, 13, 23 answers, on random operand pairs below 60. `without_order` is what the likelihoods alone say
(`algorithm.likeliest`). Rates have Clopper-Pearson intervals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from causal.algorithms.algorithm import likeliest
from causal.algorithms.known_networks import (
    Adder,
    AnswerCode,
    Clock,
    arc_codes,
    clustered_codes,
    decide_algorithm,
    random_codes,
)
from toy.maths.intervals import clopper_pearson

MODULI = (7, 13, 23)
BELOW, QUESTIONS = 60, 800
WORDS = ("clock", "look-up", "mixed", "base-10 then reduce", "undetermined")


@dataclass(frozen=True)
class WordRow:
    """How often one word was said of one kind of network."""

    network: str
    """Kind of network: `answer code`, `answer code, three planes`, `clusters`, `open arc`, `clock`."""
    modulus: int
    """Number of answers, p."""
    networks: int
    """Number of networks of this kind, each with a seed of its own."""
    word: str
    """Algorithm that was decided for, or `undetermined`."""
    said: int
    """Number of networks that got the word."""
    rate: float
    """Share of networks that got the word."""
    lower: float
    """Lower end of the 95 % Clopper-Pearson interval of that share."""
    upper: float
    """Upper end of that interval."""
    without_order: int
    """Number of networks that would have got the word without the tests of order."""


def clock_of(modulus: int, seed: int) -> Clock:
    """A closed-form clock of random frequencies."""
    generator = torch.Generator().manual_seed(seed)
    most = max(2, (modulus - 1) // 4)
    count = int(torch.randint(1, most + 1, (), generator=generator))
    chosen = torch.randperm((modulus - 1) // 2, generator=generator)[:count] + 1
    return Clock(modulus, BELOW, sorted(chosen.tolist()))


KINDS: dict[str, tuple[Callable[[int, int], Adder], Callable[[int], int]]] = {
    "answer code": (lambda p, seed: AnswerCode(random_codes(p, seed=seed), BELOW), lambda p: (p - 1) // 2),
    "answer code, three planes": (lambda p, seed: AnswerCode(random_codes(p, seed=seed), BELOW), lambda p: 3),
    "clusters": (lambda p, seed: AnswerCode(clustered_codes(p, seed=seed), BELOW), lambda p: (p - 1) // 2),
    "open arc": (lambda p, seed: AnswerCode(arc_codes(p, seed=seed), BELOW), lambda p: max(2, (p - 1) // 4)),
    "clock": (clock_of, lambda p: max(2, (p - 1) // 4)),
}
"""Kind to (network of a modulus and a seed, frequencies that are turned)."""


def word_rows(kind: str, modulus: int, networks: int) -> Iterator[WordRow]:
    """A row for every word that was said, with or without the tests of order."""
    make, count = KINDS[kind]
    decided: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    for seed in range(networks):
        seen, decision = decide_algorithm(make(modulus, seed), questions=QUESTIONS, count=count(modulus), seed=seed)
        likelihood = {name: each.log_likelihood for name, each in decision.explained.items()}
        decided[decision.algorithm] += 1
        alone[likeliest(likelihood, seen.follows, seen.accuracy)[0]] += 1
    for word in WORDS:
        if decided[word] or alone[word]:
            interval = clopper_pearson(decided[word], networks)
            rate = decided[word] / networks
            yield WordRow(kind, modulus, networks, word, decided[word], rate, *interval, alone[word])
