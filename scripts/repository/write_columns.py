"""Write results/README.md: the text of results.md in this folder, then a table for every table of results.

python scripts/repository/write_columns.py

A column's meaning is the docstring of its field in the dataclass of the table's rows, and nowhere else.
"""

import _root
from _command import ROOT

import argparse
import sys
from pathlib import Path

from toy.run.files import write_atomic

HEAD = Path(__file__).parent / "results.md"
"""What stands before the columns: the folders of `results/` and the tables that no dataclass describes."""
BESIDE = "`claims.csv` has the first of these columns; `verdicts.csv` and `reruns.csv` repeat them and add theirs."
NOT_COLUMNS = ("line",)
"""Fields that stand in no table."""


def sections() -> dict[str, dict[str, type]]:
    """Heading to its tables, each with the dataclass whose docstrings are the meanings."""
    from causal.algorithms.word_rates import WordRow
    from causal.run.tables import TABLES as CAUSAL
    from llm_probe.replication.audit.claims import ClaimColumns
    from llm_probe.replication.audit.page import AuditRow
    from llm_probe.replication.audit.random_networks import NullRow
    from llm_probe.replication.audit.rerun import RerunRow
    from llm_probe.calibration.hard_nulls import LevelRow
    from llm_probe.calibration.harness import FalsePositiveRow, PowerRow
    from llm_probe.calibration.quantised import QuantisedRow
    from llm_probe.compare.comparison import ComparedLayerRow, ComparedRow
    from llm_probe.replication.experiments.deep_dive import TABLES as DEEP_DIVE
    from llm_probe.circuits.table import TABLES as CIRCUITS
    from llm_probe.emergence.table import TABLES as SERIES
    from llm_probe.emergence.trainings import ORDER
    from llm_probe.run.table import TABLES
    from sae.circles.table import TABLES as FEATURES

    return {
        "A probed model": TABLES,
        "causal": CAUSAL,
        "sae": FEATURES,
        "circuits": CIRCUITS,
        "checkpoints": SERIES,
        "emergence": dict(ORDER.tables),
        "compare": {"compare": ComparedRow, "compare_layers": ComparedLayerRow},
        "calibration": {
            "false_positives": FalsePositiveRow,
            "power": PowerRow,
            "levels": LevelRow,
            "class_mean_null": NullRow,
            "causal_words": WordRow,
            "quantised": QuantisedRow,
        },
        "published": {"claims": ClaimColumns, "verdicts": AuditRow, "reruns": RerunRow},
        "deep_dive": DEEP_DIVE,
    }


def section(name: str, row_type: type) -> str:
    """One table: what a row is, and its columns."""
    from llm_probe.run.columns import meanings

    about = " ".join((row_type.__doc__ or "").split("\n\n")[0].split())
    columns = [
        (column, meaning.replace("|", r"\|")) for column, _, meaning in meanings(row_type) if column not in NOT_COLUMNS
    ]
    rows = [f"| `{column}` | {meaning} |" for column, meaning in columns]
    return "\n".join([f"### {name}.csv\n\n{about}\n\n| column | meaning |\n|---|---|", *rows]) + "\n"


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    parts = [HEAD.read_text(encoding="utf-8")]
    for heading, tables in sections().items():
        parts.append(f"## {heading}\n" + (f"\n{BESIDE}\n" if heading == "published" else ""))
        parts += [section(name, row_type) for name, row_type in tables.items()]
    write_atomic(ROOT / "results" / "README.md", "\n".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
