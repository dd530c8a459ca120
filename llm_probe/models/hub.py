"""From a model's name to where it lies, and from what the hub's libraries raise to one sentence for the user.

transformers turns nearly every failure into an OSError or ValueError of several paragraphs; what really happened is
the `huggingface_hub` error in its chain of causes, so that chain decides what the user is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llm_probe.models.gguf import dequantised, is_gguf
from toy.run.errors import InputError

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


def source(name: str, reference: Path, revision: str | None = None) -> str:
    """What `from_pretrained` is given: a folder, or the name itself if it is one of the hub.

    Raises:
        InputError: a path that is not a model folder, or a GGUF file that cannot be read.
    """
    if is_gguf(name):
        return str(dequantised(name, revision))
    path = reference if name == "reference" else Path(name).expanduser()
    if (path / "config.json").is_file():
        return str(path)
    if path.is_dir() or path == reference or name.startswith(("/", ".", "~")):
        raise InputError(
            f"no model in the folder {path}: give a folder with config.json and model.safetensors, a GGUF file, or a "
            "run directory of scripts/train_toy.py"
        )
    return name


def commit(path: str, revision: str | None) -> str | None:
    """The commit of the hub repository whose configuration was just read, from the cache; None for a folder."""
    from huggingface_hub import try_to_load_from_cache

    if Path(path).is_dir():
        return None
    cached = try_to_load_from_cache(path, "config.json", revision=revision)
    return Path(cached).parent.name if isinstance(cached, str) else None


@contextmanager
def explained(name: str, revision: str | None) -> Iterator[None]:
    """Turn what loading `name` may raise into an InputError; anything else passes through."""
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        described = f"{' '.join(sorted(_chain(error)))}\n{error}"
        for pattern, sentence in REASONS.items():
            if re.search(pattern, described):
                first_line = str(error).partition("\n")[0]
                raise InputError(sentence.format(name=name, revision=revision, first_line=first_line)) from error
        raise


@contextmanager
def no_loading_bar() -> Iterator[None]:
    """Mute transformers' bar for weights that are read from disk; downloads keep theirs."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging

    shown, downloads = logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    # transformers switches the hub's bars as well as its own.
    logging.disable_progress_bar()
    if downloads:
        enable_progress_bars()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
        if not downloads:
            disable_progress_bars()


def _chain(error: BaseException | None) -> set[str]:
    """Class names of an error, its bases and everything it was raised from."""
    names: set[str] = set()
    while error is not None:
        names |= {kind.__name__ for kind in type(error).__mro__}
        error = error.__cause__ or error.__context__
    return names
