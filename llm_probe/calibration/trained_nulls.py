"""Hard nulls that were trained: states of networks that learnt something, asked about a circle that they do not hold.

    renamed MiniLM     MiniLM, real pretrained weights, and the items of a domain in a random other order: the label of
                       an item is its place in a permutation, and the domain's partitions go with the items. What the
                       model knows of weekdays is all there; the circle through the labels is not the one it may have
    memoriser          a transformer trained by `toy.training` on a table of random answers, until it has them by heart,
                       asked for a + b mod p of the pairs it was never shown: it holds no answer to them
    memoriser (shown)  the same network asked for the answers it has by heart: a look-up that was trained

MiniLM is one model: networks of its family differ in domain and permutation only, and an interval over them is over
permutations. A permutation that leaves neighbours neighbours (a rotation of the domain, or its mirror image) is drawn
again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from llm_probe.models.loading import LoadedModel, load, wrap
from llm_probe.models.toy_model import BridgeConfig, ToyForCausalLM, number_tokenizer
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS, Domain
from llm_probe.questions.toy_domain import ToyDomain, toy_domain
from toy.config import ToyConfig
from toy.networks.model import Transformer
from toy.run.device import without_denormals
from toy.training.train import THRESHOLD, Training

TrainedNull = Literal["renamed MiniLM", "memoriser", "memoriser (shown)"]
TRAINED_NULLS: tuple[TrainedNull, ...] = get_args(TrainedNull)
MINILM_FOLDER = Path(__file__).parents[2] / "work" / "all-MiniLM-L6-v2"
RENAMED_DOMAINS = ("days", "months", "alphabet", "compass", "zodiac", "planets", "grades")
"""Domains of seven items or more, all words, of which enough can change places in MiniLM's tokenizer for a test."""
MEMORISER = ToyConfig(
    modulus=29, train_fraction=0.5, d_model=32, d_mlp=128, steps=300, weight_decay=0.1, schedule="constant",
    device="cpu",
)  # fmt: skip
"""As small as the grokking toys of `known_circles`. All shown answers are right after some 100 updates."""
MEMORISED_CLAIMS = (Claim(toy_domain(MEMORISER), "sum"),)
RENAMED_CLAIMS = tuple(Claim(DOMAINS[name], "item") for name in RENAMED_DOMAINS)


# ------------------------------------------------------------------------------------------ MiniLM with renamed items


def missing_weights(folder: Path = MINILM_FOLDER) -> str | None:
    """Why the family of MiniLM is left out, in one sentence; None where its weights are there."""
    if (folder / "config.json").is_file():
        return None
    return f"{folder} is not there, so the family 'renamed MiniLM' is left out: `make minilm` places the model"


def available(folder: Path = MINILM_FOLDER) -> tuple[TrainedNull, ...]:
    """The families whose networks can be had: memorisers always, MiniLM where its weights are there."""
    return tuple(null for null in TRAINED_NULLS if null != "renamed MiniLM" or missing_weights(folder) is None)


@lru_cache(maxsize=1)
def minilm() -> LoadedModel:
    """The pretrained model, loaded once in a process."""
    return load(str(MINILM_FOLDER), device="cpu")


def renamed_items(domain: Domain, seed: int) -> Domain:
    """The domain with its items in a random order that is no rotation or mirror image of its own."""
    order = other_order(domain.period, torch.Generator().manual_seed(seed))
    items = tuple(domain.items[item] for item in order)
    partitions = {name: tuple(classes[item] for item in order) for name, classes in domain.partitions.items()}
    return replace(domain, items=items, partitions=partitions)


def other_order(n: int, generator: torch.Generator) -> list[int]:
    """A random permutation of n places under which some neighbours on the ring are neighbours no more."""
    while True:
        order = torch.randperm(n, generator=generator)
        steps = (order.roll(-1) - order) % n
        if not bool((steps == 1).all() or (steps == n - 1).all()):
            return order.tolist()


# --------------------------------------------------------------------------------------- answers that were memorised


@dataclass(frozen=True)
class MemorisedDomain(ToyDomain):
    """The questions that a memoriser was shown, with the answers that it was shown."""

    answers: tuple[tuple[int, ...], ...] = ()
    """[i][j]: the answer to (i, j)."""

    def total(self, first: Any, offset: Any) -> Any:
        """The answer itself: there is no integer behind it."""
        answer = torch.tensor(self.answers)[first, offset]
        return answer if isinstance(first, Tensor) else int(answer)

    def admits(self, first: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """True for the pairs that were trained on."""
        return ~super().admits(first, offset)


@dataclass(frozen=True)
class Memoriser:
    """A network that has random answers by heart."""

    network: Transformer
    config: ToyConfig
    answers: Int[Tensor, "p p"]
    """[i, j]: the answer to (i, j), of which the pairs of the training split were shown."""
    train_accuracy: float
    """Share of those that it answers right."""

    def loaded(self) -> LoadedModel:
        """The network behind the face of a language model."""
        model = ToyForCausalLM(BridgeConfig(self.config), self.network).eval()
        return wrap(model, number_tokenizer(self.config.modulus), name=f"memoriser {self.config.seed}")

    def claim(self, *, shown: bool) -> Claim:
        """Sums mod p of the pairs that were not shown, or the answers to those that were."""
        unseen = toy_domain(self.config)
        if not shown:
            return Claim(unseen, "sum")
        table = tuple(tuple(row) for row in self.answers.tolist())
        same: dict[str, Any] = {name: getattr(unseen, name) for name in ("items", "questions", "largest_offset")}
        return Claim(
            MemorisedDomain(f"by heart {self.config.modulus}", config=self.config, answers=table, **same), "sum"
        )


@lru_cache(maxsize=1)
def memoriser(seed: int, config: ToyConfig = MEMORISER) -> Memoriser:
    """Train one network on a random answer to each question, its seed's own.

    Raises:
        RuntimeError: it has not got 99 % of the shown answers by heart after all its steps.
    """
    config = replace(config, seed=seed)
    training = Training(config, [seed])
    generator = torch.Generator().manual_seed(seed)
    training.answers.copy_(torch.randint(config.modulus, training.answers.shape, generator=generator))
    training.targets = training.answers[training.train]
    with without_denormals():
        while training.step < config.steps:
            training.update()
    accuracy = float(training.evaluate()[0]["train_accuracy"])
    if accuracy < THRESHOLD:
        raise RuntimeError(f"memoriser {seed} answers {accuracy:.3f} of the shown questions after {config.steps} steps")
    network = Transformer(config)
    network.load_state_dict(training.seed_batch.of(0))
    answers = training.answers.view(config.modulus, config.modulus)
    return Memoriser(network.requires_grad_(False), config, answers, accuracy)
