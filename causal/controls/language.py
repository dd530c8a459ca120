"""What an intervention does to ordinary text: nats per token, paired by document, and a test of equivalence.

The edit is made at every position of every window. Documents i with T_i predicted tokens and summed losses; the
difference per token and its standard error (a ratio of sums over documents):

    Δ = Σ d_i / Σ T_i        d_i = nats after - nats before of document i
    se² = n / (n - 1) Σ (d_i - Δ T_i)² / (Σ T_i)²          n - 1 degrees of freedom

Equivalence (TOST; Schuirmann 1987): p = max of the two one-sided t tests of Δ > -margin and Δ < margin. p < 0.05 is the
same as a 90 % interval within the margin. The margin is 0.01 nat per token.

A text is documents (one a blank-line block of `--text FILE`, or one a topic of Python's own help, `pydoc_data`, which
needs no network), cut into windows of equal length so that no padding is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causal.interventions.engine import Edit
from causal.interventions.later import behind
from llm_probe.models.loading import LoadedModel, evaluating
from llm_probe.questions.tokens import buckets
from llm_probe.run.table import Site
from toy.networks.hooks import capture, rewrite
from toy.run.errors import InputError

MARGIN = 0.01
BATCH_TOKENS = 4096
FEWEST_DOCUMENTS = 2


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


@dataclass(frozen=True)
class Equivalence:
    """The change of a text's loss, nats per token."""

    before: float
    change: float
    low: float
    """90 % interval: …"""
    high: float
    p: float
    """TOST: small where the change is shown to be within the margin."""


def documents(text: Path | None) -> list[str]:
    """The documents of a file, or Python's help topics.

    Raises:
        InputError: the file cannot be read or holds fewer than two documents.
    """
    if text is None:
        import pydoc_data.topics

        return [pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics)]
    try:
        found = [block.strip() for block in text.read_text(encoding="utf-8").split("\n\n") if block.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {text}: give a text file in UTF-8, or none for Python's own help") from error
    if len(found) < FEWEST_DOCUMENTS:
        raise InputError(
            f"{text} holds {len(found)} documents (blocks between blank lines), paired intervals need two: "
            "give a longer file, or none for Python's own help"
        )
    return found


def windows(loaded: LoadedModel, texts: Sequence[str], length: int, most: int) -> Windows:
    """Windows of `length` tokens, at most `most` tokens of each document.

    Raises:
        InputError: fewer than two documents have two tokens.
    """
    ids, owner = [], []
    kept = 0
    for text in texts:
        tokens = loaded.tokenizer.encode(text, add_special_tokens=False)[:most]
        pieces = [tuple(tokens[start : start + length]) for start in range(0, len(tokens), length)]
        pieces = [piece for piece in pieces if len(piece) > 1]
        ids += pieces
        owner += [kept] * len(pieces)
        kept += bool(pieces)
    if kept < FEWEST_DOCUMENTS:
        raise InputError(f"the text has {kept} documents of two tokens or more, paired intervals need two")
    return Windows(tuple(ids), tuple(owner))


@dataclass(frozen=True)
class _Clean:
    rows: list[int]
    ids: Int[Tensor, "n length"]
    states: Float[Tensor, "n length d"]


class TextEngine:
    """Losses of a text under edits of one site, at every position; later blocks only, where that is possible."""

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
        found: list[Tensor] = []
        with torch.inference_mode(), evaluating(self.loaded.model):
            for clean in self._cleans():
                found.append(clean.states.flatten(0, 1).float().cpu())
                if sum(map(len, found)) >= most:
                    break
        return torch.cat(found).clone()

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
            with behind(self.loaded, self.layer, edited(clean.states)):
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
) -> Equivalence:
    """The change per token with its 90 % interval and the test of equivalence."""
    from scipy.stats import t

    n, total = len(tokens), float(tokens.sum())
    delta = float((after - before).sum()) / total
    left = (after - before) - delta * tokens
    error = math.sqrt(n / (n - 1) * float(left.square().sum())) / total
    if error == 0:
        p = 0.0 if abs(delta) < margin else 1.0
        return Equivalence(float(before.sum()) / total, delta, delta, delta, p)
    half = float(t.ppf(0.95, n - 1)) * error
    p = max(float(t.sf((delta + margin) / error, n - 1)), float(t.cdf((delta - margin) / error, n - 1)))
    return Equivalence(float(before.sum()) / total, delta, delta - half, delta + half, p)
