"""What the job says of networks that know the answer, or the item, without a circle of it: levels and verdicts.

    levels.csv   a row a family of networks and quantity: how often each verdict, and how often the level is right

Families and what they hold: `calibration/codes.py`; those that were trained: `calibration/trained_nulls.py`. `circle`
stands beside them for comparison. Another level than the expected one is a wrong name, never a false circle unless it
is `circle`. Of renamed MiniLM it need not even be wrong: it may know the seasons in whatever order months are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from llm_probe.calibration.codes import Code
from llm_probe.calibration.trained_nulls import TRAINED_NULLS, TrainedNull
from llm_probe.calibration.trials import Setting, Trial
from llm_probe.run.vocabulary import Level, Quantity
from toy.maths.intervals import clopper_pearson

Family = Code | TrainedNull
EXPECTED: Mapping[Family, Level] = {
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
    "renamed MiniLM": "decodable",
    "memoriser": "nothing",
    "memoriser (shown)": "decodable",
}
"""The level that names what the network holds. A circle in a wrong order is a code without order."""
OF_SUMS: tuple[Code, ...] = get_args(Code)
OF_ITEMS: tuple[Code, ...] = ("look-up", "shuffled", "clusters", "line", "parabola", "fold", "circle")


@dataclass(frozen=True)
class LevelRow:
    """What was said of one family of networks."""

    family: str
    """What the networks hold (`calibration/codes.py`), or what was trained (`calibration/trained_nulls.py`)."""
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


def hard_settings(networks: int, trained: Sequence[TrainedNull] = TRAINED_NULLS) -> list[Setting]:
    """So many networks of every family and quantity; more of them begin with the same ones.

    `trained`: the families of trained networks that can be had.
    """
    settings = [
        Setting("code of sums" if quantity == "sum" else "code of items", seed, code=code)
        for quantity, codes in (("sum", OF_SUMS), ("item", OF_ITEMS))
        for code in codes
        for seed in range(networks)
    ]
    return settings + [Setting(null, seed) for null in trained for seed in range(networks)]


def family_of(setting: Setting) -> Family:
    """The family that a setting's network belongs to."""
    if setting.code is not None:
        return setting.code
    for null in TRAINED_NULLS:
        if null == setting.null:
            return null
    raise AssertionError(f"{setting.null} is no family that knows the answer without a circle")


def level_rows(settings: Sequence[Setting], trials: Sequence[Trial]) -> Iterator[LevelRow]:
    """One row a family and quantity, in the order in which they come."""
    groups: dict[tuple[Family, Quantity], list[Trial]] = {}
    for setting, trial in zip(settings, trials, strict=True):
        groups.setdefault((family_of(setting), setting.claim.quantity), []).append(trial)
    for (family, quantity), members in groups.items():
        yield _row(family, quantity, members)


def _row(family: Family, quantity: Quantity, trials: Sequence[Trial]) -> LevelRow:
    n, levels = len(trials), [trial.level for trial in trials]
    circles, named = levels.count("circle"), levels.count(EXPECTED[family])
    words = [trial.verdict for trial in trials]
    counts = sorted({(levels.count(level), level) for level in levels}, reverse=True)
    return LevelRow(
        family=family,
        quantity=quantity,
        n_networks=n,
        circle=circles / n,
        circle_upper=clopper_pearson(circles, n)[1],
        supported=words.count("supported") / n,
        refuted=words.count("refuted") / n,
        refuted_upper=clopper_pearson(words.count("refuted"), n)[1],
        expected=EXPECTED[family],
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
