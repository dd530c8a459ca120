"""Run the cells of a notebook and keep what they print and show, so that it can be read without running it.

python scripts/repository/run_notebook.py examples/weekdays.ipynb

Plain Python: every code cell is run in one namespace, its last expression is shown as a notebook would (HTML, else its
repr) and every figure it leaves open as a picture. A cell that fails ends it, and the file stays as it was.
"""

import _root
import _command

import argparse
import ast
import base64
import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from toy.run.files import write_atomic

Output = dict[str, Any]
DPI = 110


def outputs(source: str, namespace: dict[str, Any], number: int) -> list[Output]:
    """What one code cell prints and shows, as the notebook format has it."""
    body = ast.parse(source).body
    last = body[-1] if body and isinstance(body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with redirect_stdout(printed), redirect_stderr(io.StringIO()):
        before = body if last is None else body[:-1]
        exec(compile(ast.Module(before, []), f"cell {number}", "exec"), namespace)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), namespace)
    pictures = [shown({"image/png": picture}, number) for picture in open_figures()]
    words = lines(printed.getvalue())
    text: list[Output] = [{"name": "stdout", "output_type": "stream", "text": words}] if words else []
    if value is None or pictures:
        return text + pictures
    made = getattr(value, "_repr_html_", None)
    data = ({"text/html": lines(made())} if made else {}) | {"text/plain": lines(repr(value))}
    return [*text, {"execution_count": number, **shown(data, number), "output_type": "execute_result"}]


def shown(data: dict[str, Any], number: int) -> Output:
    return {"data": data, "metadata": {}, "output_type": "display_data"}


def open_figures() -> list[str]:
    """Every open figure of pyplot as a picture; they are closed."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    pictures = []
    for which in pyplot.get_fignums():
        target = io.BytesIO()
        pyplot.figure(which).savefig(target, format="png", dpi=DPI, metadata={"Software": None})
        pictures.append(base64.b64encode(target.getvalue()).decode())
    pyplot.close("all")
    return pictures


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def run(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook with the outputs of its code cells."""
    open_figures()  # what was open before is not the notebook's
    namespace: dict[str, Any] = {"__name__": "__main__"}
    cells, number = [], 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            cells.append(cell)
            continue
        number += 1
        made = outputs("".join(cell["source"]), namespace, number)
        cells.append({**cell, "execution_count": number, "outputs": made})
    return {**notebook, "cells": cells}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", type=Path)
    path = parser.parse_args().notebook
    os.environ.setdefault("MPLBACKEND", "Agg")
    made = run(json.loads(path.read_text(encoding="utf-8")))
    write_atomic(path, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
