"""Other questions that are answered under the ablation of a circle: other domains, plain arithmetic, facts.

A model that cannot do one of them has nothing to lose there: its row says so by its accuracy before.

    plain addition, subtraction   two numbers of two digits below 50, no modulus in the prompt
    plain multiplication          two numbers of one digit
    facts                         capitals of countries, one answer among all of them
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

from causal.interventions.questions import Questions, ask
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import PLAIN_QUESTIONS, SYMBOLS, WORDS, Domain, Operation
from llm_probe.questions.prompts import Prompt

PLAIN: dict[str, tuple[Operation, range, int]] = {
    "plain addition": ("add", range(10, 50), 98),
    "plain subtraction": ("sub", range(10, 50), 39),
    "plain multiplication": ("mul", range(2, 10), 81),
}
"""Name to operation, operands and the largest result."""
FACTS = "facts"
CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon",
    "Greece": "Athens", "Poland": "Warsaw", "Austria": "Vienna", "Hungary": "Budapest", "Sweden": "Stockholm",
    "Norway": "Oslo", "Finland": "Helsinki", "Denmark": "Copenhagen", "Ireland": "Dublin", "Russia": "Moscow",
    "Turkey": "Ankara", "Egypt": "Cairo", "Kenya": "Nairobi", "China": "Beijing", "Japan": "Tokyo",
    "India": "Delhi", "Thailand": "Bangkok", "Cuba": "Havana", "Peru": "Lima", "Chile": "Santiago",
    "Canada": "Ottawa",
}  # fmt: skip
SENTENCES = ("The capital of {} is", "Q: What is the capital of {}? A:", "{}'s capital city is called")


def skills(loaded: LoadedModel, claims: Sequence[Claim], size: int, seed: int) -> dict[str, Callable[[], Questions]]:
    """Condition to what makes its questions, of the claims' causal part."""

    def of(claim: Claim) -> Questions:
        # Where a plain difference is below zero the answer is none of the items.
        prompts = claim.prompts("causal", size, seed)
        if claim.domain.name in PLAIN:
            prompts = [prompt for prompt in prompts if prompt.total == prompt.label]
        return ask(loaded, prompts, claim.domain.items)

    every = [*claims, *(Claim(plain(name), "sum") for name in PLAIN)]
    makers: dict[str, Callable[[], Questions]] = {claim.domain.name: partial(of, claim) for claim in every}
    makers[FACTS] = lambda: ask(loaded, facts(), tuple(CAPITALS.values()))
    # Every circle of a run is tested on the same questions: they are read once.
    return {name: cache(make) for name, make in makers.items()}


def plain(name: str) -> Domain:
    """Arithmetic without a modulus: a period that no result reaches."""
    operation, operands, largest = PLAIN[name]
    questions = {
        key: text.replace("{symbol}", SYMBOLS[operation]).replace("{word}", WORDS[operation])
        for key, text in PLAIN_QUESTIONS.items()
    }
    items = tuple(str(number) for number in range(largest + 1))
    return Domain(name, items, questions=questions, operation=operation, operands=operands, cyclic=False)


def facts() -> list[Prompt]:
    """Every country in every sentence."""
    return [
        Prompt(sentence.format(country), {}, sentence, index, 0, index, index, capital)
        for index, (country, capital) in enumerate(CAPITALS.items())
        for sentence in SENTENCES
    ]
