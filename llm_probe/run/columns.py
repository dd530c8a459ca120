"""What the columns of a table mean: read from the docstrings under the fields of its dataclass.

A row type is documented once, beside its fields; the page's foot and `results/README.md` say the same words.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping

from llm_probe.run import table

Meanings = list[tuple[str, str, str]]
"""(column, type, meaning) of every column, in order."""


def column_meanings(row_types: Mapping[str, type] = table.TABLES) -> dict[str, Meanings]:
    """Table name to its columns; a field without a docstring has an empty meaning."""
    return {name: meanings(row_type) for name, row_type in row_types.items()}


def meanings(row_type: type) -> Meanings:
    """The columns of one dataclass; inherited fields are not among them."""
    body = ast.parse(textwrap.dedent(inspect.getsource(row_type))).body[0]
    assert isinstance(body, ast.ClassDef), "a row type is a class"
    columns: Meanings = []
    for node, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            meaning = str(after.value.value) if said else ""  # type: ignore[union-attr]
            if node.target.id == "values":
                columns += [(name, "float | None", text) for name, (text, _) in row_type.registered().items()]
                continue
            columns.append((node.target.id, ast.unparse(node.annotation), " ".join(meaning.split())))
    return columns
