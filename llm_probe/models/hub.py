"""From a model's name to where it lies, and from what the hub's libraries raise to one sentence for the user.

transformers turns nearly every failure into an OSError or ValueError of several paragraphs; what really happened is
the `huggingface_hub` error in its chain of causes, so that chain decides what the user is told.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llm_probe.models.damage import damage, pointer
from llm_probe.models.gguf import dequantised, is_gguf
from toy.run.errors import InputError

REFERENCE_FOLDER = Path(__file__).parent / "reference" / "weights"
MOST_BLOCKS = 10_000
"""Blocks of a model at most: building more takes hours before any weight is read."""
ADAPTER = "adapter_config.json"
MERGE = "give the folder that peft's `merge_and_unload` and `save_pretrained` make of the adapter and its model"
REASONS = {
    # A gated repository is also reported as one that does not exist, so that this sentence comes first.
    r"\bGatedRepoError\b|gated repo": (
        "{name} is gated: accept its licence at https://huggingface.co/{name}, then log in with `hf auth login`, "
        "or run with --model reference"
    ),
    r"\bRevisionNotFoundError\b": (
        "{name} has no revision {revision!r}: give a branch, tag or commit of its repository, or none"
    ),
    r"\b(LocalEntryNotFoundError|OfflineModeIsEnabled|ConnectError|TimeoutException)\b": (
        "{name} is not in the cache and the hub cannot be reached: run with --model reference, which needs no network, "
        "or with HF_HUB_OFFLINE=1 and a model that is already cached"
    ),
    r"\b(RepositoryNotFoundError|HFValidationError)\b": (
        "there is no model {name!r}, neither a folder nor on the hub (a private one needs `hf auth login`): "
        "check the name or run with --model reference"
    ),
    r"trust_remote_code": "{name} brings its own code: read it, and if you trust it run with --trust-remote-code",
    r"safetensors": (
        "{name} has no safetensors weights, the only kind that is read: choose another revision or convert them"
    ),
    r"(?i:tokenizer)": (
        "{name} has no fast tokenizer (tokenizer.json), which locates the operands: choose another model"
    ),
    r"config\.json|model type|Unrecognized model": (
        "{name} is not a language model that the installed transformers knows: {first_line}"
    ),
}
"""What is matched in the class names and the text of an error, and what the user is told; the first match wins."""


def is_toy(name: str) -> bool:
    """Whether a name is a run directory or a checkpoint file of a toy (`toy`) and no language model."""
    from toy.training.runs import is_run

    path = Path(name).expanduser()
    if path.is_file():
        return path.suffix in (".pt", ".pth")
    # A language model's folder may hold checkpoints too, but its configuration names an architecture.
    return is_run(path) and '"model_type"' not in (path / "config.json").read_text(encoding="utf-8", errors="replace")


def check_revision(name: str, revision: str | None) -> None:
    """Raises InputError if a revision is given for a model that lies on this machine."""
    if revision is not None and (name == "reference" or Path(name).expanduser().exists()):
        raise InputError(
            f"{name} lies on this machine and has one version only: leave out --revision {revision}, or give the name "
            "of a model on the hub"
        )


def source(name: str, revision: str | None = None) -> str:
    """What `from_pretrained` is given: a folder, or the name itself if it is one of the hub.

    Raises:
        InputError: a path that is not a model folder, a file in it that is a Git LFS pointer, a GGUF file that cannot
            be read, or a revision of a model that lies on this machine.
    """
    check_revision(name, revision)
    if is_gguf(name):
        return str(dequantised(name, revision))
    path = REFERENCE_FOLDER if name == "reference" else Path(name).expanduser()
    if (path / "config.json").is_file():
        if sentence := pointer(path):
            raise InputError(sentence)
        return str(path)
    if (path / ADAPTER).is_file():
        raise InputError(f"{path} holds an adapter without its model: {MERGE}")
    if path.is_dir() or path == REFERENCE_FOLDER or name.startswith(("/", ".", "~")):
        raise InputError(
            f"no model in the folder {path}: give a folder with config.json and model.safetensors, a GGUF file, or a "
            "run directory of scripts/train_toy.py"
        )
    return name


def configuration(name: str, revision: str | None = None, *, trust_remote_code: bool = False) -> tuple[str, Any]:
    """(what `from_pretrained` is given, the configuration) of a model that is no toy.

    Raises:
        InputError: there is no such model, it cannot be reached, or its config.json describes none.
    """
    from transformers import AutoConfig

    path = source(name, revision)
    with explained(name, revision, "the config.json"):
        config: Any = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=trust_remote_code)
        blocks = getattr(config.get_text_config(), "num_hidden_layers", None)
    if isinstance(blocks, int) and not 0 < blocks <= MOST_BLOCKS:
        raise InputError(
            f"the config.json of {name} says {blocks} blocks (num_hidden_layers), where 1 to {MOST_BLOCKS} can be "
            "built: copy it again from where the model came from"
        )
    if (folder := folder_of(path, revision)) and (folder / ADAPTER).is_file() and not find_spec("peft"):
        raise InputError(f"{name} holds an adapter, which needs the package peft: install it, or {MERGE}")
    return path, config


def folder_of(path: str, revision: str | None) -> Path | None:
    """Where the files of a model lie: its folder, or the snapshot in the hub's cache; None if there is neither."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    folder = REFERENCE_FOLDER if path == "reference" else Path(path).expanduser()
    if folder.is_dir():
        return folder
    try:
        cached = try_to_load_from_cache(path, "config.json", revision=revision)
    except HFValidationError:
        return None
    return Path(cached).parent if isinstance(cached, str) else None


def commit(path: str, revision: str | None) -> str | None:
    """The commit of the hub repository whose configuration was just read, from the cache; None for a folder."""
    folder = None if Path(path).is_dir() else folder_of(path, revision)
    return folder.name if folder else None


@contextmanager
def explained(name: str, revision: str | None, reading: str = "") -> Iterator[None]:
    """Turn what loading `name` may raise into an InputError; anything else passes through.

    `reading`: the part of the model that nothing but a loader reads inside the block, such as `the config.json`. Then
    whatever it raises is said of that part.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if sentence := _sentence(error, name, revision, reading):
            raise InputError(sentence) from error
        raise


def _sentence(error: Exception, name: str, revision: str | None, reading: str) -> str | None:
    """What the user is told of an error; None if it is none of a loader."""
    if (folder := folder_of(name, revision)) and (broken := damage(folder)):
        return broken
    first_line = str(error).strip().partition("\n")[0]
    if isinstance(error, ImportError):
        return f"{name} needs a package that is not installed: {first_line}"
    if isinstance(error, OSError | ValueError):
        described = f"{' '.join(sorted(_chain(error)))}\n{error}"
        for pattern, sentence in REASONS.items():
            if re.search(pattern, described):
                return sentence.format(name=name, revision=revision, first_line=first_line)
    if not reading:
        return None
    return f"{reading} of {name} cannot be used ({one_line(error)}): copy it again from where the model came from"


def one_line(error: Exception, most: int = 300) -> str:
    """Kind and text of another library's error, for the middle of a sentence."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= most else f"{text[:most]}…"


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Mute transformers' bar for weights that are read from disk, and its table of what was missing among them, which
    `weights.check_complete` says in a sentence; downloads keep their bar."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

    shown, downloads = is_progress_bar_enabled(), not are_progress_bars_disabled()
    loader = logging.getLogger("transformers.modeling_utils")
    # transformers switches the hub's bars as well as its own.
    disable_progress_bar()
    loader.addFilter(_is_no_report)
    if downloads:
        enable_progress_bars()
    try:
        yield
    finally:
        loader.removeFilter(_is_no_report)
        if shown:
            enable_progress_bar()
        if not downloads:
            disable_progress_bars()


def _is_no_report(record: logging.LogRecord) -> bool:
    return "LOAD REPORT" not in record.getMessage()


def _chain(error: BaseException | None) -> set[str]:
    """Class names of an error, its bases and everything it was raised from."""
    names: set[str] = set()
    while error is not None:
        names |= {kind.__name__ for kind in type(error).__mro__}
        error = error.__cause__ or error.__context__
    return names
