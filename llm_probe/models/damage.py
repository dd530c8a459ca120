"""Which file of a model's folder is damaged, in one sentence that names it.

A loader says that a header is too large or that a value was expected in column 1, and rarely of which file. So after an
error the files that transformers reads are looked through here: a Git LFS pointer in the place of the file, JSON that
ends early, weights that were not downloaded to their end, a shard that the index names and that is not there. Pointers
are looked for before anything is loaded as well: a vocabulary of three lines loads without a word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

READ = (
    "config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja", "*.model",
    "*.safetensors.index.json", "*.safetensors",
)  # fmt: skip
"""Names of the files that transformers may read."""
POINTER = b"version https://git-lfs"


def pointer(folder: Path) -> str | None:
    """A sentence about the first file that is a Git LFS pointer; None where there is none."""
    for path in _files(folder):
        with path.open("rb") as file:
            if file.read(len(POINTER)) == POINTER:
                return f"{path} is a Git LFS pointer and not the file itself: run `git lfs pull` in its folder"
    return None


def damage(folder: Path) -> str | None:
    """A sentence about the first file that is not whole; None where all are."""
    if sentence := pointer(folder):
        return sentence
    for path in _files(folder):
        if reason := _reason(path):
            return f"{path} {reason}: copy or download it again"
    return None


def _files(folder: Path) -> Iterator[Path]:
    for name in READ:
        yield from (path for path in sorted(folder.glob(name)) if path.is_file())


def _reason(path: Path) -> str | None:
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt"):
                return None
        if path.suffix == ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                return f"holds a {type(content).__name__} and not a JSON object"
            shards = content.get("weight_map") if path.name.endswith(".index.json") else None
            for shard in sorted(set((shards or {}).values())):
                if not (path.parent / shard).is_file():
                    return f"names {shard}, which is not there"
    except (OSError, ValueError, SafetensorError) as error:
        return f"is not whole ({' '.join(str(error).split())})"
    return None
