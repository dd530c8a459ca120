"""What the job says of networks that know the answer, or the item, without a circle of it: levels and verdicts.

    levels.csv   a row a family of networks and quantity: how often each verdict, and how often the level is right

Families and what they hold: `calibration/codes.py`. `circle` stands beside them for comparison. Another level
than the expected one is a wrong name, never a false circle unless it is `circle`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from llm_probe.calibration.codes import Code
from llm_probe.calibration.trials import Setting, Trial
from llm_probe.run.vocabulary import Level, Quantity
from toy.maths.intervals import clopper_pearson

EXPECTED: Mapping[Code, Level] = {
    "look-up": "decodable",
    "shared look-up": "decodable",
    "shuffled": "decodable",
    "helix": "helix",
    "tuning": "helix",
    "clusters": "clusters",
    "line": "ordered",
    "parabola": "ordered",
    "fold": "ordered",
    "circle": "circle",
}
"""The level that names what the network holds. A circle in a wrong order is a code without order."""
OF_SUMS: tuple[Code, ...] = tuple(EXPECTED)
OF_ITEMS: tuple[Code, ...] = ("look-up", "shuffled", "clusters", "line", "parabola", "fold", "circle")


@dataclass(frozen=True)
class LevelRow:
    """What was said of one family of networks."""

    family: str
    """What the networks hold (`calibration/codes.py`)."""
    quantity: Quantity
    """Whether they hold it of the answers to questions or of the items of statements."""
    n_networks: int
    """Number of networks that went through the job."""
    circle: float
    """Share of them with the level `circle`."""
    circle_upper: float
    """Upper end of its 95 % Clopper-Pearson interval."""
    supported: float
    """Share with the verdict `supported`."""
    refuted: float
    """Share with the verdict `refuted`."""
    refuted_upper: float
    """Upper end of its 95 % Clopper-Pearson interval."""
    expected: Level
    """The level that names what the networks hold."""
    named: float
    """Share with that level."""
    named_lower: float
    """Lower end of its 95 % Clopper-Pearson interval."""
    levels: str
    """Every level that was given, with its count."""


def hard_settings(networks: int) -> list[Setting]:
    """So many networks of every family and quantity; more of them begin with the same ones."""
    return [
        Setting("code of sums" if quantity == "sum" else "code of items", seed, code=code)
        for quantity, codes in (("sum", OF_SUMS), ("item", OF_ITEMS))
        for code in codes
        for seed in range(networks)
    ]


def level_rows(settings: Sequence[Setting], trials: Sequence[Trial]) -> Iterator[LevelRow]:
    """One row a family and quantity, in the order in which they come."""
    groups: dict[tuple[Code, Quantity], list[Trial]] = {}
    for setting, trial in zip(settings, trials, strict=True):
        assert setting.code is not None
        groups.setdefault((setting.code, setting.claim.quantity), []).append(trial)
    for (code, quantity), members in groups.items():
        yield _row(code, quantity, members)


def _row(code: Code, quantity: Quantity, trials: Sequence[Trial]) -> LevelRow:
    n, levels = len(trials), [trial.level for trial in trials]
    circles, named = levels.count("circle"), levels.count(EXPECTED[code])
    words = [trial.verdict for trial in trials]
    counts = sorted({(levels.count(level), level) for level in levels}, reverse=True)
    return LevelRow(
        family=code,
        quantity=quantity,
        n_networks=n,
        circle=circles / n,
        circle_upper=clopper_pearson(circles, n)[1],
        supported=words.count("supported") / n,
        refuted=words.count("refuted") / n,
        refuted_upper=clopper_pearson(words.count("refuted"), n)[1],
        expected=EXPECTED[code],
        named=named / n,
        named_lower=clopper_pearson(named, n)[0],
        levels=", ".join(f"{level} {count}" for count, level in counts),
    )


def levels_text(rows: Sequence[LevelRow]) -> str:
    """The rows for the terminal."""
    table = [["family", "of", "networks", "circle", "upper end", "named", "levels"]]
    for row in rows:
        numbers = [f"{row.circle:.3f}", f"{row.circle_upper:.3f}", f"{row.named:.2f}"]
        table.append([row.family, row.quantity, str(row.n_networks), *numbers, row.levels])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in table)
    return "Networks that know the answer without a circle of it\n" + "\n".join(lines)
