"""What this machine has of what the suite uses, and what each missing piece means.

Every check is one line: a state, what was found, and, unless it is in order, what that means and what to do.

    ok        in order
    note      something optional is not there, or works otherwise than usual
    missing   without it the suite, or what the line names, does not run

Nothing is downloaded and no model is run; the only request is one to the hub, unless it is switched off.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
REQUIREMENTS, LOCK = "requirements.txt", "requirements.lock"
OPTIONAL = {
    "requirements-sae.txt": "only sparse autoencoders need them; `make env` or `pip install llm-probe[sae]`",
    "requirements-test.txt": "only `make test` needs them, and installs them",
}
"""Other requirements, and what their absence means."""
PYTHON = (3, 11)
PROGRAMS = {
    "chromium": "the page is not tested in a browser (tests skip it)",
    "sbatch": "no Slurm here: sweeps run on this machine only",
    "git": "run.json cannot name the commit",
}
"""Program to what its absence means."""
GB = 1e9

State = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Finding:
    """One line."""

    what: str
    state: State
    seen: str
    means: str = ""
    """Empty if all is well."""


def examine(root: Path = ROOT, *, online: bool = True) -> list[Finding]:
    """Every check in order; a check that itself fails is a finding too.

    Args:
        root: the checkout.
        online: whether to ask the hub.
    """
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        lambda: _packages(root),
        _devices,
        lambda: _models(root),
        lambda: _hub(online),
        lambda: _disk(root),
        _programs,
    )
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check()
        except Exception as error:  # a broken installation may raise anything, and that is what is asked for
            findings.append(Finding("check", "missing", f"{type(error).__name__}: {error}", "`make env` installs anew"))
    return findings


def report(findings: list[Finding]) -> str:
    """The findings as lines, and a sentence that sums them up."""
    width = max(len(one.what) for one in findings)
    lines = [
        f"{one.state:<7}  {one.what:<{width}}  {one.seen}" + (f"\n{'':{width + 11}}{one.means}" if one.means else "")
        for one in findings
    ]
    missing = [one.what for one in findings if one.state == "missing"]
    return "\n".join([*lines, "", f"missing: {', '.join(missing)}" if missing else "nothing that is needed is missing"])


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info[:2] < PYTHON:
        yield Finding("python", "missing", version, f"{'.'.join(map(str, PYTHON))} or newer is needed")
    else:
        yield Finding("python", "ok", f"{version}, {platform.system()} {platform.machine()}")


def _packages(root: Path) -> Iterator[Finding]:
    """What the requirements files ask for, and whether it is what the lock pins; installed, what the package does."""
    if not (root / REQUIREMENTS).exists() and (needed := _installed_needs()):
        wrong, _ = _unmet(needed, {})
        state = ("missing", ", ".join(wrong)) if wrong else ("ok", f"all {len(needed)} are there")
        yield Finding("packages", *state, "`pip install --upgrade llm-probe`" if wrong else "")
        return
    pinned = dict(line.split("==") for line in _lines(root / LOCK))
    for name, means in {REQUIREMENTS: "`make env` installs them", **OPTIONAL}.items():
        wrong, other = _unmet(_lines(root / name), pinned)
        if wrong:
            yield Finding(name, "missing" if name == REQUIREMENTS else "note", ", ".join(wrong), means)
        elif other:
            yield Finding(name, "note", ", ".join(other), "allowed, but only the locked versions are tested")
        else:
            yield Finding(name, "ok", f"all {len(_lines(root / name))} at the locked versions")


def _installed_needs() -> list[str]:
    """What the installed package needs without extras; nothing where it is not installed."""
    try:
        return [line for line in importlib.metadata.requires("llm-probe") or () if "extra ==" not in line]
    except importlib.metadata.PackageNotFoundError:
        return []


def _unmet(lines: Sequence[str], pinned: dict[str, str]) -> tuple[list[str], list[str]]:
    """(what is absent or outside its bounds, what is inside them and not the locked version)."""
    from packaging.requirements import Requirement
    from packaging.version import Version

    wrong, other = [], []
    for wanted in map(Requirement, lines):
        try:
            there = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{wanted.name} is not installed")
            continue
        lock = pinned.get(wanted.name)
        if not wanted.specifier.contains(there):
            wrong.append(f"{wanted.name} {there} is not {wanted.specifier}")
        elif lock and Version(there).public != lock:
            other.append(f"{wanted.name} {there}, locked {lock}")
    return wrong, other


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def _devices() -> Iterator[Finding]:
    import torch

    threads = f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads"
    yield Finding("cpu", "ok", f"{threads}{_memory()}")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
            yield Finding(f"cuda:{index}", "ok", f"{name}, {free / GB:.0f} of {total / GB:.0f} GB free")
    elif torch.backends.mps.is_available():
        yield Finding("mps", "ok", "Apple GPU")
    else:
        built = f"torch {torch.__version__}" + ("" if torch.version.cuda else ", built without CUDA")
        means = "models run on the CPU; `python scripts/probe_llm.py --model … --dry-run` says how long one takes here"
        yield Finding("gpu", "note", f"none ({built})", means)


def _memory() -> str:
    if not hasattr(os, "sysconf"):  # Windows
        return ""
    return f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / GB:.0f} GB of memory"


def _models(root: Path) -> Iterator[Finding]:
    """The bundled model, and what lies in the hub's cache."""
    weights = root / "llm_probe" / "models" / "reference" / "weights" / "model.safetensors"
    if weights.is_file() and weights.stat().st_size > 1e6:
        yield Finding("reference model", "ok", f"{weights.stat().st_size / 1e6:.1f} MB")
    else:
        means = "`git lfs pull` or a fresh clone; scripts/models/train_reference_lm.py trains it again"
        yield Finding("reference model", "missing", f"no weights in {weights.parent}", means)
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = sorted(repo.repo_id for repo in scan_cache_dir().repos if repo.repo_type == "model")
    except CacheNotFound:
        repos = []
    if repos:
        yield Finding("hub cache", "ok", f"{HF_HUB_CACHE}: {', '.join(repos)}")
    else:
        means = "models are downloaded at first use; HF_HOME names another place"
        yield Finding("hub cache", "note", f"{HF_HUB_CACHE} holds no model", means)


def _hub(online: bool) -> Iterator[Finding]:
    from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE

    if HF_HUB_OFFLINE or not online:
        why = "HF_HUB_OFFLINE is set" if HF_HUB_OFFLINE else "not asked"
        yield Finding("hub", "note", why, "only models in the cache, in a folder and `reference` can be probed")
        return
    try:
        _connect(ENDPOINT)
        yield Finding("hub", "ok", f"{ENDPOINT} answers")
    except OSError as error:
        means = "as without a network: the cache, a folder and `reference`; set HF_HUB_OFFLINE=1 to wait for nothing"
        yield Finding("hub", "note", f"{ENDPOINT} cannot be reached ({error.strerror or error})", means)


def _connect(endpoint: str) -> None:
    """Through the proxy that the libraries would take, if one is set."""
    from urllib.request import getproxies

    parts = urlsplit(getproxies().get(urlsplit(endpoint).scheme, endpoint))
    port = parts.port or (443 if parts.scheme == "https" else 80)
    socket.create_connection((parts.hostname or "", port), timeout=3).close()


def _disk(root: Path) -> Iterator[Finding]:
    """Where results go: the checkout's folder, or the one this is run in."""
    folder = root / "results" if (root / "results").is_dir() else Path.cwd()
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        yield Finding("results", "missing", f"{folder} cannot be written", "give another --out")
    elif free < 5 * GB:
        yield Finding("disk", "note", f"{free / GB:.1f} GB free", "enough for results, not for many models")
    else:
        yield Finding("disk", "ok", f"{free / GB:.0f} GB free")


def _programs() -> Iterator[Finding]:
    for name, means in PROGRAMS.items():
        path = shutil.which(name)
        yield Finding(name, "ok", path) if path else Finding(name, "note", "not on the path", means)
