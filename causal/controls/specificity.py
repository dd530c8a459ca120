"""Is the ablation specific: what it does to other questions, and to ordinary text in nats per token.

The other questions (`skills`) are those of the other claims, and

    plain addition, subtraction   two numbers of two digits below 50, no modulus in the prompt
    plain multiplication          two numbers of one digit
    facts                         capitals of countries, one answer among all of them

A model that cannot do one of them has nothing to lose there: its row says so by its accuracy before.

In text the edit is made at every position of every window, or only where the stream looks like an answer's place
(`edits.Gate`). Every second document fits the gate, the others are tested. Beside the experiment's directions stand
random bases of as many dimensions, ablated in the same way: in a narrow stream they cost text as much.

Documents i with T_i predicted tokens and summed losses; the difference per token and its standard error (a ratio of
sums over documents):

    Δ = Σ d_i / Σ T_i        d_i = nats after - nats before of document i
    se² = n / (n - 1) Σ (d_i - Δ T_i)² / (Σ T_i)²          n - 1 degrees of freedom

Equivalence (TOST; Schuirmann 1987): p = max of the two one-sided t tests of Δ > -margin and Δ < margin. p < 0.05 is the
same as a 90 % interval within the margin. The margin is 0.01 nat per token. An edit at a share q of the positions that
costs δ nats at each of them costs q δ per token of the whole text, so below q = margin / δ no such harm can reach the
margin and the test passes whatever the edit does. It says nothing then: a text is `not tested` where q < 1 %, the share
at which the loss of one nat at every edited position - its probability divided by e - is the margin. (At 0.1 % the
margin is ten nats, as much as a guess among 22,000 tokens.) A text is documents (one a blank-line block
of `--text FILE`, or one a topic of Python's own help, `pydoc_data`, which needs no network), cut into windows of equal
length so that no padding is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causal.experiments import effects
from causal.experiments.experiment import Experiment
from causal.interventions.edits import INTERVENTIONS, fit_gate
from causal.interventions.engine import Edit, partial_forward
from causal.interventions.questions import EVERYWHERE, Questions, ask
from causal.run.tables import CausalRow
from llm_probe.models.loading import LoadedModel, evaluating
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import PLAIN_QUESTIONS, SYMBOLS, WORDS, Domain, Operation
from llm_probe.questions.prompts import Prompt
from llm_probe.questions.tokens import buckets
from llm_probe.run.vocabulary import Site
from llm_probe.statistics.patterns import random_basis
from toy.networks.hooks import capture, rewrite
from toy.run.errors import InputError

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


MARGIN = 0.01
"""Nats per token below which a change is none."""
HARM = 1.0
"""Nats at an edited position that a test must be able to see."""
SMALLEST_SHARE = MARGIN / HARM
"""Share of the positions that must be edited, at least."""
SPARED, NOT_SPARED, NOT_TESTED = "spared", "not spared", "not tested"
BATCH_TOKENS = 4096
FEWEST_DOCUMENTS = 2
LIKE_ANSWER = "like answer"
"""The position that is every position whose state looks like an answer's place."""
GATED = ("mean", "unwrite")
"""Interventions that are also made only there."""
RANDOM_BASES = 5
LEVEL = 0.05


@dataclass(frozen=True)
class Windows:
    """A text as a model reads it."""

    ids: tuple[tuple[int, ...], ...]
    document: tuple[int, ...]
    """Which document each window belongs to."""

    @property
    def tokens(self) -> Float[Tensor, " documents"]:
        """Predicted tokens of each document: one fewer than a window has."""
        counts = torch.zeros(max(self.document) + 1, dtype=torch.float64)
        for ids, document in zip(self.ids, self.document, strict=True):
            counts[document] += len(ids) - 1
        return counts


def documents(text: Path | None) -> list[str]:
    """The documents of a file, or Python's help topics.

    Raises:
        InputError: the file cannot be read or holds fewer than two documents.
    """
    if text is None:
        import pydoc_data.topics

        return [pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics)]
    try:
        blocks = [block.strip() for block in text.read_text(encoding="utf-8").split("\n\n") if block.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {text}: give a text file in UTF-8, or none for Python's own help") from error
    if len(blocks) < FEWEST_DOCUMENTS:
        raise InputError(
            f"{text} holds {len(blocks)} documents (blocks between blank lines), paired intervals need two: "
            "give a longer file, or none for Python's own help"
        )
    return blocks


def windows(loaded: LoadedModel, texts: Sequence[str], length: int, most: int) -> Windows:
    """Windows of `length` tokens, at most `most` tokens of each document.

    Raises:
        InputError: fewer than two documents have two tokens.
    """
    ids, owner = [], []
    kept = 0
    for text in texts:
        tokens = loaded.tokenizer.encode(text, add_special_tokens=False)[:most]
        cut = [tuple(tokens[start : start + length]) for start in range(0, len(tokens), length)]
        cut = [window for window in cut if len(window) > 1]
        ids += cut
        owner += [kept] * len(cut)
        kept += bool(cut)
    if kept < FEWEST_DOCUMENTS:
        raise InputError(f"the text has {kept} documents of two tokens or more, paired intervals need two")
    return Windows(tuple(ids), tuple(owner))


@dataclass(frozen=True)
class _Clean:
    rows: list[int]
    ids: Int[Tensor, "n length"]
    states: Float[Tensor, "n length d"]


class TextEngine:
    """Losses of a text under edits of one site, at every position; only the blocks behind it run, where possible."""

    def __init__(self, loaded: LoadedModel, text: Windows, layer: int, site: Site = "resid_post") -> None:
        self.loaded, self.text, self.layer = loaded, text, layer
        self.modules = {f"{layer}.{site}": loaded.site_module(layer, site)}
        # Without a cache any model of transformers' own can be entered in the middle.
        self.whole = site != "resid_post" or not type(loaded.backbone).__module__.startswith("transformers.")

    def losses(self, edits: Sequence[Edit | None]) -> list[Float[Tensor, " documents"]]:
        """Summed nats of each document under each edit (None: no edit)."""
        totals = [torch.zeros(max(self.text.document) + 1, dtype=torch.float64) for _ in edits]
        with torch.inference_mode(), evaluating(self.loaded.model):
            for clean in self._cleans():
                owner = torch.tensor([self.text.document[row] for row in clean.rows])
                for total, edit in zip(totals, edits, strict=True):
                    total.index_add_(0, owner, self._nats(clean, edit).double().cpu())
        return totals

    def states(self, most: int = 20_000) -> Float[Tensor, "m d"]:
        """States of the first positions, at most about `most`."""
        states: list[Tensor] = []
        with torch.inference_mode(), evaluating(self.loaded.model):
            for clean in self._cleans():
                states.append(clean.states.flatten(0, 1).float().cpu())
                if sum(map(len, states)) >= most:
                    break
        return torch.cat(states).clone()

    def _cleans(self) -> Iterator[_Clean]:
        for rows in buckets([len(ids) for ids in self.text.ids], BATCH_TOKENS):
            ids = torch.tensor([self.text.ids[row] for row in rows], device=self.loaded.device)
            seen: dict[str, Tensor] = {}
            with capture(self.modules, seen.__setitem__):
                self.loaded.backbone(input_ids=ids, use_cache=False)
            yield _Clean(rows, ids, next(iter(seen.values())))

    def _nats(self, clean: _Clean, edit: Edit | None) -> Float[Tensor, " n"]:
        """Summed loss of each window."""

        def edited(states: Tensor) -> Tensor:
            if edit is None:
                return states
            flat = states.reshape(-1, states.shape[-1])
            return edit(flat, torch.zeros(len(flat), dtype=torch.long)).to(states).view(states.shape)

        if self.whole:
            with rewrite(self.modules, lambda _, output: edited(output)):
                logits = self.loaded.model(input_ids=clean.ids, use_cache=False).logits  # type: ignore[operator]
        else:
            with partial_forward(self.loaded, self.layer, edited(clean.states)):
                logits = self.loaded.model(inputs_embeds=clean.states, use_cache=False).logits  # type: ignore[operator]
        nats = torch.nn.functional.cross_entropy(
            logits[:, :-1].float().flatten(0, 1), clean.ids[:, 1:].flatten(), reduction="none"
        )
        return nats.view(len(clean.ids), -1).sum(dim=1)


def equivalence(
    before: Float[Tensor, " documents"],
    after: Float[Tensor, " documents"],
    tokens: Float[Tensor, " documents"],
    margin: float = MARGIN,
) -> dict[str, Any]:
    """The loss before the edit, its change per token with the 90 % interval, and the test of equivalence."""
    from scipy.stats import t

    n, total = len(tokens), float(tokens.sum())
    delta = float((after - before).sum()) / total
    left = (after - before) - delta * tokens
    error = math.sqrt(n / (n - 1) * float(left.square().sum())) / total
    if error == 0:
        half, p = 0.0, float(abs(delta) >= margin)
    else:
        half = float(t.ppf(0.95, n - 1)) * error
        p = max(float(t.sf((delta + margin) / error, n - 1)), float(t.cdf((delta - margin) / error, n - 1)))
    return {
        "nats": float(before.sum()) / total,
        "nats_change": delta,
        "nats_low": delta - half,
        "nats_high": delta + half,
        "p_equivalence": p,
    }


def harm(p_equivalence: float, edited_share: float) -> str:
    """`spared`, `not spared`, or `not tested` where too little of the text was edited to show anything."""
    if edited_share < SMALLEST_SHARE:
        return NOT_TESTED
    return SPARED if p_equivalence < LEVEL else NOT_SPARED


def text_rows(experiment: Experiment, texts: Sequence[str]) -> Iterator[CausalRow]:
    """Rows of the experiment's directions and of random bases on text, and of the gated ablation on the task.

    Raises:
        InputError: either half of the text has fewer than two documents.
    """
    config, (layer, site, _) = experiment.config, experiment.location

    def half(start: int) -> TextEngine:
        read = windows(experiment.loaded, texts[start::2], config.window, config.text_tokens)
        return TextEngine(experiment.loaded, read, layer, site)

    fitted, tested = half(0), half(1)
    d = experiment.root
    gate = fit_gate(experiment.main.states(), fitted.states())
    plain = {name: one.edit(d) for name, one in INTERVENTIONS.items() if one.needs == "basis"}
    gated = {name: gate.edit(plain[name]) for name in GATED}
    edits = {(EVERYWHERE, name): edit for name, edit in plain.items()}
    edits |= {(LIKE_ANSWER, name): edit for name, edit in gated.items()}
    generator = torch.Generator().manual_seed(config.seed + 2)
    bases = [random_basis(d.basis, generator) for _ in range(RANDOM_BASES)]
    random = [INTERVENTIONS["zero"].edit(replace(d, basis=basis)) for basis in bases]
    before, *losses = tested.losses([None, *edits.values(), *random])
    experiment.tick((1 + len(losses)) * len(tested.text.ids))
    tokens = tested.text.tokens
    share = float(gate.opens(tested.states()).double().mean())
    for (position, name), after in zip(edits, losses, strict=False):
        edited = 1.0 if position == EVERYWHERE else share
        numbers = equivalence(before, after, tokens)
        numbers |= {"edited_share": edited, "harm": harm(numbers["p_equivalence"], edited)}
        yield experiment.row(position, experiment.name, name, len(tokens), "text", **numbers)
    # Random bases together: the mean change, and the interval of the mean loss.
    numbers = equivalence(before, torch.stack(losses[len(edits) :]).mean(dim=0), tokens)
    numbers |= {"draws": RANDOM_BASES, "edited_share": 1.0, "harm": harm(numbers["p_equivalence"], 1.0)}
    yield experiment.row(EVERYWHERE, "random basis", "zero", len(tokens), "text", **numbers)
    answers = experiment.engine(EVERYWHERE).answers(list(gated.values()), experiment.tick)
    for name, after in zip(gated, answers, strict=True):
        numbers = effects.accuracy(experiment.baseline, after)
        yield experiment.row(LIKE_ANSWER, experiment.name, name, len(after.written), **numbers)
