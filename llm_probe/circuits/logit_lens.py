"""The logit lens: what would the vocabulary head read after every block?

    log p_l(token | prefix) = log softmax( W_U norm( h_l[last] ) )

h_l is the stream behind block l, *before* the final norm, which is applied once at every layer; the last entry of
`output_hidden_states` is already normed, and norming it again is what the published lens does there. At the last
block the lens is the model.

Answers have several tokens ("15", "E flat"), with or without a space before them. Each prompt runs once for every node
of the tree of answers, each node is read through the lens, and P_l(answer) is that of `llm_probe.activations.answers`
with p_l in place of p: the first token alone would call "1" right for 15. Chance is the most frequent answer, and what
random weights reach. No lens is trained (Belrose et al. 2023 train one a layer): an early layer may hold the answer in
a basis that this one does not read.

nostalgebraist 2020, "interpreting GPT: the logit lens". Shapes: log P (n, layers, answers).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.activations.answers import AnswerTree, Reading, Tokens, answer_trees
from llm_probe.activations.streaming import layer_states
from llm_probe.circuits.table import LensRow
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.prompts import Prompt
from llm_probe.questions.tokens import Encoded, encode
from toy.maths.intervals import band, wilson

CHUNK = 128
"""States whose logits over the whole vocabulary are in memory at once."""


def lens_rows(loaded: LoadedModel, claim: Claim, size: int, seed: int) -> list[LensRow]:
    """Accuracy and probability of the right answer after every block (confirmation part)."""
    if claim.domain.possible_answers != claim.domain.items:
        return []  # of plain sums the label is not the answer
    prompts = claim.prompts("confirmation", size, seed)
    log_p = lens(loaded, prompts, claim.domain.items)
    labels = Labels.of(claim, prompts)
    right = log_p.argmax(dim=-1) == labels.label[:, None]
    p_right = log_p.softmax(dim=-1)[torch.arange(len(prompts)), :, labels.label]
    reduced = labels.total != labels.label
    table = []
    for part, kept in {"all": torch.ones_like(reduced), "no wrap": ~reduced, "wrap": reduced}.items():
        n = int(kept.sum())
        if n < 2:
            continue
        mean, half = (value.tolist() for value in band(p_right[kept], labels.unit[kept], seed))
        chance = max(1 / claim.period, float(labels.label[kept].bincount().max()) / n)
        where = (loaded.weights, claim.domain.name, claim.period, part)
        for layer, count in enumerate(right[kept].sum(dim=0).tolist()):
            accuracy = (count / n, *wilson(count, n))
            table.append(LensRow(*where, layer, *accuracy, mean[layer], half[layer], chance, n))  # type: ignore[arg-type]
    return table


def lens(loaded: LoadedModel, prompts: Sequence[Prompt], answers: Sequence[str]) -> Float[Tensor, "n layers answers"]:
    """log P of every answer to every prompt, read after every block."""
    texts = [prompt.text for prompt in prompts]
    ids = [row.ids[: row.positions["last"] + 1] for row in encode(loaded.tokenizer, prompts)]
    result = torch.full((len(prompts), len(loaded.layers), len(answers)), -torch.inf, dtype=torch.float64)
    for tree, members in answer_trees(loaded.tokenizer, texts, ids, answers, False):
        readings = []
        for node in tree.nodes:
            read = [ids[index] + node for index in members]  # a prompt with the beginning of an answer behind it
            encoded = [Encoded(row, {"last": len(row) - 1}) for row in read]
            states = layer_states(loaded, encoded, ("last",)).flatten(0, 2)
            readings.append(read_node(loaded, states, tree, node))
        log_p = tree.score(Reading.cat(readings, dim=1)).log_p.unflatten(0, (len(members), -1))
        result[members, :, : log_p.shape[-1]] = log_p
    return result


def read_node(loaded: LoadedModel, states: Float[Tensor, "n d"], tree: AnswerTree, node: Tokens) -> Reading:
    """What the tree needs of the predictions at one node, through the final norm and the vocabulary head."""
    model: Any = loaded.model
    head, norm = model.get_output_embeddings(), loaded.final_norm or torch.nn.Identity()
    device, index = next(head.parameters()).device, tree.nodes.index(node)
    with torch.inference_mode():
        logits = (head(norm(chunk.to(device, loaded.dtype))).double() for chunk in states.split(CHUNK))
        return Reading.cat([tree.read(chunk[:, None], index) for chunk in logits], dim=0)
