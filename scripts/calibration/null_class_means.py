"""How large the published class-mean R² is in networks of Qwen3's shape that were never trained.

python scripts/calibration/null_class_means.py   the table that audit_claims.py reads (half an hour; it resumes)
"""

import _root
from _command import run

import sys
import time

from llm_probe.replication.audit.random_networks import COLUMNS, NullConfig, table
from toy.run.files import write_atomic


def main() -> int:
    return run(__file__, NullConfig, __doc__, measure, "the same command goes on")


def measure(config: NullConfig, _: str) -> None:
    """Measure every network and write the table."""
    import pandas as pd

    started = time.perf_counter()

    def tell(seed: int) -> None:
        print(f"network {seed} done after {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)

    rows = pd.DataFrame(table(config, tell), columns=list(COLUMNS))
    write_atomic(config.out, rows.to_csv(index=False, float_format="%.6f"))
    print(f"{len(rows)} rows in {config.out}")


if __name__ == "__main__":
    sys.exit(main())
