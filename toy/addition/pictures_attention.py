"""07_attention: where the heads of a network that adds look, on pairs of equal length.

Mean attention of every head of the decoder over held-out pairs that have max_digits digits each and a sum of one more,
so that places line up. A row is the digit that is said next, read at the character before it; 1 is the ones digit.
What the digit of place j gives to the digits of place j is called

    aligned = mean over j of Σ_{c ∈ {a_j, b_j}} A[before s_j, c]        j = 1 … max_digits

Where a head looks is not yet what it reads: behind the first block, and in the memory of an encoder, a character also
holds what was moved there. Shapes: h heads, t characters read at, s characters looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from toy.addition.config import AdditionConfig
from toy.addition.network import Addition, Attention, Pairs, answer_of, prompts, targets
from toy.addition.tables import lengths, sample
from toy.pictures.look import INK, SIZE, colour_bar, heat, new_figure, percent, two

PAIRS = 200
ACROSS = 4
"""Maps side by side."""


@dataclass(frozen=True)
class Head:
    """Where one looks, on average."""

    name: str
    look: Float[Tensor, "t s"]
    columns: list[str]
    """Names of what it looks at: a1 … a5 + b1 … b5 = s1 … s6, or a part of it."""
    aligned: float | None
    """None if it cannot see the operands."""


def equal_pairs(config: AdditionConfig) -> Pairs:
    """Held-out pairs of max_digits digits each whose sum has one more."""
    most = config.max_digits
    pairs = sample(config, lengths(most, most), 4 * PAIRS)
    return pairs[pairs.sum(1) >= 10**most][:PAIRS]


@torch.no_grad()
def looks(model: Addition, pairs: Pairs) -> dict[str, Float[Tensor, "h t s"]]:
    """Mean attention in each decoder block, read from "=" on; to the encoder first, if there is one."""
    device, order = model.W_U.device, model.config.order
    prompt, answer = prompts(pairs, order).to(device), answer_of(targets(pairs, order)).to(device)
    blocks = range(len(model.decoder))
    sites = {f"block {i}": model.get_submodule(f"decoder.{i}.attention") for i in blocks}
    if len(model.encoder):
        crosses = {f"block {i} cross": model.get_submodule(f"decoder.{i}.cross") for i in blocks}
        sites = crosses | {f"{name} self": site for name, site in sites.items()}
    found: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, Attention)
        found[module] = module.weights(*inputs)[:, :, -answer.shape[1] :].double().mean(0).cpu()

    handles = [site.register_forward_pre_hook(keep) for site in sites.values()]
    try:
        model(prompt, answer)
    finally:
        for handle in handles:
            handle.remove()
    return {name: found[site] for name, site in sites.items()}


def heads(model: Addition, pairs: Pairs) -> list[Head]:
    """Every head of the decoder, in the order of `looks`."""
    prompt, answer = characters(model.config)
    found = []
    for name, block in looks(model, pairs).items():
        columns = {len(answer): answer, len(prompt): prompt}.get(block.shape[2], [*prompt, *answer])
        for index, look in enumerate(block):
            share = aligned(look, model.config) if "a1" in columns else None
            found.append(Head(f"{name}, head {index}", look, columns, share))
    return found


def characters(config: AdditionConfig) -> tuple[list[str], list[str]]:
    """Names of those of the prompt and of those of the answer, in the order of the text."""
    step, count = 1 if config.order == "reversed" else -1, config.max_digits
    a, b, s = ([f"{name}{j}" for j in range(1, count + 1 + (name == "s"))][::step] for name in "abs")
    return [*a, "+", *b], ["=", *s]


def aligned(look: Float[Tensor, "t s"], config: AdditionConfig) -> float:
    """Attention to the digits of the place that is said next, mean over places; columns begin with the prompt."""
    prompt, answer = characters(config)
    same = [
        look[row, prompt.index(f"{name}{said[1:]}")]
        for row, said in enumerate(answer[1:])
        for name in "ab"
        if f"{name}{said[1:]}" in prompt
    ]
    return float(torch.stack(same).sum()) / config.max_digits


def attention(model: Addition, untrained: Addition) -> Figure:
    """A map a head; the untrained network's share is in its title."""
    pairs = equal_pairs(model.config)
    trained, plain = heads(model, pairs), heads(untrained, pairs)
    best = max(trained, key=lambda head: head.aligned or 0.0)
    across = min(model.config.n_heads, ACROSS)
    down = -(-len(trained) // across)
    figure = new_figure(
        1.3 + 1.45 * down,
        f"{best.name.capitalize()} gives {percent(best.aligned or 0.0)} of its attention to the digits of the place it "
        f"adds (untrained: at most {percent(max(head.aligned or 0.0 for head in plain))})",
    )
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(trained) :]:
        axes.set_visible(False)
    said = [*characters(model.config)[1][1:], "end"]
    for index, (head, other) in enumerate(zip(trained, plain, strict=True)):
        below = trained[index + across].columns if index + across < len(trained) else []
        axes = grid.flat[index]
        _map(axes, head, said if index % across == 0 else [], named=below != head.columns)
        told = "" if head.aligned is None else f"\naligned {two(head.aligned)}, untrained {two(other.aligned)}"
        axes.set_title(f"{head.name}{told}", fontsize=SIZE, loc="left", color=INK)
    colour_bar(grid[0, 0].images[0], list(grid.flat), "attention")
    figure.supylabel("said next: digit of the sum, 1 the ones", fontsize=SIZE, color=INK)
    figure.supxlabel("looked at: digits of a, b and of the sum s so far, 1 the ones", fontsize=SIZE, color=INK)
    return figure


def _map(axes: Axes, head: Head, said: list[str], *, named: bool) -> None:
    """One head, what is said first above; columns have names where no map of the same ones stands below."""
    image = heat(axes, head.look.numpy(), "", "", vmin=0, vmax=1)
    image.set_interpolation("none")  # a pixel a cell
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.set_yticks(range(len(said)), [name.removeprefix("s") for name in said])
    columns = head.columns if named else []
    # A column has room for the place alone: the number's name stands below its middle.
    axes.set_xticks(range(len(columns)), [name[1:] or name for name in columns])
    for name in "abs":
        if own := [index for index, column in enumerate(columns) if column[0] == name]:
            axes.annotate(
                name, ((own[0] + own[-1]) / 2, 0), (0, -14), xycoords=axes.get_xaxis_transform(), ha="center",
                va="top", textcoords="offset points", fontsize=SIZE, color=INK,
            )  # fmt: skip
