"""The published prompt grids (unixsysdev/grokking-fourier on Qwen3-0.6B, commit 536610f) and their class means.

A grid is one template and all pairs (first, offset) of two ranges; the label of a prompt is

    label = (first + offset) mod period

and every published R² is a fit to the `period` class means of one residual dimension at the last token,

    means[layer, s] = mean over the prompts with label s of the residual stream after block `layer`

    arithmetic(p)        "{a} + {b} mod {p} ="                     a, b in [0, p)
    days                 "{Monday …} + {offset} days = "           7 x 7
    months               "{January …} + {offset} months = "        12 x 12
    hours                "{1 …} o'clock + {offset} hours = "       12 x 12, first = hour - 1
    alphabet             "{A … M} + {offset} letters = "           13 x 26: half of the first letters
    alphabet_complete    the same with A … Z                       26 x 26: the repair
    alphabet_position    "The {1st …} letter of the alphabet is "  26, fitted by a line

Over a complete grid every f(first) + g(offset) has the same mean in each class. Over 13 of 26 first letters it has
not: [offset >= 10] alone then fits one cosine with R² 0.996. Texts that end in a space are read at the token of that
space. How the ordinals after 3rd were written is not on record for 21 to 23; here they are English (21st).

Layers are numbered from 0 by the block whose output is read. The published numbers count the same way, but theirs
come from `hidden_states[layer + 1]`, and the last of those is taken after the final norm: the published "layer 27" of
28 is norm(block 27). `published_layers` reads it so; otherwise the stream is read before the norm at every layer.

The forward pass is float32 (as loaded), the sums are float64: the published residue means differ by as little as 1e-4
around 4, where float32 means would lose a thousandth of the R².
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.activations.streaming import ReadPlan, class_sums, rows, stream
from llm_probe.models.loading import LoadedModel, evaluating
from llm_probe.questions.domains import DAYS, MONTHS
from llm_probe.questions.prompts import Prompt, render
from llm_probe.questions.tokens import encode
from toy.run.errors import InputError


@dataclass(frozen=True)
class Grid:
    """All prompts of one template."""

    name: str
    text: str
    """With `{item}` and, where there is a second operand, `{offset}`; arithmetic has `{modulus}` too."""
    period: int
    items: tuple[str, ...]
    """The first operand as it is written."""
    start: int = 0
    """Value of the first item; the others follow."""
    offsets: range = range(1)
    """Values of the second operand."""

    @property
    def n_prompts(self) -> int:
        return len(self.items) * len(self.offsets)

    def prompts(self) -> list[Prompt]:
        """Every prompt, the first operand changing slowest."""
        prompts = []
        for first, item in enumerate(self.items, start=self.start):
            for offset in self.offsets:
                text, spans = render(self.text, {"item": item, "offset": str(offset), "modulus": str(self.period)})
                total = first + offset
                prompts.append(Prompt(text, spans, self.name, first, offset, total, total % self.period, None))
        return prompts


def arithmetic(modulus: int, *, start: int = 0, text: str = "{item} + {offset} mod {modulus} =") -> Grid:
    """Sums mod p of the p operands from `start` on: each residue has p pairs. Published: `start` 0.

    Raises:
        InputError: fewer than three residues, to which any cosine fits.
    """
    if modulus < 3:
        raise InputError(f"modulus {modulus} has no circle: give 3 or more")
    operands = range(start, start + modulus)
    name = f"mod {modulus}" if start == 0 else f"mod {modulus} from {start}"
    return Grid(name, text, modulus, tuple(map(str, operands)), start, operands)


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


LETTERS = tuple(string.ascii_uppercase)

GRIDS: dict[str, Grid] = {
    "days": Grid("days", "{item} + {offset} days = ", 7, DAYS, 0, range(7)),
    "months": Grid("months", "{item} + {offset} months = ", 12, MONTHS, 0, range(12)),
    "hours": Grid("hours", "{item} o'clock + {offset} hours = ", 12, tuple(map(str, range(1, 13))), 0, range(12)),
    "alphabet": Grid("alphabet", "{item} + {offset} letters = ", 26, LETTERS[:13], 0, range(26)),
    "alphabet_complete": Grid("alphabet_complete", "{item} + {offset} letters = ", 26, LETTERS, 0, range(26)),
    "alphabet_position": Grid(
        "alphabet_position", "The {item} letter of the alphabet is ", 26, tuple(map(_ordinal, range(1, 27)))
    ),
}
"""Every published grid but arithmetic's, of which there is one a modulus."""


# ------------------------------------------------------------------------------------------------------- class means

Batches = Iterator[tuple[Tensor, Tensor]]


def class_means(
    loaded: LoadedModel,
    grid: Grid,
    layers: Sequence[int],
    *,
    published_layers: bool = False,
    batch_tokens: int | None = None,
) -> Float[Tensor, "layers n d"]:
    """Class means of the last token's state, float64, from one pass over a grid.

    Raises:
        InputError: a layer that does not exist.
    """
    prompts = grid.prompts()
    batches = _batches(loaded, prompts, ReadPlan(tuple(layers)), published_layers, batch_tokens)
    sums, counts = class_sums(batches, labels_of(prompts), grid.period)
    return (sums / counts[:, None]).cpu()


def prompt_rows(
    loaded: LoadedModel, prompts: Sequence[Prompt], layers: Sequence[int], *, batch_tokens: int | None = None
) -> Float[Tensor, "prompts layers d"]:
    """The last token's state of any prompts, one row each, float32."""
    return rows(_batches(loaded, prompts, ReadPlan(tuple(layers)), False, batch_tokens), len(prompts))


def labels_of(prompts: Sequence[Prompt]) -> Int[Tensor, " prompts"]:
    """The label of every prompt."""
    return torch.tensor([prompt.label for prompt in prompts])


def _batches(
    loaded: LoadedModel, prompts: Sequence[Prompt], plan: ReadPlan, published_layers: bool, batch_tokens: int | None
) -> Batches:
    last = [cell for cell, (layer, _, _) in enumerate(plan.cells) if layer == len(loaded.layers) - 1]
    for indices, cells in stream(loaded, encode(loaded.tokenizer, prompts), plan, batch_tokens=batch_tokens):
        if published_layers and last and loaded.final_norm is not None:
            with torch.inference_mode(), evaluating(loaded.final_norm):
                normed = loaded.final_norm(cells[:, last].to(loaded.dtype)).to(cells.dtype)
            cells[:, last] = normed
        yield indices, cells
