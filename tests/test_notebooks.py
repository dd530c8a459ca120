"""The example notebooks: their cells run, and what is committed beside them was made by running them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import run_notebook

from tests.root import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def kinds(cell: dict[str, Any]) -> list[tuple[str, ...]]:
    """What a cell shows: the type of every output and of its data."""
    return [(output["output_type"], *sorted(output.get("data", ()))) for output in cell["outputs"]]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_as_it_was_committed(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plt.figure()  # of someone else
    committed = json.loads(path.read_text(encoding="utf-8"))
    made = run_notebook.run(committed)
    assert [kinds(cell) for cell in code_cells(made)] == [kinds(cell) for cell in code_cells(committed)]
    assert [cell["source"] for cell in made["cells"]] == [cell["source"] for cell in committed["cells"]]
    first = "".join(code_cells(committed)[0]["source"])
    assert "pip" in first and "find_spec" in first  # where nothing is installed, as on Colab
    assert list(tmp_path.iterdir()) == []


def test_what_cells_print_and_show_is_kept() -> None:
    namespace: dict[str, Any] = {}
    assert run_notebook.outputs("x = 2", namespace, 1) == []
    (printed, value) = run_notebook.outputs("print('so')\nx + 1", namespace, 2)
    assert printed["text"] == ["so\n"]
    assert value["data"] == {"text/plain": ["3"]} and value["execution_count"] == 2
    (picture,) = run_notebook.outputs(
        "from matplotlib import pyplot\npyplot.figure().subplots().plot([1, 2])", namespace, 3
    )
    assert list(picture["data"]) == ["image/png"] and plt.get_fignums() == []
