"""Which questions can the model answer at all? Right answers offset by offset, without and behind worked examples.

Before anything is said of how a model adds, it has to add. A model may know the day after Monday and not the day three
days after; a mean over offsets hides that, and a claim of computing rests on those that are answered. Every offset from
1 to one less than the period (of numbers both operands from 1 to 9) is asked with as many first operands and templates
as there are, up to QUESTIONS. A quarter of the operand pairs is kept for worked examples, which are of pairs that no
question asks about.

Guessing may be guessing the most frequent right answer of an offset, which is what the binomial test compares with;
Holm corrects over the offsets and numbers of examples of a domain.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from llm_probe.activations.behaviour import score
from llm_probe.circuits.table import OffsetRow
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.domains import Domain
from llm_probe.questions.prompts import Prompt, behind_examples, pair_hash, question
from toy.maths.intervals import holm, wilson

QUESTIONS = 24
"""Of one offset, at most."""
KEPT = 0.25
"""Share of operand pairs that no question asks about."""
LARGEST = 10
"""Operands of sums of numbers are below it."""


def offset_rows(loaded: LoadedModel, domain: Domain, shots: tuple[int, ...], seed: int) -> list[OffsetRow]:
    """How often the questions of each offset are answered, for each number of worked examples."""
    domain = small(domain)
    questions = questions_of(domain, seed)
    answers = domain.possible_answers
    counted: list[tuple[int, int, int, int, int, float]] = []
    for count in dict.fromkeys(shots):
        prompts = behind_examples(domain, questions, count, seed) if count else questions
        scored = score(loaded, prompts, answers)
        for offset in sorted({prompt.offset for prompt in prompts}):
            own = [index for index, prompt in enumerate(prompts) if prompt.offset == offset]
            right = [answers.index(prompts[index].answer or "") for index in own]
            chosen = sum(scored[index].chosen == label for index, label in zip(own, right, strict=True))
            frequent = max(np.bincount(right)) / len(own)
            exact = sum(scored[index].exact for index in own)
            counted.append((count, offset, len(own), exact, chosen, float(max(frequent, 1 / len(answers)))))
    p = holm(torch.tensor([_above(chosen, n, chance) for _, _, n, _, chosen, chance in counted]))
    return [
        OffsetRow(
            loaded.weights, domain.name, count, offset, n, exact / n, chosen / n, *wilson(chosen, n), chance, value  # type: ignore[arg-type]
        )
        for (count, offset, n, exact, chosen, chance), value in zip(counted, p.tolist(), strict=True)
    ]  # fmt: skip


def _above(right: int, n: int, chance: float) -> float:
    from scipy.stats import binomtest

    return float(binomtest(right, n, min(1.0, chance), alternative="greater").pvalue)


def small(domain: Domain) -> Domain:
    """The same questions with small operands: offsets below the period, numbers below 10."""
    if domain.operands is not None:
        return replace(domain, operands=range(1, LARGEST))
    return replace(domain, largest_offset=domain.period)


def questions_of(domain: Domain, seed: int) -> list[Prompt]:
    """Up to QUESTIONS of every offset but 0, spread over first operands and templates."""
    first, offset = (grid.ravel() for grid in np.meshgrid(domain.first_operands, domain.offsets, indexing="ij"))
    free = (pair_hash(first, offset, seed) >= KEPT) & (offset > 0) & np.asarray(domain.admits(first, offset))
    result: list[Prompt] = []
    for step in np.unique(offset[free]).tolist():
        operands = first[free & (offset == step)].tolist()
        pairs = [(template, one) for one in operands for template in domain.questions]
        order = np.random.default_rng((seed, step)).permutation(len(pairs))[:QUESTIONS]
        result += [question(domain, pairs[index][0], pairs[index][1], step) for index in sorted(order.tolist())]
    return result
