"""Where the answer is: states exchanged for those of a prompt that differs in the last digit of the first operand.

For each causal prompt a donor asks the same with another first operand (the same but for its last digit, where numbers
are added; another item otherwise), so that donor and prompt have the same length and differ in one token. The whole
state at one layer and position is exchanged, and the answer is the donor's, the prompt's own, or neither. At the first
operand the share of donor answers falls over the layers as what is known of it moves on; at the last token it rises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from causal.interventions.engine import Engine
from causal.interventions.questions import Questions, ask
from causal.run.table import MapRow
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.prompts import Prompt, question

POSITIONS = ("item", "offset", "last")


def layer_map(
    loaded: LoadedModel, claim: Claim, questions: Questions, tick: Callable[[int], Any] = lambda count: None
) -> list[MapRow]:
    """Rows of every layer and position."""
    donors = ask(loaded, [donor(claim, prompt) for prompt in questions.prompts], claim.domain.items)
    same = [len(one.ids) == len(other.ids) for one, other in zip(questions.items, donors.items, strict=True)]
    kept = [row for row, equal in enumerate(same) if equal]
    if not kept:
        return []
    questions, donors = questions.take(kept), donors.take(kept)
    there = [place for place in POSITIONS if all(place in item.positions for item in questions.items)]
    rows = []
    for layer in range(len(loaded.layers)):
        for position in there:
            given = Engine(loaded, donors, layer, position=position).states()
            after = Engine(loaded, questions, layer, position=position).answers(
                [lambda states, which, given=given: given[which].to(states)], tick
            )[0]
            theirs, own = (float((after.written == one.labels).double().mean()) for one in (donors, questions))
            rows.append(MapRow(claim.domain.name, layer, position, "full", theirs, own, len(kept)))
    return rows


def donor(claim: Claim, prompt: Prompt) -> Prompt:
    """The same question about another first operand, whose answer differs."""
    firsts = list(claim.domain.first_operands)
    if claim.renames_digits and claim.is_arithmetic:
        firsts = [first for first in firsts if first // 10 == prompt.first // 10]
    generator = torch.Generator().manual_seed(1000 * prompt.first + prompt.offset)
    for index in torch.randperm(len(firsts), generator=generator).tolist():
        other = question(claim.domain, prompt.template, int(firsts[index]), prompt.offset)
        if other.label != prompt.label:
            return other
    return prompt
