"""What an SAE is worth, measured on the file that was saved, with states and texts that it was not trained on.

    L0              mean number of active latents of a state
    FVU             sum |x - x^|² / sum |x - mean x|², the fraction of variance unexplained
    CE recovered    (CE_zero - CE_sae) / (CE_zero - CE_clean): x^ in place of x at every position, against zeros there
                    (and against the mean state, which is harder)
    dead            share of latents that were never active
    dense           share of latents that were active on more than a tenth of the states

FVU and cross-entropy are of held-out documents and of held-out operand pairs (`sources`): each by itself, and
together, weighed as in training. Cross-entropy counts every token of a text, and of a question the tokens of
its answer only. Dead and dense are counted on that and on further blocks of the stream: a latent for one rare word of
the training text is not dead because the held-out text lacks it. States that training leaves out for their norm are
left out here too: not counted, and not replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from llm_probe.models.loading import LoadedModel, evaluating
from sae.config import SaeConfig
from sae.source.sources import UNSCORED, Passage
from sae.source.stream import Place, Stream, batched, name_of, ordinary, read_states
from sae.training.saved import Saved
from toy.networks.hooks import rewrite

DENSE = 0.1
CHUNK = 8192
"""States that are encoded at once."""
LOGIT_BYTES = 256 * 2**20
"""Largest (tokens, vocabulary) tensor of one forward."""
NOTHING_TO_LOSE = 0.01
"""Nats a token: where zeros cost less, there is nothing to recover, as in a network that was never trained."""
KINDS = ("text", "task")

Edit = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class HeldOut:
    """What every SAE of one place is measured by."""

    loaded: LoadedModel
    place: Place
    passages: Sequence[Passage]
    states: Float[Tensor, "n d"]
    """States of the passages, without those of extreme norm."""
    task: Bool[Tensor, " n"]
    """Which states belong to task prompts."""
    fresh: Float[Tensor, "m d"]
    """States of further blocks of the stream."""
    longest: float
    """Norm beyond which a state is left as it is."""
    task_share: float
    batch_tokens: int
    losses: dict[str, dict[str, float]]
    """Cross-entropy by what is put in the states' place (clean, zero, mean) and by kind of passage, nats a token."""


def held_out(config: SaeConfig, loaded: LoadedModel, stream: Stream) -> dict[Place, HeldOut]:
    """Held-out states of every place, from one forward, and the cross-entropies without an SAE."""
    source = stream.source
    every = read_states(loaded, source.held_out, stream.places, config.batch_tokens)
    task = torch.tensor([passage.task for passage in source.held_out for _ in passage.ids], device=every.device)
    blocks = -(-config.held_out_tokens // (stream.batch * stream.batches_a_block))
    last = -(-config.steps // stream.batches_a_block)
    steps = range(last * stream.batches_a_block, (last + blocks) * stream.batches_a_block)
    further = [stream(step) for step in steps]
    by_place: dict[Place, HeldOut] = {}
    clean: dict[str, float] = {}
    for place, states in zip(stream.places, every, strict=True):
        kept = ordinary(states, stream.largest_norm)
        mean = states[kept].mean(dim=0)
        held = by_place[place] = HeldOut(
            loaded, place, source.held_out, states[kept], task[kept],
            fresh=torch.cat([batches[place] for batches in further]), longest=float(states[kept].norm(dim=1).max()),
            task_share=source.task_share, batch_tokens=config.batch_tokens, losses={},
        )  # fmt: skip
        if not loaded.mute:
            clean = held.losses["clean"] = clean or cross_entropy(held, None)
            held.losses["zero"] = cross_entropy(held, torch.zeros_like)
            held.losses["mean"] = cross_entropy(held, lambda states, mean=mean: mean.expand_as(states))
    return by_place


def measure(saved: Saved, held: HeldOut) -> dict[str, Any]:
    """The measures of one SAE; those that do not apply are None: what writes no answers has no cross-entropy.

    Keys: l0, fvu, fvu_text, fvu_task, dead_share, dense_share, ce_recovered (_text, _task; against zeros and, with
    _of_mean behind it, against the mean), the cross-entropies behind them (ce_<clean, sae, zero, mean>_<text, task>,
    nats a token), and held_out_text, held_out_task, counted: on how many states.
    """
    measures = _reconstruction(saved, held)
    if held.loaded.mute:
        return measures
    losses = held.losses | {"sae": cross_entropy(held, lambda states: saved.decode(saved.encode(states)))}
    share = {"text": 1 - held.task_share, "task": held.task_share}
    together = {name: sum(share[kind] * nats for kind, nats in loss.items()) for name, loss in losses.items()}
    measures |= _recovered(together, "")
    for kind in KINDS:
        ce = {name: loss[kind] for name, loss in losses.items() if kind in loss}
        measures |= {f"ce_{name}_{kind}": nats for name, nats in ce.items()} | _recovered(ce, f"_{kind}")
    return measures


def cross_entropy(held: HeldOut, edit: Edit | None) -> dict[str, float]:
    """Mean loss of the scored tokens of each kind of passage, nats, with the states at the place edited.

    `edit` maps states (n, d) to states (n, d); those of extreme norm stay as they are.
    """
    loaded, total = held.loaded, {kind: [0.0, 0] for kind in KINDS}

    def edited(_: str, output: Tensor) -> Tensor:
        states = output.flatten(0, 1)
        new = edit(states.float()).to(states) if edit else states
        kept = states.float().norm(dim=1, keepdim=True) <= held.longest
        return torch.where(kept, new, states).view_as(output)

    modules = {name_of(held.place): loaded.site_module(*held.place)} if edit else {}
    vocabulary = len(loaded.model.get_input_embeddings().weight)  # type: ignore[operator]
    batch_tokens = min(held.batch_tokens, LOGIT_BYTES // (4 * vocabulary))
    with torch.inference_mode(), evaluating(loaded.model), rewrite(modules, edited):
        for kind in KINDS:
            passages = [passage for passage in held.passages if passage.task == (kind == "task")]
            for indices, ids in batched(passages, batch_tokens):
                targets = torch.tensor([passages[index].targets for index in indices]).to(loaded.device)
                logits = loaded.model(input_ids=ids.to(loaded.device)).logits.float()
                loss = torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1), targets.flatten(), ignore_index=UNSCORED, reduction="sum"
                )
                total[kind][0] += float(loss)
                total[kind][1] += int((targets != UNSCORED).sum())
    return {kind: nats / count for kind, (nats, count) in total.items() if count}


def _reconstruction(saved: Saved, held: HeldOut) -> dict[str, Any]:
    """L0, FVU, dead and dense."""
    error, active, fired = _encoded(saved, held.states)
    fired += _encoded(saved, held.fresh)[2]
    counted = len(held.states) + len(held.fresh)
    n_task = int(held.task.sum())
    n_text = len(held.task) - n_task
    # Text and task prompts weigh what they weigh in training, however many of each are held out.
    weight = torch.where(held.task, held.task_share / max(1, n_task), (1 - held.task_share) / max(1, n_text))
    return {
        "l0": float((weight * active).sum() / weight.sum()),
        "fvu": _unexplained(error, held.states, weight),
        "fvu_text": _unexplained(error, held.states, (~held.task).float()) if n_text else None,
        "fvu_task": _unexplained(error, held.states, held.task.float()) if n_task else None,
        "dead_share": float((fired == 0).float().mean()),
        "dense_share": float((fired > DENSE * counted).float().mean()),
        "held_out_text": n_text,
        "held_out_task": n_task,
        "counted": counted,
    }


def _encoded(saved: Saved, states: Float[Tensor, "n d"]) -> tuple[Tensor, Tensor, Tensor]:
    """(squared error (n,), active latents (n,), on how many states each latent is active (latents,))."""
    errors, active, fired = [], [], torch.zeros(saved.latents, device=states.device)
    for chunk in states.split(CHUNK):
        latents = saved.encode(chunk)
        errors.append((chunk - saved.decode(latents)).square().sum(dim=1))
        active.append((latents != 0).sum(dim=1).float())
        fired += (latents != 0).sum(dim=0)
    return torch.cat(errors), torch.cat(active), fired


def _unexplained(error: Float[Tensor, " n"], states: Float[Tensor, "n d"], weight: Float[Tensor, " n"]) -> float:
    mean = weight @ states / weight.sum()
    return float(weight @ error / (weight @ (states - mean).square().sum(dim=1)))


def _recovered(ce: dict[str, float], kind: str) -> dict[str, float | None]:
    """The share of an ablation's cost that the SAE recovers, None where the ablation costs nothing."""
    recovered: dict[str, float | None] = {}
    for ablation, name in (("zero", f"ce_recovered{kind}"), ("mean", f"ce_recovered{kind}_of_mean")):
        cost = ce[ablation] - ce["clean"] if ce else 0.0
        recovered[name] = (ce[ablation] - ce["sae"]) / cost if cost >= NOTHING_TO_LOSE else None
    return recovered
