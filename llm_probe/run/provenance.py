"""Where a table came from: model, precision, versions, commit, seed and the command to make it again."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from llm_probe.models.loading import LoadedModel
from llm_probe.run.config import ProbeConfig
from llm_probe.run.schema import VERSION

PACKAGES = ("torch", "transformers", "numpy", "scipy", "pandas")


def provenance(config: ProbeConfig, loaded: LoadedModel, layers: tuple[int, ...], command: str) -> dict[str, Any]:
    """The content of run.json, but for the number of prompts and the time, which the end of the run knows."""
    return {
        "model": config.model,
        "revision": loaded.revision,
        "layers": len(loaded.layers),
        "layers_probed": list(layers),
        "d_model": loaded.d_model,
        "parameters": sum(weight.numel() for weight in loaded.model.parameters()),
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "device": str(loaded.device),
        "attention": getattr(loaded.model.config, "_attn_implementation", None),
        "control": "same architecture, random weights" if config.random_control else None,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": command,
        "schema": VERSION,
        "versions": {name: installed(name) for name in PACKAGES},
        "commit": commit(),
        "seed": config.seed,
        "configuration_hash": config.hash(),
        "chat": config.chat,
        "prompts": config.prompts,
        "renamings": config.renamings,
        "positions": list(config.position) or ["last (questions)", "item (statements)"],
        "sites": list(config.site),
        "out": str(config.folder),
    }


def installed(package: str) -> str | None:
    """Its version; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit() -> str | None:
    """The checkout's commit, with a plus if files differ from it; None outside git."""
    folder = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
