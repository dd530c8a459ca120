"""A model that comes as one GGUF file, the format of llama.cpp: dequantised once, and from then on like any other.

    model.gguf  ->  model.gguf.float32/    config.json, model.safetensors, tokenizer.json

transformers reads configuration, weights and tokenizer out of the file, which takes long (SmolLM2, 98 MB: a quarter of
a minute). So the result is kept beside the file, in float32, as the folder of a model; a second start maps it into
memory. `config.json` there says what it was made from (`dequantized_from`), so that every record of a run can. The
folder appears whole or not at all; it is made anew where the file has changed.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

from toy.run.errors import InputError
from toy.run.files import writing_to

SUFFIX = ".gguf"
MADE_FROM = "dequantized_from"
"""Attribute of a model's configuration: the file, its quantisation, and what tells it from another of the same name."""


def is_gguf(name: str) -> bool:
    """Whether a name is a GGUF file, a folder that holds one and no other model, or repository:file.gguf on the hub."""
    path = Path(name).expanduser()
    return name.endswith(SUFFIX) or (not (path / "config.json").is_file() and bool(_files(path)))


def dequantised(name: str, revision: str | None = None) -> Path:
    """The folder of the model in float32, made if it is not there.

    Raises:
        InputError: there is no such file, it is damaged or of an architecture that transformers does not read, or the
            folder cannot be written.
    """
    path = _located(name, revision)
    folder, identity = path.with_name(f"{path.name}.float32"), _identity(path)
    if not _is_made_from(folder, identity):
        print(f"{path.name}: dequantised into {folder}, once", file=sys.stderr)
        _convert(path, folder, identity | {"quantization": _quantisation(path)})
    return folder


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []


def _located(name: str, revision: str | None) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if files := _files(path):
        if len(files) > 1:
            listed = ", ".join(file.name for file in files)
            raise InputError(f"{path} holds {len(files)} GGUF files ({listed}): name one of them as --model")
        return files[0]
    repository, colon, file = name.partition(":")
    if not colon:
        raise InputError(f"there is no file {path}: give a GGUF file, or repository:file.gguf of the hub")
    from huggingface_hub import hf_hub_download

    from llm_probe.models.hub import explained

    with explained(repository, revision):
        return Path(hf_hub_download(repository, file, revision=revision))


def _identity(path: Path) -> dict[str, Any]:
    seen = path.stat()
    return {"file": path.name, "bytes": seen.st_size, "modified": int(seen.st_mtime)}


def _is_made_from(folder: Path, identity: dict[str, Any]) -> bool:
    try:
        made_from = json.loads((folder / "config.json").read_text(encoding="utf-8"))[MADE_FROM]
    except (OSError, ValueError, KeyError):
        return False
    return {key: made_from.get(key) for key in identity} == identity


def _quantisation(path: Path) -> str:
    """What most of its weights are kept in, such as Q4_1 or Q4_K_M.

    Raises:
        InputError: the file is damaged, is none of this format, or its architecture is not read.
    """
    from gguf import GGUFReader, LlamaFileType
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

    try:
        reader = GGUFReader(path)
        architecture, kind = (reader.get_field(f"general.{key}") for key in ("architecture", "file_type"))
    except (ValueError, IndexError, KeyError, struct.error, OSError) as error:
        raise InputError(
            f"{path} is not a whole GGUF file ({error}): download it again, or give another model"
        ) from error
    known = sorted(GGUF_CONFIG_MAPPING.keys() - {"general", "tokenizer"})
    own = architecture.contents() if architecture else "no"
    if own not in known:
        raise InputError(
            f"{path} holds a model of {own} architecture, which transformers does not read out of GGUF: give one of "
            f"{', '.join(known)}, or the model's safetensors"
        )
    try:
        return LlamaFileType(kind.contents()).name.removeprefix("MOSTLY_").removeprefix("ALL_") if kind else "unknown"
    except ValueError:
        return "unknown"


def _convert(path: Path, folder: Path, made_from: dict[str, Any]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from llm_probe.models.hub import explained, quiet_loading
    from llm_probe.models.weights import check_complete

    part = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        with explained(str(path), None), quiet_loading():
            given: Any = {"gguf_file": path.name}
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **given)
            given |= {"dtype": torch.float32, "output_loading_info": True}
            family: Any = AutoModelForCausalLM
            model, report = family.from_pretrained(path.parent, **given)
        check_complete(model, model.get_decoder(), report, str(path))
        # What it was quantised with is not how it is kept now, and keeps transformers from saving it.
        model.config.__dict__.pop("quantization_config", None)
        model.is_quantized, model.hf_quantizer = False, None
        setattr(model.config, MADE_FROM, made_from)
        advice = "free some space, or put the file into a folder that can be written"
        with writing_to(folder, advice, RuntimeError), quiet_loading():
            model.save_pretrained(part)
            tokenizer.save_pretrained(part)
            shutil.rmtree(folder, ignore_errors=True)
            part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
