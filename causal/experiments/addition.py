"""Sums of two digits: can a model name them behind worked examples, and what of a digit's state moves its answer?

    "3 + 4 = 7\n … 5 + 2 = "                            eight worked examples, then a sum below ten

Below ten a sum is one digit: the ten sums go once around a circle of period 10, as the ten digits of the first operand
do. Both are moved (`moves`), the operand at its own token and the sum at the prompt's last. With digit a moved to x the
right answer to a + b is x + b, 0 to 18: a model that holds digits on a circle and adds on it would follow.

Directions are fitted on one part of the 55 operand pairs (`discovery`) and states moved on the other (`causal`); worked
examples are of the other pairs of the same part, so that no pair is read in both.
"""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from causal.experiments.moves import Held
from causal.experiments.tables import AdditionRow
from causal.interventions.engine import Engine
from causal.interventions.questions import ask
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Quantity
from llm_probe.questions.prompts import Part, Prompt
from llm_probe.run.vocabulary import Position
from toy.maths.intervals import wilson

DIGITS = 10
SHOTS = (0, 8)
"""Worked examples; states are moved behind the most."""
SAMPLES: dict[Part, int] = {"discovery": 3, "causal": 2}
"""Prompts an operand pair, each with examples of its own."""
MOVABLE = 0.5
"""Subspaces are trained where the whole difference of class means moves this share of as many answers as are right."""
POSITIONS: dict[Quantity, Position] = {"item": "item", "sum": "last"}
"""Where the first operand and the sum are moved."""
ANSWERS = tuple(map(str, range(2 * DIGITS - 1)))


def pairs_of(part: Part) -> list[tuple[int, int]]:
    """Pairs of digits with a sum below ten. Of `discovery` are all ten digits and sums, of `causal` all but the pairs
    that alone have theirs: 0 + 0, and 9 + 0."""
    pairs = [(a, b) for a in range(DIGITS) for b in range(DIGITS - a)]
    return [(a, b) for a, b in pairs if ((a + 2 * b) % 4 < 2) == (part == "discovery")]


def prompts_of(part: Part, shots: int, seed: int = 0) -> list[Prompt]:
    """Every pair of a part behind several draws of worked examples; without examples once."""
    pairs, generator = pairs_of(part), torch.Generator().manual_seed(2 * seed + (part == "causal"))
    prompts = []
    for a, b in pairs:
        others = [pair for pair in pairs if pair != (a, b)]
        for _ in range(SAMPLES[part] if shots else 1):
            shown = [others[index] for index in torch.randperm(len(others), generator=generator)[:shots]]
            before = "".join(f"{x} + {y} = {x + y}\n" for x, y in shown)
            spans = {"item": (len(before), len(before) + 1), "offset": (len(before) + 4, len(before) + 5)}
            prompts.append(Prompt(f"{before}{a} + {b} = ", spans, "sum", a, b, a + b, a + b, str(a + b)))
    return prompts


def held(loaded: LoadedModel, part: Part, quantity: Quantity, seed: int) -> Held:
    """The sums behind most examples, each with its first operand or its sum."""
    prompts = prompts_of(part, max(SHOTS), seed)
    first, second = torch.tensor([(prompt.first, prompt.offset) for prompt in prompts]).T
    items = first if quantity == "item" else first + second
    return Held(ask(loaded, prompts, ANSWERS), items, answers_of(second, quantity))


def answers_of(second: Int[Tensor, " n"], quantity: Quantity) -> Int[Tensor, "n 10"]:
    """The right answer with every digit in the place of the first operand, or with every sum in that of the sum."""
    digits = torch.arange(DIGITS).expand(len(second), -1)
    return digits + second[:, None] if quantity == "item" else digits


def answer_row(loaded: LoadedModel, shots: int, seed: int) -> AdditionRow:
    """How often the model names the sum, on discovery prompts."""
    questions = ask(loaded, prompts_of("discovery", shots, seed), ANSWERS)
    answers, labels = Engine(loaded, questions, len(loaded.layers) - 1, position="last").clean(), questions.labels
    right, n = int((answers.chosen == labels).sum()), len(labels)
    written, chance = float((answers.written == labels).double().mean()), int(labels.bincount().max()) / n
    return AdditionRow(shots, n, right / n, *wilson(right, n), written, chance)
