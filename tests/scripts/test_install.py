"""The wheel alone, in an environment and a folder of its own: what it holds, what it imports, what its command does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from llm_probe import __version__
from tests.root import ROOT

TRACKED = ("toy", "llm_probe", "sae", "causal", "scripts", "pyproject.toml", "setup.py", "README.md", "LICENSE")


@dataclass(frozen=True)
class Installed:
    """A virtual environment that has the wheel, and everything it needs from the environment of the tests."""

    python: Path
    packages: Path
    wheel: Path

    def run(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        command = [str(self.python), *words]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)

    def command(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return self.run(
            "-c", "import sys; from llm_probe_scripts._command import main; sys.exit(main())", *words, cwd=cwd
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in [*TRACKED, *(path.name for path in ROOT.glob("requirements*.txt"))]:
        # Links, not copies; setuptools writes its own folders beside them.
        (source / name).symlink_to(ROOT / name)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(folder),
        str(source),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    paths = sysconfig.get_paths(vars={"base": str(folder / "env"), "platbase": str(folder / "env")})
    packages = Path(paths["purelib"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return Installed(python, packages, wheel)


def test_the_wheel_holds_the_packages_and_what_they_read(installed: Installed) -> None:
    assert installed.wheel.name.startswith(f"llm_probe-{__version__}-")
    for package, name in (("llm_probe", "llm_probe"), ("toy", "toy"), ("sae", "sae"), ("causal", "causal")):
        kinds = (".py", ".html", ".css", ".js", ".safetensors", ".json")
        wanted = {path.relative_to(ROOT / package) for path in (ROOT / package).rglob("*") if path.suffix in kinds}
        there = {path.relative_to(installed.packages / name) for path in (installed.packages / name).rglob("*")}
        assert wanted <= there
    assert not (installed.packages / "tests").exists() and not (installed.packages / "scripts").exists()


def test_importing_it_loads_nothing_slow(installed: Installed, tmp_path: Path) -> None:
    code = "import sys, llm_probe; print(llm_probe.__file__, {'torch', 'sae_lens', 'plotly'} & sys.modules.keys())"
    ended = installed.run("-c", code, cwd=tmp_path)
    assert ended.stdout.split() == [str(installed.packages / "llm_probe" / "__init__.py"), "set()"]


def test_commands_are_listed_and_say_how_they_are_typed(installed: Installed, tmp_path: Path) -> None:
    listed = installed.command("--help", cwd=tmp_path)
    assert listed.returncode == 0 and "  sae train    Train sparse autoencoders" in listed.stdout
    one = installed.command("run", "--help", cwd=tmp_path)
    lines = one.stdout.splitlines()
    assert "usage: llm-probe run [-h] [OPTIONS]" in lines
    # Every example stands on a line of its own.
    assert sum(line.startswith("llm-probe run") for line in lines) >= 3
    wrong = installed.command("probe", cwd=tmp_path)
    assert wrong.returncode == 2 and wrong.stderr.startswith(
        "error: llm-probe has no command 'probe': choose from run,"
    )
    assert "days      7       cyclic" in installed.command("domains", cwd=tmp_path).stdout


def test_a_run_from_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    options = ("--domains", "seasons", "--prompts", "60", "--renamings", "19", "--no-behaviour", "--no-random-control")
    ended = installed.command("run", *options, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    page = tmp_path / "results" / "reference" / "report.html"
    assert page.is_file() and "llm-probe run --domains seasons" in page.read_text(encoding="utf-8")


def test_the_notebook_runs_from_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    (path,) = (ROOT / "examples").glob("*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    smaller = code.replace("prompts=300, renamings=499", "prompts=60, renamings=19, random_control=False")
    assert smaller != code
    ended = installed.run("-c", smaller, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "turned by 1:" in ended.stdout and list(tmp_path.iterdir()) == []
