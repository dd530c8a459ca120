"""The table that `bench_probe.py` and `bench_inference.py` print and keep: a quantity a row, beside its bar.

part   quantity   value   unit   bar (">= 4", "<= 60", or none)   met (met, missed, or nothing)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Line = tuple[str, str, float, str, str, str]


def line(
    part: str, quantity: str, value: float, unit: str, low: float | None = None, high: float | None = None
) -> Line:
    """One row of the table; `low` or `high` is the bar that the value has to meet."""
    if low is None and high is None:
        return part, quantity, value, unit, "", ""
    bar, met = (f">= {low:g}", value >= low) if low is not None else (f"<= {high:g}", value <= (high or 0))
    return part, quantity, value, unit, bar, "met" if met else "missed"


def show(lines: Iterable[Line], out: Path | None, device: str) -> None:
    """Print the table, and write it with what it was measured on."""
    import pandas as pd
    import torch

    from toy.run.files import write_atomic

    table = pd.DataFrame(list(lines), columns=["part", "quantity", "value", "unit", "bar", "met"])
    print(table.to_string(index=False, float_format="{:.4g}".format))
    if out is not None:
        table = table.assign(device=device, threads=torch.get_num_threads(), torch=torch.__version__)
        write_atomic(out, table.to_csv(index=False, float_format="%.6g"))
