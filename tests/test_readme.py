"""The README's own examples: what it tells people to type is run.

A code block is tested where a comment stands right before it: `<!-- test -->` runs a Python block, and
`<!-- file: tides.yaml -->` writes a block to that file, for the Python blocks that read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import datasets
import pytest
import yaml

from tests.root import ROOT

README = ROOT / "README.md"
BLOCK = re.compile(
    r"^<!-- (?P<mark>test|file: (?P<file>[\w.-]+)) -->\n+```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
EXAMPLE = """
<!-- test -->
```python
print(open("a.yaml").read())
```

```python
untested
```

<!-- file: a.yaml -->

```yaml
a: 1
b: 2
```
"""


@dataclass(frozen=True)
class Block:
    """A marked code block; `file` is None where it is to be run."""

    language: str
    text: str
    file: str | None


def blocks(text: str) -> list[Block]:
    return [Block(match["language"], match["text"], match["file"]) for match in BLOCK.finditer(text)]


def readme() -> list[Block]:
    return blocks(README.read_text(encoding="utf-8")) if README.exists() else []


def test_marked_blocks_are_found() -> None:
    assert blocks(EXAMPLE) == [
        Block("python", 'print(open("a.yaml").read())\n', None),
        Block("yaml", "a: 1\nb: 2\n", "a.yaml"),
    ]


def test_every_mark_has_its_block() -> None:
    if not README.exists():
        pytest.skip("there is no README.md")
    text = README.read_text(encoding="utf-8")
    assert len(readme()) == len(re.findall(r"<!-- (?:test|file:)", text))
    assert {block.language for block in readme() if block.file is None} <= {"python"}
    for block in readme():
        if block.language == "yaml":
            assert isinstance(yaml.safe_load(block.text), dict)


@pytest.mark.parametrize(
    "example", [block for block in readme() if block.file is None], ids=lambda block: block.text.splitlines()[0]
)
def test_an_example_runs(example: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own, beside the files that the README shows."""
    for block in readme():
        if block.file is not None:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    exec(compile(example.text, str(README), "exec"), {"__name__": "__main__"})
