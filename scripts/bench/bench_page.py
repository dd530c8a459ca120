"""How large and how quick a big page is: 28 layers, 20 domains, made of the reference model's own tables.

python scripts/bench/bench_page.py

Rows of the reference run are repeated under other names and layers, the page is rendered, and headless Chromium (where
it is installed) loads it from the file; its start, measured on an empty page, is taken off.
"""

import _root
from _command import run

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench._bench import keep, timed


@dataclass(frozen=True)
class Options:
    """A minute."""

    run: Path = Path("results/reference")
    """Whose tables are repeated."""
    layers: int = 28
    """Blocks of the page."""
    domains: int = 20
    """Claims of the page."""
    out: Path = Path("results/bench/page.csv")
    """The table."""


def main() -> int:
    return run(__file__, Options, __doc__, bench, "nothing was written, the same command starts again")


def bench(options: Options, _: str) -> None:
    """Render, load, write the table."""
    from llm_probe.page import report
    from llm_probe.run.schema import read_run

    tables = read_run(options.run)
    claims = list(zip(*(tables.frames["verdicts"][key].tolist() for key in ("domain", "quantity")), strict=True))
    frames = {name: repeated(frame, claims, options) for name, frame in tables.frames.items()}
    verdicts = frames["verdicts"].drop_duplicates("domain")
    frames["verdicts"] = verdicts.assign(layer=options.layers // 2)
    with tempfile.TemporaryDirectory() as folder:
        page, empty = Path(folder) / "page.html", Path(folder) / "empty.html"
        rendering = timed(lambda: report.write(page, frames, {**tables.run, "layers": options.layers}))
        rows = [("rendering", rendering, "s", ""), ("size", page.stat().st_size / 1e6, "MB", "< 10")]
        empty.write_text("<title>empty</title>")
        if browser := shutil.which("chromium") or shutil.which("google-chrome"):
            rows.append(("loading in Chromium", seconds(browser, page) - seconds(browser, empty), "s", "< 2"))
    keep(rows, ["quantity", "value", "unit", "bar"], options.out)


def repeated(frame, claims, options: Options):
    """A table with so many claims, each with so many layers; `claims`: (domain, quantity) that are repeated in turn."""
    import pandas as pd

    if "domain" not in frame or frame.empty:
        return frame
    parts = []
    for number in range(options.domains):
        domain, quantity = claims[number % len(claims)]
        rows = frame[frame["domain"] == domain]
        if "quantity" in rows:
            rows = rows[rows["quantity"] == quantity]
        parts.append(rows.assign(domain=f"{domain} ({number})"))
    whole = pd.concat(parts)
    if "layer" not in whole or (blocks := frame.loc[frame["layer"] >= 0, "layer"].nunique()) < 2:
        return whole
    return pd.concat([whole[whole["layer"] == layer % blocks].assign(layer=layer) for layer in range(options.layers)])


def seconds(browser: str, page: Path) -> float:
    """The best of three loads."""
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
    return min(timed(lambda: subprocess.run(words, capture_output=True, check=True)) for _ in range(3))


if __name__ == "__main__":
    sys.exit(main())
