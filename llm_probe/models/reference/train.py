"""Train the reference language model and measure it.

AdamW with decay on matrices only; learning rate: ten warm-up steps, constant through the first stage and
`constant_share` of the second, then linear to 2 %. A checkpoint holds weights, optimiser and step, is replaced
atomically, and a run that is started again goes on from it; because batch t is a function of (seed, t), the
resumed run is the run that was interrupted.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from llm_probe.models.reference.prompts import (
    IGNORED,
    Stream,
    answer_logits,
    build_model,
    build_tokenizer,
    english,
    is_held_out,
    loss,
    reference_domains,
    tokenise,
)
from llm_probe.models.reference.recipe import Recipe
from llm_probe.questions.domains import Domain
from llm_probe.questions.prompts import question
from toy.run.device import without_denormals
from toy.run.errors import InputError

CHECKPOINT_EVERY = 250


def learning_rate(recipe: Recipe, step: int) -> float:
    """Rate of a step: warm-up, constant, linear to 2 %."""
    constant_until = recipe.first_steps + recipe.constant_share * recipe.second_steps
    fall = (step - constant_until) / max(1.0, recipe.first_steps + recipe.second_steps - constant_until)
    return recipe.learning_rate * min(1.0, (step + 1) / 10) * (1 - 0.98 * max(0.0, fall))


def train(
    recipe: Recipe, folder: Path, *, stop: int | None = None, progress: bool = True, snapshot_every: int = 0
) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """Train to the last step, or to `stop`, continuing from `folder/checkpoint.pt` where there is one.

    `snapshot_every`: so many steps apart the model is kept as `folder/snapshots/step-N`, which a series of checkpoints
    reads (`llm_probe.emergence`), from step 0 on; 0: never.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(recipe.vocabulary)
    model, stream = build_model(recipe), Stream(recipe, tokenizer)
    weights = {decayed: [one for one in model.parameters() if (one.ndim == 2) == decayed] for decayed in (True, False)}
    groups = [{"params": some, "decayed": decayed} for decayed, some in weights.items()]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98))
    checkpoint, first = folder / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if asdict(Recipe()) | state["recipe"] != asdict(recipe):  # an older one lacks what has a default now
            raise InputError(f"{checkpoint} was made by another recipe: give another --work folder or delete it")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    total = recipe.first_steps + recipe.second_steps
    steps = range(first, total if stop is None else min(stop, total))
    bar = tqdm(steps, initial=first, total=steps.stop, unit="step", disable=not progress)
    if snapshot_every and not first:
        keep_snapshot(model, tokenizer, folder, 0)
    for step in bar:
        rate = learning_rate(recipe, step)
        decay = recipe.first_decay if step < recipe.first_steps else recipe.second_decay
        for group in optimizer.param_groups:
            group["lr"], group["weight_decay"] = rate, decay if group["decayed"] else 0.0
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            value = loss(model, stream(step), recipe.english_weight)
        optimizer.zero_grad()
        with without_denormals():
            value.backward()
            optimizer.step()
        if snapshot_every and (step + 1) % snapshot_every == 0:
            keep_snapshot(model, tokenizer, folder, step + 1)
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == steps.stop:
            measured = {"step": step + 1, "loss": round(value.item(), 4), **quick_accuracy(model, tokenizer, step)}
            bar.set_postfix(loss=measured["loss"], published=measured["mod published"], full=measured["mod full"])
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(measured) + "\n")
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state | {"step": step + 1, "recipe": asdict(recipe)}, checkpoint.with_suffix(".tmp"))
            checkpoint.with_suffix(".tmp").replace(checkpoint)
    return model.eval(), tokenizer


def keep_snapshot(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, step: int) -> None:
    """The model as it is, as a folder that transformers loads."""
    target = folder / "snapshots" / f"step-{step}"
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def pairs_of(domain: Domain, *, published: bool, trained_on: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Every operand pair of a grid that no recipe trains on: [0, n)² if `published`, else the whole range.

    `trained_on`: instead the pairs that are trained on where this share is held out.
    """
    n = range(domain.period)
    firsts, offsets = (n, n) if published else (domain.first_operands, domain.offsets)
    first, offset = (grid.ravel() for grid in np.meshgrid(np.array(firsts), np.array(offsets), indexing="ij"))
    kept = is_held_out(domain, first, offset) if trained_on is None else ~is_held_out(domain, first, offset, trained_on)
    return first[kept], offset[kept]


@torch.no_grad()
def accuracy(
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    domain: Domain,
    *,
    published: bool,
    most: int = 4000,
    templates: tuple[str, ...] | None = None,
    trained_on: float | None = None,
) -> tuple[int, int]:
    """(right answers, questions) on the pairs of `pairs_of`: every answer token, its end included, is the arg-max."""
    first, offset = pairs_of(domain, published=published, trained_on=trained_on)
    names = templates or tuple(domain.questions)
    questions = [(name, int(a), int(b)) for a, b in zip(first, offset, strict=True) for name in names]
    if len(questions) > most:
        chosen = np.random.default_rng(0).choice(len(questions), most, replace=False)
        questions = [questions[index] for index in chosen]
    prompts = [question(domain, name, a, b) for name, a, b in questions]
    prompts.sort(key=lambda prompt: len(prompt.text))
    right = 0
    for start in range(0, len(prompts), 512):
        tokens, targets = tokenise(tokenizer, prompts[start : start + 512])
        logits, answers = answer_logits(model, tokens, targets)
        rows = (targets != IGNORED).nonzero()[:, 0]
        wrong = torch.zeros(len(tokens)).index_add_(0, rows, (logits.argmax(-1) != answers).float())
        right += int((wrong == 0).sum())
    return right, len(prompts)


def accuracies(
    model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, most: int = 4000
) -> dict[str, dict[str, tuple[int, int]]]:
    """Held-out accuracy of every domain on both grids."""
    return {
        domain.name: {
            grid: accuracy(model, tokenizer, domain, published=grid == "published", most=most)
            for grid in ("published", "full")
        }
        for domain in reference_domains()
    }


def quick_accuracy(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, step: int) -> dict[str, float]:
    """Held-out accuracy on a few hundred prompts a domain and its means over the moduli, for the log."""
    model.eval()
    counts = accuracies(model, tokenizer, 200)
    table = {name: {grid: right / n for grid, (right, n) in grids.items()} for name, grids in counts.items()}
    model.train()
    sums = [row for name, row in table.items() if name.startswith("mod-add")]
    means = {f"mod {grid}": float(np.mean([row[grid] for row in sums])) for grid in ("published", "full")}
    shares = {f"{name} {grid}": share for name, row in table.items() for grid, share in row.items()}
    return {key: round(value, 3) for key, value in (means | shares).items()}


@torch.no_grad()
def english_perplexity(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> tuple[float, float]:
    """(model, unigram) perplexity per token on held-out English; the unigram counts come from the training part."""
    trained, held_out = (torch.tensor(tokenizer.encode(text)) for text in english())
    window = 65
    rows = held_out[: len(held_out) // window * window].view(-1, window)
    nats = 0.0
    for chunk in rows.split(64):
        logits = model(chunk[:, :-1], use_cache=False).logits
        nats += torch.nn.functional.cross_entropy(logits.flatten(0, 1), chunk[:, 1:].flatten(), reduction="sum").item()
    counts = torch.bincount(trained, minlength=model.config.vocab_size).double() + 1
    unigram = -(counts / counts.sum()).log()[rows[:, 1:]].mean()
    return math.exp(nats / rows[:, 1:].numel()), float(unigram.exp())


def measure(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    """Everything the model card states."""
    perplexity, unigram = english_perplexity(model, tokenizer)
    return {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "held-out accuracy": accuracies(model, tokenizer),
        "english perplexity": perplexity,
        "unigram perplexity": unigram,
    }
