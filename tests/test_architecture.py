"""The rules that keep the repository readable, checked on its files.

    toy  <-  llm_probe  <-  sae  <-  causal  <-  scripts

Each package imports what stands to its left and nothing to its right, and a heavy dependency belongs to the first
package that may import it. Inside a package the rooms have arrows too: what reads a model and computes statistics never
imports what judges, runs or shows them. The rest is about files: how many stand in a folder, how long they are, their
names and docstrings, and what must not be committed.

Only one rule has exceptions yet: `KNOWN_VAGUE` counts the vague names that are left in each package.
"""

import ast
import graphlib
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.root import ROOT

LAYERS = ("toy", "llm_probe", "sae", "causal", "scripts")
FIRST_LAYER = {"transformers": "llm_probe", "tokenizers": "llm_probe", "sae_lens": "sae", "transformer_lens": "sae"}
LONGEST_FILE = 400
MOST_FILES = 15
"""Python files in one folder, `__init__.py` included."""
DRAWERS = {"utils", "common", "core", "helpers"}
LARGEST_COMMITTED = 8_000_000
WEIGHTS = {".safetensors", ".pt", ".pth", ".bin", ".ckpt"}
MACHINE_PATH = re.compile(r"(?:(?<=file://)|(?<![\w.~/)}\]*$-]))/(?:root|work|home|Users|opt|mnt)/")

SOURCES = {layer: sorted((ROOT / layer).rglob("*.py")) for layer in LAYERS}
SCRIPTS = [path for path in SOURCES["scripts"] if not path.name.startswith("_")]


TESTS = sorted((ROOT / "tests").rglob("*.py"))

LOWER_ROOMS = ("questions", "models", "activations", "statistics", "geometry")
"""Rooms of `llm_probe` that read a model and compute; the other rooms build on them."""
UPPER_ROOMS = ("page", "verdicts", "circuits", "calibration", "compare", "replication", "sweep")
DECLARATIONS = {f"llm_probe.run.{name}" for name in ("vocabulary", "verdict_row", "table", "config")}
"""What lower rooms may import of `llm_probe.run`: the types of the tables' columns, and of the options."""

VAGUE = {"judged", "joined", "drawn", "concluded", "requested", "observer", "later", "look", "found", "asked"}
"""Names that say when or how a value came about and not what it is."""
KNOWN_VAGUE = {"toy": 0, "llm_probe": 0, "sae": 0, "causal": 1, "scripts": 0, "tests": 0}
"""How many definitions of each package may have such a name: `drawn` is a column of causal_attribution.csv."""


def module_name(path: Path) -> str:
    """The name a file is imported by; `scripts/` itself stands on the path."""
    if path.is_relative_to(ROOT / "scripts"):
        return ".".join(path.relative_to(ROOT / "scripts").with_suffix("").parts)
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for paths in SOURCES.values() for path in paths if path.stem != "_root"}


def import_statements(nodes: Iterable[ast.AST], *, at_start: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """All import statements below some nodes, or only those that run when the module is imported (`at_start`)."""
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not at_start:
            yield from import_statements(ast.iter_child_nodes(node), at_start=False)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from import_statements(node.orelse, at_start=True)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from import_statements(ast.iter_child_nodes(node), at_start=True)


def imported(source: str, *, at_start: bool = False) -> set[str]:
    """Full names of everything a file imports; relative imports have none."""
    names: set[str] = set()
    for node in import_statements([ast.parse(source)], at_start=at_start):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif node.level == 0 and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def arrows(*, at_start: bool) -> set[tuple[str, str]]:
    """(importing module, imported module) of all modules here; a name inside a module counts as the module."""
    pairs: set[tuple[str, str]] = set()
    for module, path in MODULES.items():
        beside = module.rpartition(".")[0]
        for name in imported(path.read_text(encoding="utf-8"), at_start=at_start):
            # A script finds the files of its own folder without naming the folder.
            names = (name, name.rpartition(".")[0], f"{beside}.{name}", f"{beside}.{name.rpartition('.')[0]}")
            pairs |= {
                (module, target) for target in names[: 4 if path in SOURCES["scripts"] else 2] if target in MODULES
            }
    return pairs


def wrong_arrows(layer: str, source: str) -> set[str]:
    """What a file of the package `layer` imports and may not."""
    place = LAYERS.index(layer)
    heavy = {name for name, first in FIRST_LAYER.items() if LAYERS.index(first) > place}
    return {name.split(".")[0] for name in imported(source)} & (heavy | set(LAYERS[place + 1 :]))


def defined_names(source: str) -> Iterator[str]:
    """Every name a file gives to a function, class, parameter, variable or attribute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def vague_names(paths: Iterable[Path]) -> list[str]:
    """`file: name` for every definition, and every file, whose name is one of `VAGUE`; `_name` counts as `name`."""
    return [
        f"{path.relative_to(ROOT)}: {name}"
        for path in paths
        for name in (path.stem.removeprefix("test_"), *defined_names(path.read_text(encoding="utf-8")))
        if name.strip("_") in VAGUE
    ]


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
    assert {name: names for name, names in wrong.items() if names} == {}


def room(module: str) -> str:
    """The folder of a module below its package, or the module itself where it stands in the package's own folder."""
    return module.split(".")[1] if "." in module else ""


def test_lower_rooms_do_not_import_upper_rooms() -> None:
    wrong = {
        (module, target)
        for module, target in arrows(at_start=False)
        if module.startswith("llm_probe.") and room(module) in LOWER_ROOMS and target.startswith("llm_probe.")
        if room(target) in UPPER_ROOMS or (room(target) == "run" and target not in DECLARATIONS)
    }
    assert wrong == set()


def test_nothing_builds_on_the_replication() -> None:
    inside = "llm_probe.replication"
    wrong = {
        (module, target)
        for module, target in arrows(at_start=False)
        if target.startswith(inside) and not module.startswith(inside) and MODULES[module] not in SOURCES["scripts"]
    }
    assert wrong == set()


def test_shared_rooms_of_the_toy_import_no_other_room_of_it() -> None:
    shared = ("toy.maths", "toy.run")
    wrong = {
        (module, target)
        for module, target in arrows(at_start=False)
        if module.startswith(shared) and target.startswith("toy") and not target.startswith(shared)
    }
    assert wrong == set()


def cycle(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Modules that import one another in a circle, the first one repeated at the end; empty if there is none."""
    graph: dict[str, set[str]] = {}
    for module, target in pairs:
        graph.setdefault(module, set()).add(target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_one_another() -> None:
    assert cycle(arrows(at_start=True)) == []


def test_a_cycle_is_found_and_named() -> None:
    assert cycle({("a", "b"), ("b", "c"), ("a", "c")}) == []
    assert set(cycle({("a", "b"), ("b", "c"), ("c", "b")})) == {"b", "c"}
    source = "import a\nif TYPE_CHECKING:\n    import b\ntry:\n    from c import d\nfinally:\n    pass\n"
    assert imported(source + "def f():\n    import e", at_start=True) == {"a", "c.d"}
    assert imported(source + "def f():\n    import e") == {"a", "b", "c.d", "e"}


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
    paths = [*(path for paths in SOURCES.values() for path in paths), *TESTS]
    mute = [str(path.relative_to(ROOT)) for path in paths if not ast.get_docstring(ast.parse(path.read_bytes()))]
    assert mute == []


def test_files_are_short() -> None:
    paths = [path for paths in SOURCES.values() for path in paths]
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE} == {}


def test_folders_are_short() -> None:
    paths = [*(path for paths in SOURCES.values() for path in paths), *TESTS]
    files = Counter(str(path.parent.relative_to(ROOT)) for path in paths)
    assert {folder: count for folder, count in files.items() if count > MOST_FILES} == {}


@pytest.mark.parametrize("package", KNOWN_VAGUE)
def test_names_say_what_a_thing_is(package: str) -> None:
    paths = sorted((ROOT / package).rglob("*.py"))
    names = vague_names(paths)
    assert len(names) <= KNOWN_VAGUE[package], "\n".join(names)


def test_a_vague_name_is_found() -> None:
    source = (
        "class Judged: pass\ndef f(found, *, asked=1):\n    for _look in x:\n        self.later = requested_layers = 1"
    )
    names = [name for name in defined_names(source) if name.strip("_") in VAGUE]
    assert sorted(names) == ["_look", "asked", "found", "later"]


def test_nothing_large_is_committed() -> None:
    size = {str(path.relative_to(ROOT)): path.stat().st_size for path in tracked_files()}
    assert {name: count for name, count in size.items() if count > LARGEST_COMMITTED} == {}
    assert sum(count for name, count in size.items() if Path(name).suffix in WEIGHTS) <= LARGEST_COMMITTED


def test_no_machine_paths_are_committed() -> None:
    paths = {}
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content and (match := MACHINE_PATH.search(content.decode(errors="replace"))):
            paths[str(path.relative_to(ROOT))] = match.group()
    assert paths == {}


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
    for wanted in (one for name in ("", "-sae", "-test") for one in requirements(f"requirements{name}.txt")):
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), wanted
        assert wanted.specifier.contains(version(wanted.name)), wanted


def test_tests_import_the_packages_and_not_their_own_folders() -> None:
    import toy

    assert Path(str(toy.__file__)).parent == ROOT / "toy"
