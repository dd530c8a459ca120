"""States that the user brings: arrays in memory, or files that other tools wrote, as one tensor (n, locations, d).

    array, tensor      (n, d) or (n, locations, d)
    .npy .npz          the same; nothing pickled is read
    .safetensors       the same
    a folder           shards, in the order of the numbers in their names:
                         .npy, .npz, .safetensors      rows (n_i, d) or (n_i, locations, d), one after the other
                         … with `token_ids` (vLLM)     one prompt a file, (tokens, layers, d): its last token is read
                         a saved dataset (SAELens)     one prompt a row, (tokens, d): its last token is read

A file with several arrays has to call one of them `states`, `hidden_states` or `activations`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from toy.run.errors import InputError

Source = np.ndarray | Tensor | str | Path
"""An array, or where one lies."""
NAMES = ("states", "hidden_states", "activations")
TOKENS = "token_ids"
"""What vLLM and SAELens call the tokens beside the states of one prompt."""


def stored_states(source: Source) -> Float[Tensor, "n locations d"]:
    """The states, float32 on the CPU.

    Raises:
        InputError: no such file, one that cannot be read, or no array of two or three axes of finite numbers.
    """
    where = "the states"
    if isinstance(source, str | Path):
        where, source = str(source), _read(Path(source).expanduser())
    states = _tensor(source)
    if states.ndim not in (2, 3) or not states.is_floating_point() or 0 in states.shape:
        raise InputError(
            f"{where} are {states.dtype} of shape {tuple(states.shape)}: give floating-point numbers of shape "
            "(prompts, d) or (prompts, locations, d)"
        )
    states = states.detach().to("cpu", torch.float32)
    states = states[:, None] if states.ndim == 2 else states
    broken = torch.nonzero(~states.isfinite().flatten(1).all(dim=1))[:, 0].tolist()
    if broken:
        raise InputError(
            f"{where} are not finite in {len(broken)} of {len(states)} rows, row {broken[0]} first: leave those out, "
            "or read the model in float32"
        )
    return states


def _tensor(source: np.ndarray | Tensor) -> Tensor:
    if isinstance(source, Tensor):
        return source
    array = np.ascontiguousarray(source)
    if array.dtype.kind not in "biuf":
        raise InputError(f"an array of {array.dtype} holds no states: give floating-point numbers")
    return torch.from_numpy(array)


def _read(path: Path) -> np.ndarray | Tensor:
    if path.is_dir():
        return _saved_dataset(path) if (path / "dataset_info.json").is_file() else _shards(path)
    if path.suffix not in READERS or not path.is_file():
        raise InputError(f"cannot read states from {path}: give an existing {', '.join(READERS)} file, or a folder")
    return _only(_arrays(path), path)


def _npy(path: Path) -> dict[str, np.ndarray | Tensor]:
    return {"states": np.load(path, allow_pickle=False)}


def _npz(path: Path) -> dict[str, np.ndarray | Tensor]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _safetensors(path: Path) -> dict[str, np.ndarray | Tensor]:
    from safetensors.torch import load_file

    return dict(load_file(path))


READERS: dict[str, Callable[[Path], dict[str, np.ndarray | Tensor]]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
}
"""How a file's name ends to what reads its arrays."""


def _arrays(path: Path) -> dict[str, np.ndarray | Tensor]:
    from safetensors import SafetensorError

    try:
        return READERS[path.suffix](path)
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot read states from {path} ({reason}): write the array again, without pickle") from error


def _only(arrays: Mapping[str, np.ndarray | Tensor], path: Path) -> np.ndarray | Tensor:
    """The array that holds the states."""
    others = [name for name in arrays if name != TOKENS]
    named = others if len(others) == 1 else [name for name in NAMES if name in arrays]
    if not named:
        raise InputError(
            f"{path} holds {', '.join(arrays) or 'no array'}: call the states `states`, or write them alone"
        )
    return arrays[named[0]]


def _shards(folder: Path) -> Tensor:
    """Every file of a folder, one after the other."""
    paths = sorted((path for path in folder.iterdir() if path.suffix in READERS), key=_by_number)
    parts = []
    for path in paths:
        arrays = _arrays(path)
        states = _tensor(_only(arrays, path))
        # With its tokens beside them the states are those of one prompt.
        parts.append(states[-1:] if TOKENS in arrays else states)
    shapes = {tuple(part.shape[1:]) for part in parts}
    if len(shapes) != 1:
        what = f"shards of different shapes, {' and '.join(map(str, sorted(shapes)))}" if shapes else "no shard"
        raise InputError(f"{folder} holds {what}: give a folder of {', '.join(READERS)} files with rows of one shape")
    return torch.cat(parts)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Sorts `shard_10` behind `shard_9`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _saved_dataset(folder: Path) -> Tensor:
    """The last token of every row of a dataset that `save_to_disk` wrote."""
    from datasets import load_from_disk

    rows = load_from_disk(str(folder)).with_format("torch")
    columns = {name: rows[name] for name in rows.column_names if name != TOKENS}  # type: ignore[union-attr]
    states = _only({name: torch.as_tensor(column[:]) for name, column in columns.items()}, folder)
    return _tensor(states)[:, -1]
