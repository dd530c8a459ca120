"""How large the published class-mean R² is in networks of Qwen3's shape that were never trained.

python scripts/calibration/null_class_means.py   the table that audit_claims.py reads (half an hour; it resumes)
"""

import _root
from _command import ended

import csv
import io
import sys
import time

import tyro

from llm_probe.replication.audit.random_networks import COLUMNS, NullConfig, table
from toy.run.files import write_atomic


def main() -> int:
    return ended(_measure, "the same command goes on")


def _measure() -> None:
    started = time.perf_counter()

    def tell(seed: int) -> None:
        print(f"network {seed} done after {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)

    config = tyro.cli(NullConfig, description=__doc__, prog="python scripts/calibration/null_class_means.py")
    rows = list(table(config, tell))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"{value:.6f}" if isinstance(value, float) else value for name, value in row.items()})
    write_atomic(config.out, text.getvalue())
    print(f"{len(rows)} rows in {config.out}")


if __name__ == "__main__":
    sys.exit(main())
