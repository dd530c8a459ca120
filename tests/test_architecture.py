"""The rules that keep the repository readable, checked on its files.

    toy  <-  llm_probe  <-  sae  <-  causal  <-  scripts

Each layer imports what stands to its left and nothing to its right; a heavy dependency belongs to the first layer
that may import it. The rest is about files: names, sizes, docstrings, and what must not be committed.
"""

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.root import ROOT

LAYERS = ("toy", "llm_probe", "sae", "causal", "scripts")
FIRST_LAYER = {"transformers": "llm_probe", "tokenizers": "llm_probe", "sae_lens": "sae", "transformer_lens": "sae"}
LONGEST_FILE = {"toy": 400, "llm_probe": 400, "sae": 400, "causal": 400, "scripts": 200}
DRAWERS = {"utils", "common", "core", "helpers"}
LARGEST_COMMITTED = 8_000_000
WEIGHTS = {".safetensors", ".pt", ".pth", ".bin", ".ckpt"}
MACHINE_PATH = re.compile(r"(?:(?<=file://)|(?<![\w.~/)}\]*$-]))/(?:root|work|home|Users|opt|mnt)/")

SOURCES = {layer: sorted((ROOT / layer).rglob("*.py")) for layer in LAYERS}
SCRIPTS = [path for path in SOURCES["scripts"] if not path.name.startswith("_")]


def imported(source: str) -> set[str]:
    """First names of all modules that a file imports, at its top or inside a function; relative ones have none."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def wrong_arrows(layer: str, source: str) -> set[str]:
    """What a file of `layer` imports and may not."""
    place = LAYERS.index(layer)
    heavy = {name for name, first in FIRST_LAYER.items() if LAYERS.index(first) > place}
    return imported(source) & (heavy | set(LAYERS[place + 1 :]))


def modules_loaded(*arguments: str) -> set[str]:
    """First names of all modules that a Python process imports, from its import-time report."""
    command = [sys.executable, "-X", "importtime", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    reported = re.findall(r"^import time:.*\| +(\S+)$", result.stderr, flags=re.MULTILINE)
    return {name.split(".")[0] for name in reported}


def tracked_files() -> list[Path]:
    """What git tracks, as it stands in the working tree."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def requirements(name: str) -> list[Requirement]:
    """The requirements of one file, comments left out."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("layer", LAYERS)
def test_arrows_point_to_the_left(layer: str) -> None:
    assert SOURCES[layer]
    wrong = {path.name: wrong_arrows(layer, path.read_text(encoding="utf-8")) for path in SOURCES[layer]}
    assert {name: found for name, found in wrong.items() if found} == {}


def test_a_wrong_arrow_is_found() -> None:
    hidden = "def f():\n    from sae.features import x\n    import transformers.models as m"
    assert wrong_arrows("toy", hidden) == {"sae", "transformers"}
    assert wrong_arrows("llm_probe", hidden) == {"sae"}
    assert wrong_arrows("sae", hidden) == set()
    assert wrong_arrows("causal", "import scripts.probe_llm") == {"scripts"}


def test_importing_llm_probe_loads_nothing_heavy() -> None:
    loaded = modules_loaded("-c", "import llm_probe")
    assert "llm_probe" in loaded
    assert loaded.isdisjoint(FIRST_LAYER)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help_does_not_load_sae_lens(script: Path) -> None:
    assert "sae_lens" not in modules_loaded(str(script), "--help")


def test_no_drawers() -> None:
    folders = {path.parent.name for paths in SOURCES.values() for path in paths}
    files = {path.stem for paths in SOURCES.values() for path in paths}
    assert DRAWERS.isdisjoint(folders | files)


def test_every_module_opens_with_a_docstring() -> None:
    paths = [path for paths in SOURCES.values() for path in paths] + sorted((ROOT / "tests").rglob("*.py"))
    mute = [str(path.relative_to(ROOT)) for path in paths if not ast.get_docstring(ast.parse(path.read_bytes()))]
    assert mute == []


@pytest.mark.parametrize("layer", LAYERS)
def test_files_are_short(layer: str) -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES[layer]}
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE[layer]} == {}


def test_nothing_large_is_committed() -> None:
    size = {str(path.relative_to(ROOT)): path.stat().st_size for path in tracked_files()}
    assert {name: count for name, count in size.items() if count > LARGEST_COMMITTED} == {}
    assert sum(count for name, count in size.items() if Path(name).suffix in WEIGHTS) <= LARGEST_COMMITTED


def test_no_machine_paths_are_committed() -> None:
    found = {}
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content and (match := MACHINE_PATH.search(content.decode(errors="replace"))):
            found[str(path.relative_to(ROOT))] = match.group()
    assert found == {}


@pytest.mark.parametrize("text", ["cd {}root/x", "'{}work/main'", "file://{}opt/wheels", "=={}home/me"])
def test_a_machine_path_is_found(text: str) -> None:
    assert MACHINE_PATH.search(text.format("/"))


@pytest.mark.parametrize("text", ["work{}cells/", "a{}work/b", "$(PWD){}work/x", "{{root}}{}work/x", "//x.org{}home/"])
def test_a_relative_path_is_no_machine_path(text: str) -> None:
    assert not MACHINE_PATH.search(text.format("/"))


def test_the_lock_pins_what_the_requirements_admit() -> None:
    lines = requirements("requirements.lock")
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", str(line)) for line in lines)  # no paths, addresses or local builds
    pinned = {canonicalize_name(line.name): str(line.specifier).removeprefix("==") for line in lines}
    for wanted in requirements("requirements.txt") + requirements("requirements-test.txt"):
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), wanted
        assert wanted.specifier.contains(version(wanted.name)), wanted


def test_tests_import_the_packages_and_not_their_own_folders() -> None:
    import toy

    assert Path(str(toy.__file__)).parent == ROOT / "toy"
