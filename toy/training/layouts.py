"""Published checkpoints: the same network in the files of other projects, read into ours.

A checkpoint is a dict saved by torch that holds a state dict. Three layouts are known by their keys:

    `layout` = "toy"      ours: the state dict under `model`, its configuration under `config` (toy/training/runs.py)
    `model`               Nanda et al. 2023 (2301.05217), `saved_runs/*.pth`
    `model_state_dict`    unixsysdev/grokking-fourier, `checkpoint_*.pt`

Only the order of the axes differs. Ours act from the right (x @ W); the others store most maps as (out, in). So a
layout is a table from our names to theirs and the axes of theirs, in symbols; `heads*d_head` is one axis that holds
two. The sizes are read off the tensors, every tensor is checked against them, and a tensor becomes ours by splitting
the joint axes and permuting. Nanda et al. unembed to all tokens, "=" included (p + 1); unixsysdev to the numbers (p).
A file is read as plain containers and tensors only (`weights_only`): nothing in it is executed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toy.config import ToyConfig, preset
from toy.networks.model import Toy, build
from toy.networks.tasks import TASKS, named
from toy.run.errors import InputError
from toy.training.runs import check_names, check_tensor, open_run, own_network, read_content

ATTN, MLP = "blocks.{block}.attn.", "blocks.{block}.mlp."
TENSORS: tuple[tuple[str, str, str, str, str, str], ...] = (
    ("W_E", "tokens d_model", "embed.W_E", "d_model tokens", "token_embed.weight", "tokens d_model"),
    ("W_pos", "positions d_model", "pos_embed.W_pos", "positions d_model", "pos_embed.weight", "positions d_model"),
    *(
        (ATTN + name, "heads d_model d_head", ATTN + name, "heads d_head d_model", name, "heads d_model d_head")
        for name in ("W_Q", "W_K", "W_V")
    ),
    (ATTN + "W_O", "heads d_head d_model", ATTN + "W_O", "d_model heads*d_head", "W_O", "heads d_head d_model"),
    (MLP + "W_in", "d_model d_mlp", MLP + "W_in", "d_mlp d_model", "W_in.weight", "d_mlp d_model"),
    (MLP + "b_in", "d_mlp", MLP + "b_in", "d_mlp", "W_in.bias", "d_mlp"),
    (MLP + "W_out", "d_mlp d_model", MLP + "W_out", "d_model d_mlp", "W_out.weight", "d_model d_mlp"),
    (MLP + "b_out", "d_model", MLP + "b_out", "d_model", "W_out.bias", "d_model"),
    ("W_U", "d_model outputs", "unembed.W_U", "d_model outputs", "unembed.weight", "outputs d_model"),
)
"""Name and axes of each tensor here, in Nanda et al.'s files, and in unixsysdev's; `{block}` counts the blocks."""


@dataclass(frozen=True)
class Layout:
    """How another project stores the network of `toy/networks/model.py`."""

    owner: str
    """Whose it is, as it is named in messages."""
    weights: str
    """Key of the file under which the state dict lies."""
    column: int
    """Where its names stand in a row of `TENSORS`; its axes stand behind them."""
    preset: str
    """What is known of the training where the file does not say it."""
    equals_logit: bool
    """Whether the network has a logit for "="."""
    losses: tuple[str, ...]
    """Keys that lead to the lists of training and test losses, `{part}` being train or test."""


LAYOUTS: tuple[Layout, ...] = (
    Layout("Nanda et al.", "model", 2, preset="nanda", equals_logit=True, losses=("{part}_losses",)),
    Layout("unixsysdev", "model_state_dict", 4, "published-004", equals_logit=False, losses=("history", "{part}_loss")),
)

STORED_FIELDS = {
    "frac_train": "train_fraction",
    "train_frac": "train_fraction",
    "seed": "seed",
    "lr": "learning_rate",
    "weight_decay": "weight_decay",
}
"""What a stored configuration calls a field, and what we call it."""
STORED_TASKS = {"add": "add", "subtract": "subtract", "x2xyy2": "quadratic"}
"""`fn_name` of a stored configuration to our task."""


def load_checkpoint(
    path: Path, task: str | None = None, split_seed: int | None = None, train_frac: float | None = None
) -> tuple[Toy, ToyConfig, int | None]:
    """The network of a checkpoint file or of a run directory (its last), its configuration, its step if it is known.

    `task` is what a file of another project was trained on where it does not say it (none given: addition); of a
    file that says it, the same task has to be asked for. `split_seed` and `train_frac` replace what the file says
    of its training rows, or what the published code takes where it says nothing.

    Raises InputError for no such file, an unknown layout (the missing key is named), a tensor of a wrong shape, or a
    checkpoint of another task.
    """
    if path.is_dir():
        path = open_run(path).checkpoint()
    content = read_content(path)
    if "layout" in content:
        model, config = own_network(content, path)
        _check_task(path, config.task, task)
    else:
        model, config = _foreign(content, _layout(content, path), path, task)
    changed = {"seed": split_seed, "train_fraction": train_frac}
    config = replace(config, **{name: value for name, value in changed.items() if value is not None})
    step = content.get("step", content.get("epoch"))
    return model.requires_grad_(False).eval(), config, step if isinstance(step, int) else None


def stored_losses(path: Path) -> dict[str, float]:
    """`train_loss` and `test_loss` as another project's file last noted them; what it does not hold is left out.

    Nanda et al. note both before an update; unixsysdev the training loss before and the test loss after it, and not
    at every step: they may lag behind the weights of the same file.

    Raises InputError for no such file, or an unknown layout.
    """
    content, losses = read_content(path), {}
    for part in ("train", "test"):
        values: Any = content
        for key in _layout(content, path).losses:
            values = values.get(key.format(part=part)) if isinstance(values, Mapping) else None
        if isinstance(values, list) and values:
            losses[f"{part}_loss"] = float(values[-1])
    return losses


def _layout(content: Mapping[str, Any], path: Path) -> Layout:
    for layout in LAYOUTS:
        if isinstance(content.get(layout.weights), Mapping):
            return layout
    wanted = ", ".join(f"`{layout.weights}` ({layout.owner})" for layout in LAYOUTS)
    raise InputError(
        f"{path} is no checkpoint of a known layout: it lacks the keys `layout` (this project), {wanted} and has "
        f"{', '.join(f'`{key}`' for key in list(content)[:8]) or 'none'}"
    )


def _foreign(content: Mapping[str, Any], layout: Layout, path: Path, task: str | None) -> tuple[Toy, ToyConfig]:
    """The network of another project's checkpoint."""
    told = content.get("config")
    told = told if isinstance(told, Mapping) else {}
    stored = content[layout.weights]
    n_layers = 1 + max((int(match[1]) for name in stored if (match := re.match(r"blocks\.(\d+)\.", name))), default=0)
    names = {
        row[0].format(block=block): (row[layout.column].format(block=block), row[layout.column + 1], row[1])
        for block in range(n_layers)
        for row in TENSORS
    }
    check_names(_without_masks(stored, path), [theirs for theirs, _, _ in names.values()], path)
    task = _task(told, path, task)
    sizes = {"positions": named(task).n_operands + 1}
    weights = {ours: _ours(stored[theirs], theirs, axes, wanted, sizes, layout, path)
               for ours, (theirs, axes, wanted) in names.items()}  # fmt: skip
    config = replace(
        preset(layout.preset),
        task=task,
        modulus=sizes["tokens"] - 1,
        n_layers=n_layers,
        d_model=sizes["d_model"],
        n_heads=sizes["heads"],
        d_mlp=sizes["d_mlp"],
        equals_logit=layout.equals_logit,
        **{ours: told[theirs] for theirs, ours in STORED_FIELDS.items() if isinstance(told.get(theirs), (int, float))},
    )
    _check_told(told, config, path)
    model = build(config)
    model.load_state_dict(weights)
    return model, config


def _ours(weight: Any, name: str, axes: str, wanted: str, sizes: dict[str, int], layout: Layout, path: Path) -> Tensor:
    """A stored tensor in the order of our axes; sizes that are met for the first time are noted in `sizes`."""
    if isinstance(weight, Tensor) and weight.ndim == len(axes.split()):
        for axis, length in zip(axes.split(), weight.shape, strict=True):
            if "*" not in axis:
                sizes.setdefault(axis, length)
        if "tokens" in sizes:
            sizes["outputs"] = sizes["tokens"] - (not layout.equals_logit)
        if "heads" in sizes:
            sizes["d_head"] = sizes["d_model"] // max(sizes["heads"], 1)
    known = [all(part in sizes for part in axis.split("*")) for axis in axes.split()]
    expected = [
        math.prod(sizes[part] for part in axis.split("*")) if there else axis
        for axis, there in zip(axes.split(), known, strict=True)
    ]
    check_tensor(weight, name, expected, path, f", which is ({axes.replace(' ', ', ')})")
    flat = axes.replace("*", " ").split()
    parts = weight.float().reshape([sizes[axis] for axis in flat])
    return parts.permute([flat.index(axis) for axis in wanted.split()]).contiguous()


def _without_masks(stored: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The state dict without what says that attention is causal, as ours always is."""
    for name, mask in stored.items():
        if name.endswith("attn.mask") and not (
            isinstance(mask, Tensor) and torch.equal(mask, torch.ones_like(mask).tril())
        ):
            raise InputError(f"{path} attends to later tokens (`{name}`): only causal attention is read")
    return {name: weight for name, weight in stored.items() if not name.endswith("attn.mask")}


def _task(told: Mapping[str, Any], path: Path, wanted_task: str | None) -> str:
    """The task of another project's file: what it says, else what was asked for, else addition."""
    name = told.get("fn_name")
    if name is not None and name not in STORED_TASKS:
        raise InputError(f"{path} was trained on {name!r}, which is none of the tasks {', '.join(TASKS)}")
    task = STORED_TASKS[name] if name is not None else wanted_task or "add"
    named(task)
    _check_task(path, task, wanted_task)
    return task


def _check_task(path: Path, task: str, wanted_task: str | None) -> None:
    """Raises InputError if another task was asked for than the file was trained on."""
    if wanted_task not in (None, task):
        raise InputError(
            f"{path} was trained on the task {task!r}, not on {wanted_task!r}: ask for {task!r} or for none"
        )


def _check_told(told: Mapping[str, Any], config: ToyConfig, path: Path) -> None:
    """Raises InputError where a stored configuration contradicts the tensors or names another network."""
    known = {"p": config.modulus, "d_model": config.d_model, "n_heads": config.n_heads, "num_heads": config.n_heads,
             "d_mlp": config.d_mlp}  # fmt: skip
    for name, size in known.items():
        if told.get(name, size) != size:
            raise InputError(f"{path}: its config says {name} = {told[name]}, but its tensors have {size}")
    if str(told.get("act_type", "relu")).lower() != "relu":
        raise InputError(f"{path} has {told['act_type']} neurons: only ReLU is read from files of other projects")
