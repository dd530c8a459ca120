"""Does the reference model know its sums by heart, or does it add? Right answers on pairs it was trained on and others.

A network that learns a table answers the pairs it was shown long before others; one that has found out how to add
answers both. At every snapshot of a training (`scripts/models/train_reference_lm.py --snapshot-every`) the questions of
every domain are asked of pairs that were trained on and of pairs that never are, below the period, where training
begins, and below 100, where its second stage leads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, cast

import torch
from transformers import Qwen3ForCausalLM

from llm_probe.emergence.checkpoints import step_of
from llm_probe.models.loading import load
from llm_probe.models.reference.prompts import reference_domains
from llm_probe.models.reference.recipe import HELD_OUT_SHARE
from llm_probe.models.reference.train import accuracy
from toy.maths.intervals import wilson
from toy.run.errors import InputError

Pairs = Literal["trained on", "held out"]
Operands = Literal["small", "all"]
QUESTIONS = 400
"""Of each kind, at most."""


@dataclass(frozen=True)
class PairRow:
    """Right answers of one snapshot in one domain, on pairs of one kind."""

    training: str
    """Name of the training."""
    step: int
    """Step of the snapshot."""
    domain: str
    """Name of the domain."""
    pairs: Pairs
    """Whether the operand pairs are among those that were `trained on`, or `held out` in every training."""
    operands: Operands
    """`small`: both below the period; `all`: below 100, which training reaches in its second stage."""
    n: int
    """Number of questions."""
    accuracy: float
    """Share of them that is answered exactly, with every token."""
    accuracy_low: float
    """Lower end of its 95 % Wilson interval."""
    accuracy_high: float
    """Upper end of that interval."""
    chance: float
    """Share that guessing gives, 1 / period."""


def snapshots_of(training: Path) -> list[Path]:
    """The snapshots of a training in the order of their steps.

    Raises:
        InputError: there are fewer than two.
    """
    folders = [path for path in (training / "snapshots").glob("step-*") if (path / "config.json").is_file()]
    if len(folders) < 2:
        raise InputError(
            f"{training} has {len(folders)} snapshots: train with scripts/models/train_reference_lm.py --work "
            f"{training} --snapshot-every 400"
        )
    return sorted(folders, key=lambda path: step_of(path.name))


def pair_rows(
    snapshot: Path, training: str, domains: Sequence[str], held_out_share: float = HELD_OUT_SHARE
) -> Iterator[PairRow]:
    """The right answers of one snapshot in the domains of these names."""
    loaded = load(str(snapshot))
    model = cast(Qwen3ForCausalLM, loaded.model)
    kinds: tuple[tuple[Pairs, float | None], ...] = (("trained on", held_out_share), ("held out", None))
    every: tuple[Operands, ...] = ("small", "all")
    for domain in reference_domains():
        if domain.name not in domains:
            continue
        for (pairs, trained_on), operands in product(kinds, every):
            small = operands == "small"
            right, n = accuracy(model, loaded.tokenizer, domain, published=small, most=QUESTIONS, trained_on=trained_on)
            low, high = wilson(right, n)
            yield PairRow(
                training, step_of(snapshot.name), domain.name, pairs, operands, n, right / n, low, high,
                1 / domain.period,
            )  # fmt: skip


def held_out_share_of(training: Path) -> float:
    """The share that a training holds out, from its checkpoint; the usual one where that is gone."""
    checkpoint = training / "checkpoint.pt"
    if not checkpoint.is_file():
        return HELD_OUT_SHARE
    return torch.load(checkpoint, weights_only=True)["recipe"].get("held_out_share", HELD_OUT_SHARE)
