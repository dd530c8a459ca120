"""The published analogies of words, with the right sign and a null: fourteen quadruples a : b :: c : d.

d is looked for among all their words but a, b, c, nearest to x_b - x_a + x_c. It would often be near the top without
any analogy, because d lies near c whatever a and b are. So the null keeps (c, d) and takes (a, b) from another
quadruple: the pairs trade places, and p is the share of trades that do as well (largest layer). Words and prompt are
those of unixsysdev/grokking-fourier (emergent_structures, commit 536610f), which computes a - b + c and has no null.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.activations.streaming import ReadPlan, rows, stream
from llm_probe.circuits.analogies import SIGNS, beaten, parallelogram
from llm_probe.circuits.config import CircuitsConfig
from llm_probe.circuits.table import AnalogyRow
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.prompts import Prompt, render
from llm_probe.questions.tokens import encode
from llm_probe.statistics.nulls import corrected_p
from toy.maths.intervals import band

NAME = "published words"
PROMPT = "The word '{item}' means"
QUADRUPLES = tuple(
    tuple(text.split())
    for text in (
        "king queen man woman", "brother sister boy girl", "father mother son daughter", "husband wife uncle aunt",
        "France Paris Japan Tokyo", "Germany Berlin Italy Rome", "Spain Madrid China Beijing",
        "walk walked run ran", "see saw eat ate", "go went come came", "big bigger small smaller",
        "good better bad worse", "doctor hospital teacher school", "chef kitchen pilot cockpit",
    )
)  # fmt: skip


def word_rows(loaded: LoadedModel, config: CircuitsConfig) -> list[AnalogyRow]:
    """All layers, the right and the published sign; read at the word and, as published, at the prompt's end."""
    words = sorted({word for quadruple in QUADRUPLES for word in quadruple})
    asked = torch.tensor([[words.index(word) for word in quadruple] for quadruple in QUADRUPLES])
    prompts = [Prompt(*render(PROMPT, {"item": word}), "published", 0, 0, 0, 0, None) for word in words]
    encoded = encode(loaded.tokenizer, prompts)
    plan = ReadPlan(layers=tuple(range(len(loaded.layers))), positions=("item", "last"))
    states = rows(stream(loaded, encoded, plan), len(encoded)).double().unflatten(1, (-1, 2))
    items = traded(asked, config.renamings, config.seed)
    found = []
    for position, name in enumerate((f"{NAME}, at the word", f"{NAME}, at the end")):
        for method, signs in SIGNS.items():
            layers = states[:, :, position].unbind(dim=1)
            scores = torch.stack([_scored(layer, items, signs) for layer in layers])
            null = scores[:, 1:].mean(dim=-1)
            p = corrected_p(scores[:, 0].mean(dim=-1), null.amax(dim=0))
            mean, half = band(scores[:, 0].T, torch.arange(len(asked)), config.seed)
            for layer, score in enumerate(scores[:, 0]):
                found.append(
                    AnalogyRow(
                        loaded.weights,
                        name,
                        False,
                        layer,
                        method,
                        float(mean[layer]),
                        max(0.0, float(mean[layer] - half[layer])),
                        min(1.0, float(mean[layer] + half[layer])),
                        float((score == 1).double().mean()),
                        1 / (len(words) - 3),
                        float(null[layer].mean()),
                        float(null.amax(dim=0).quantile(0.95)),
                        float(p[layer]),
                        len(asked),
                    )
                )
    return found


def traded(asked: Int[Tensor, "q 4"], count: int, seed: int) -> Int[Tensor, "r q 4"]:
    """The quadruples, then `count` times with their first pairs dealt anew, none of them where it was."""
    generator, dealt = torch.Generator().manual_seed(seed), [asked]
    here = torch.arange(len(asked))
    while len(dealt) <= count:
        order = torch.randperm(len(asked), generator=generator)
        if not (order == here).any():
            dealt.append(torch.cat([asked[order, :2], asked[:, 2:]], dim=1))
    return torch.stack(dealt)


def _scored(
    states: Float[Tensor, "n d"], items: Int[Tensor, "r q 4"], signs: tuple[int, int, int]
) -> Float[Tensor, "r q"]:
    centred = states - states.mean(dim=0)
    return beaten(parallelogram(centred, centred, items, signs), items)
