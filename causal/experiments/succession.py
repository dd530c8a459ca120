"""The next item: can a model name it, and what of an item's state moves its answer?

A model that cannot add days may still go on with Monday, Tuesday, Wednesday. Asked in two forms,

    list       "May, June, July,"                       three items of the succession (others: two to five)
    examples   "May -> June\\n … March ->"               four worked examples, none of the item that is asked

with prompts that share no examples between those that directions are fitted on (`discovery`) and those that are edited
(`causal`). The last item is moved at its last token, behind every block (`moves`).
"""

from __future__ import annotations

import torch

from causal.experiments.moves import Held
from causal.experiments.tables import Form, SuccessionRow
from causal.interventions.engine import Engine
from causal.interventions.questions import ask
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.domains import Domain
from llm_probe.questions.prompts import Part, Prompt
from toy.maths.intervals import wilson

FORMS: tuple[Form, ...] = ("list", "examples")
STEPS = (1, -1, 2)
EXAMPLES = 4
LISTED: dict[Part, tuple[int, ...]] = {"discovery": (3, 5), "causal": (2, 4)}
"""Lengths of the lists of each part."""
SAMPLES: dict[Part, int] = {"discovery": 6, "causal": 3}
"""Prompts of worked examples an item."""
MOVABLE = 0.5
"""Subspaces are trained behind the blocks at which the whole difference of class means moves this share of answers."""
DOMAINS_ASKED = ("days", "months")


def prompts_of(domain: Domain, form: Form, steps: int, part: Part, seed: int = 0) -> list[Prompt]:
    """Every item in every list length, or in several draws of worked examples; of the answer `steps` on."""
    items, n = domain.items, domain.period
    generator = torch.Generator().manual_seed(2 * seed + (part == "causal"))
    prompts = []
    for x in range(n):
        before = []
        if form == "list":
            before = [", ".join(items[(x - steps * i) % n] for i in range(length - 1, 0, -1)) + ", "
                      for length in LISTED[part]]  # fmt: skip
        else:
            others = torch.tensor([other for other in range(n) if other != x])
            for _ in range(SAMPLES[part]):
                shown = others[torch.randperm(n - 1, generator=generator)[:EXAMPLES]].tolist()
                before.append("".join(f"{items[one]} -> {items[(one + steps) % n]}\n" for one in shown))
        after = "," if form == "list" else " ->"
        label = (x + steps) % n
        prompts += [
            Prompt(f"{text}{items[x]}{after}", {"item": (len(text), len(text) + len(items[x]))}, form, x, steps,
                   x + steps, label, items[label])
            for text in before
        ]  # fmt: skip
    return prompts


def answer_row(loaded: LoadedModel, domain: Domain, form: Form, steps: int, seed: int) -> SuccessionRow:
    """How often the model names the item `steps` on; on discovery prompts, by which the form is chosen."""
    questions = ask(loaded, prompts_of(domain, form, steps, "discovery", seed), domain.items)
    answers = Engine(loaded, questions, len(loaded.layers) - 1, position="last").clean()
    right = int((answers.chosen == questions.labels).sum())
    written, n = float((answers.written == questions.labels).double().mean()), len(questions.items)
    return SuccessionRow(
        domain.name, domain.period, form, steps, n, right / n, *wilson(right, n), written, 1 / domain.period
    )


def held(loaded: LoadedModel, domain: Domain, form: Form, part: Part, seed: int) -> Held:
    """The questions about the next item, each with the last item it names."""
    prompts = prompts_of(domain, form, 1, part, seed)
    items = torch.tensor([prompt.first for prompt in prompts])
    following = (torch.arange(domain.period) + 1) % domain.period
    return Held(ask(loaded, prompts, domain.items), items, following.expand(len(prompts), -1))
