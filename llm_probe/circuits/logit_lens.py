"""The logit lens: what would the vocabulary head read after every block?

    log p_l(token | prefix) = log softmax( W_U norm( h_l[last] ) )

h_l is the stream behind block l, *before* the final norm, which is applied once at every layer; the last entry of
`output_hidden_states` is already normed, and norming it again is what the published lens does there. At the last
block the lens is the model.

Answers have several tokens ("15", "E flat"), with or without a space before them. All spellings form a tree: each
prompt runs once for every proper beginning of a spelling, each node is read through the lens, and

    log P_l(answer) = log Σ_spellings Π_t p_l(token_t | prompt, tokens before t) · (1 - q_l)

q: what steps on into a longer answer ("1" into "12"). The first token alone would call "1" right for 15. Chance is
the most frequent answer, and what random weights reach. No lens is trained (Belrose et al. 2023 train one a layer):
an early layer may hold the answer in a basis this one does not read.

nostalgebraist 2020, "interpreting GPT: the logit lens". Shapes: log P (n, layers, answers).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.activations.behaviour import Variants, by_variants
from llm_probe.activations.streaming import ReadPlan, rows, stream
from llm_probe.circuits.table import LensRow
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.prompts import Prompt
from llm_probe.questions.tokens import Encoded, encode
from toy.maths.intervals import band, wilson

CHUNK = 128
"""States that meet the vocabulary at once."""
Tokens = tuple[int, ...]


def lens_rows(loaded: LoadedModel, claim: Claim, size: int, seed: int) -> list[LensRow]:
    """Accuracy and probability of the right answer after every block (confirmation part)."""
    prompts = claim.prompts("confirmation", size, seed)
    log_p = lens(loaded, prompts, claim.domain.items)
    labels = Labels.of(claim, prompts)
    right = log_p.argmax(dim=-1) == labels.label[:, None]
    p_right = log_p.softmax(dim=-1)[torch.arange(len(prompts)), :, labels.label]
    reduced = labels.total != labels.label
    found = []
    for part, kept in {"all": torch.ones_like(reduced), "no wrap": ~reduced, "wrap": reduced}.items():
        n = int(kept.sum())
        if n < 2:
            continue
        mean, half = band(p_right[kept], labels.unit[kept], seed)
        chance = max(1 / claim.period, float(labels.label[kept].bincount().max()) / n)
        for layer in range(log_p.shape[1]):
            count = int(right[kept, layer].sum())
            found.append(
                LensRow(
                    loaded.weights,
                    claim.domain.name,
                    claim.period,
                    part,  # type: ignore[arg-type]
                    layer,
                    count / n,
                    *wilson(count, n),
                    float(mean[layer]),
                    float(half[layer]),
                    chance,
                    n,
                )
            )
    return found


def lens(loaded: LoadedModel, prompts: Sequence[Prompt], answers: Sequence[str]) -> Float[Tensor, "n layers answers"]:
    """log P of every answer to every prompt, read after every block."""
    texts = [prompt.text for prompt in prompts]
    ids = [row.ids[: row.positions["last"] + 1] for row in encode(loaded.tokenizer, prompts)]
    result = torch.full((len(prompts), len(loaded.layers), len(answers)), -torch.inf, dtype=torch.float64)
    for variants, members in by_variants(loaded.tokenizer, texts, ids, answers, False):
        result[members] = _tree_log_p(loaded, [ids[index] for index in members], variants, len(answers))
    return result


def _tree_log_p(
    loaded: LoadedModel, ids: Sequence[Tokens], variants: Variants, answers: int
) -> Float[Tensor, "rows layers answers"]:
    """Prompts whose answers are spelled alike: one run for each node of the tree."""
    nodes = sorted({spelling[:length] for spelling in variants for length in range(len(spelling))})
    children = {
        node: sorted({one[len(node)] for one in variants if one[: len(node)] == node and len(one) > len(node)})
        for node in nodes
    }
    step: dict[Tokens, Float[Tensor, "rows layers"]] = {}
    stop: dict[Tokens, Float[Tensor, "rows layers"]] = {}
    plan = ReadPlan(layers=tuple(range(len(loaded.layers))))
    for node in nodes:
        encoded = [Encoded(own + node, {"last": len(own) + len(node) - 1}) for own in ids]
        states = rows(stream(loaded, encoded, plan), len(encoded))
        log_p, ended = read_tokens(loaded, states, children[node])
        for column, token in enumerate(children[node]):
            step[(*node, token)] = log_p[..., column]
        stop[node] = ended
    found = torch.full((len(ids), len(loaded.layers), answers), -torch.inf, dtype=torch.float64)
    for spelling, answer in variants.items():
        total = sum((step[spelling[: length + 1]] for length in range(len(spelling))), torch.tensor(0.0))
        total = total + stop.get(spelling, torch.tensor(0.0))
        found[..., answer] = torch.logaddexp(found[..., answer], total)
    return found


def read_tokens(
    loaded: LoadedModel, states: Float[Tensor, "rows layers d"], tokens: Sequence[int]
) -> tuple[Float[Tensor, "rows layers k"], Float[Tensor, "rows layers"]]:
    """(log p of some tokens, log of what all others have together) through the final norm and the vocabulary head."""
    model: Any = loaded.model
    head, norm = model.get_output_embeddings(), loaded.final_norm or torch.nn.Identity()
    place = next(head.parameters()).device
    wanted = torch.tensor(tokens, device=place)
    known, rest = [], []
    with torch.inference_mode():
        for chunk in states.flatten(0, 1).split(CHUNK):
            logits = head(norm(chunk.to(place, loaded.dtype))).double()
            total = logits.logsumexp(dim=-1)
            known.append((logits[:, wanted] - total[:, None]).cpu())
            rest.append((logits.index_fill(1, wanted, -torch.inf).logsumexp(dim=-1) - total).cpu())
    shape = states.shape[:2]
    return torch.cat(known).view(*shape, -1), torch.cat(rest).view(shape)
