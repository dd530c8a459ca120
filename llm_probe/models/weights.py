"""Weights: are they all there, are they all numbers, and which ones are they?

    check_complete         the files hold the tensors of the stream, all of them, of the shapes that config.json
                           says, and no others: else something would be probed that is not the model that was named
    check_numbers          no weight is NaN or infinite
    weights_fingerprint    tells two models of one name apart

transformers draws what is missing at random and goes on. The stream is made by the embeddings, the blocks and the norms
of the backbone; a vocabulary head may be missing (`check_complete` says so), and what nothing is read from may, too:
BERT's pooler, the tower of images of a model that is given text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from toy.run.errors import InputError

BESIDE_THE_STREAM = re.compile(r"(^|\.)pooler\.")
"""Weights of a backbone that no state depends on."""
BUFFERS = re.compile(r"(inv_freq|position_ids|masked_bias|causal_mask|attn\.bias|attention\.bias)$")
"""Tensors that old checkpoints hold beside their weights: constants, which a model makes by itself."""


def check_complete(model: Any, backbone: nn.Module, report: Mapping[str, Any], name: str) -> bool:
    """Whether there was a vocabulary head among the weights; False where it was drawn at random or is none.

    `report` is what `from_pretrained` says of the loading: names that were missing, unexpected or of another shape.

    Raises:
        InputError: a tensor of the backbone is missing, too many or of another shape.
    """
    stream = _prefix_of(model, backbone)
    missing = {key for key in report["missing_keys"] if not BESIDE_THE_STREAM.search(key)}
    reshaped = {key: (file, built) for key, file, built in report["mismatched_keys"]}
    lacking = sorted(key for key in missing if key.startswith(stream))
    children = dict(backbone.named_children())
    surplus = sorted(
        key
        for key in report["unexpected_keys"]
        if key.removeprefix(stream).partition(".")[0] in children and not BUFFERS.search(key)
    )
    shapes = [f"{key} is {_size(file)} there and {_size(built)} here" for key, (file, built) in sorted(reshaped.items())
              if key.startswith(stream)]  # fmt: skip
    wrong = [
        f"{what} {_some(names)}"
        for what, names in (
            ("without", lacking),
            ("with", surplus or (sorted(report["unexpected_keys"]) if lacking else [])),
            ("of another shape:", shapes),
        )
        if names
    ]
    if lacking or surplus or shapes:
        raise InputError(
            f"the weights of {name} are not those of its config.json, a {type(model).__name__} ({'; '.join(wrong)}): "
            "give a checkpoint and a configuration that were saved together"
        )
    return not any(_is_of_head(model, key) for key in missing | reshaped.keys())


def check_numbers(model: nn.Module, name: str) -> None:
    """Raises InputError if a weight is NaN or infinite."""
    for key, weight in model.named_parameters():
        # Narrower numbers than these have no infinity to overflow to, and no minimum in torch.
        if weight.is_meta or not weight.numel() or not weight.is_floating_point() or weight.itemsize < 2:
            continue
        if not torch.stack(weight.detach().aminmax()).isfinite().all():
            dtype = str(weight.dtype).removeprefix("torch.")
            advice = "give another checkpoint" if weight.dtype == torch.float32 else "run with --dtype float32"
            raise InputError(f"the weight {key} of {name} is NaN or infinite in {dtype}: {advice}")


def weights_fingerprint(model: nn.Module) -> str:
    """A hash of every parameter's shape and sum: two models in memory that differ do not share cells."""
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        digest.update(f"{name}{tuple(weight.shape)}{float(weight.detach().double().sum()):.12e}".encode())
    return digest.hexdigest()[:16]


def _prefix_of(model: nn.Module, part: nn.Module) -> str:
    """What the names of a part's weights begin with."""
    path = next((path for path, module in model.named_modules() if module is part), "")
    return f"{path}." if path else ""


def _is_of_head(model: Any, key: str) -> bool:
    """Whether a weight belongs to what stands behind the backbone of a model that writes."""
    base, head = model.base_model, model.get_output_embeddings()
    if base is not model:
        return not key.startswith(_prefix_of(model, base))
    return head is not None and key.startswith(_prefix_of(model, head))


def _some(names: Iterable[str], most: int = 2) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _size(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))
