"""What a probe gives: its tables, its page and pictures, and the circles as directions that can be used elsewhere.

result                  the verdicts; in a notebook with their circles
result.best("days")     where it is read best               result.plot("days")     its circle
result.plane("days")    its directions (`CirclePlane`)      result.project(states)  states on its plane
result.steer(model, "days", steps=1)                        the model with the circle turned
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from llm_probe.activations.steering import Tokens, steering
from llm_probe.run.schema import read_run
from llm_probe.run.study import Result, Study
from llm_probe.run.table import TABLES
from llm_probe.run.vocabulary import EMBEDDING, Quantity, Weights
from llm_probe.statistics.directions import FILE, CirclePlane, read_planes, write_planes
from toy.run.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL_VERSION = 17


def _figures(folder: Path, result: Result) -> None:
    from llm_probe.page import figures
    from llm_probe.page.terminal import called

    figures.save_all(folder, result.frames, called(result.run))


def _page(path: Path, result: Result) -> None:
    from llm_probe.page import report

    report.write(path, result.frames, result.run)


def _words(result: Result) -> str:
    from llm_probe.page.terminal import terminal_table

    left_out = [f"not asked: {test}: {why}" for test, why in result.run.get("not_asked", {}).items()]
    return "\n".join([terminal_table(result.frames["verdicts"], result.run), *left_out])


def _planes(path: Path, result: Result) -> None:
    assert isinstance(result, ProbeResult)
    write_planes(path, result.planes)


def _latex(path: Path, result: Result) -> None:
    assert isinstance(result, ProbeResult)
    path.write_text(result.to_latex(), encoding="utf-8")


PROBE = Study(
    TABLES, CELL_VERSION, words=_words, figures=_figures, page=_page, files={FILE: _planes, "verdicts.tex": _latex}
)


@dataclass(frozen=True, repr=False)
class ProbeResult(Result):
    """The tables of a probe run, by the names of `table.TABLES`, its provenance, and the planes of its claims.

    Where a method takes a claim, `domain` is the domain's name, such as `days` or `mod-add 7`; it may be left out of a
    run with one claim. `quantity` is `sum` or `item`; left out, it is the sum where the run has both.
    """

    planes: Mapping[str, CirclePlane] = field(default_factory=dict)
    """The claims' circles as directions, by their names: `days: sum`."""

    @property
    def table(self) -> pd.DataFrame:
        """The R² table."""
        return self.frames["r2_table"]

    @property
    def verdicts(self) -> pd.DataFrame:
        """One row a claim."""
        return self.frames["verdicts"]

    def verdict(self, domain: str | None = None, quantity: Quantity | None = None) -> pd.Series:
        """The record of one claim: its row of verdicts.csv.

        Raises:
            InputError: the run has no such claim, or several and none was named.
        """
        rows = self.verdicts
        own = rows if domain is None else rows.loc[rows["domain"] == domain]
        own = own if quantity is None else own.loc[own["quantity"] == quantity]
        if len(set(own["domain"])) != 1:
            what = "no claim was named" if domain is None else f"no claim {': '.join(filter(None, (domain, quantity)))}"
            known = ", ".join(f"{name}: {kind}" for name, kind in zip(rows["domain"], rows["quantity"], strict=True))
            raise InputError(f"{what} in this run: choose from {known or 'none'}")
        return own.sort_values("quantity", ascending=False, kind="stable").iloc[0]

    def best(self, domain: str | None = None, quantity: Quantity | None = None) -> pd.Series:
        """Where a claim is read best: the plane of the trained weights with the largest R² held out by operand pair or
        item, as a row of r2_table.csv; the token embedding is left aside.

        Raises:
            InputError: the run has no such claim, or several and none was named.
        """
        claim, rows = self.verdict(domain, quantity), self.table
        own = (rows["domain"] == claim["domain"]) & (rows["quantity"] == claim["quantity"])
        own &= (rows["weights"] == "trained") & (rows["unit"] == "plane") & (rows["family"] == "fourier")
        own &= rows["layer"] != EMBEDDING
        return rows.loc[rows.loc[own, "r2_heldout"].idxmax()]

    def plane(self, domain: str | None = None, quantity: Quantity | None = None) -> CirclePlane:
        """A claim's circle as directions, at the place where its verdict was read.

        It is there whatever the verdict: `verdict` says what was shown of it.

        Raises:
            InputError: the run has no such claim, several and none was named, or it was made before runs had planes.
        """
        claim = self.verdict(domain, quantity)
        name = f"{claim['domain']}: {claim['quantity']}"
        if name not in self.planes:
            raise InputError(f"this run has no plane of {name}: probe again, runs write {FILE} now")
        return self.planes[name]

    def project(
        self,
        states: Float[Tensor, "*batch d"] | Float[np.ndarray, "*batch d"],
        domain: str | None = None,
        quantity: Quantity | None = None,
    ) -> Float[Tensor, "*batch c"]:
        """Where states (…, d) of the plane's layer, site and token lie on it: (…, 2), predicted cosine and sine.

        Raises:
            InputError: the run has no such claim, several and none was named, or the states are of another width.
        """
        return self.plane(domain, quantity).project(states)

    def steer(
        self,
        model: Any,
        domain: str | None = None,
        steps: int | float = 1,
        quantity: Quantity | None = None,
        tokens: Tokens | None = None,
    ) -> AbstractContextManager[None]:
        """Inside the `with` block the model computes, and generates, with the circle turned by `steps` items.

        Args:
            model: the model that was probed.
            steps: items further round the circle; may be negative or a fraction.
            tokens: `prompt`, the last token of what is read at once, or `all` of them; left out, it is `prompt` for a
                circle that was read at the last token.

        Raises:
            InputError: the run has no such claim, several and none was named, or the model has no such place.
        """
        return steering(model, self.plane(domain, quantity), steps, tokens)

    def report(self, path: str | Path) -> Path:
        """Write the page, one self-contained file."""
        _page(Path(path), self)
        return Path(path)

    def paper_figures(self, folder: str | Path) -> list[Path]:
        """Write one figure a claim for a paper, 3.25 and 5.5 inches wide, as PDF and SVG; the files that were made."""
        from llm_probe.page.paper import save_claims
        from llm_probe.page.terminal import called

        return save_claims(Path(folder), self.frames, called(self.run))

    def plot(
        self,
        domain: str | None = None,
        quantity: Quantity | None = None,
        *,
        weights: Weights = "trained",
        axes: Axes | None = None,
    ) -> Axes:
        """Draw a claim's circle: the class means on its best plane at the place of the verdict.

        Args:
            weights: `trained` or `random`.
            axes: matplotlib axes to draw on; left out, a figure of its own, which a notebook shows.

        Raises:
            InputError: the run has no such claim, or several and none was named.
        """
        from llm_probe.page import figures

        claim = self.verdict(domain, quantity)
        if axes is None:
            from matplotlib import pyplot

            axes = pyplot.figure(figsize=(4, 3.6), layout="constrained").subplots()
        figures.circle_of(axes, self.frames, str(claim["domain"]), str(claim["quantity"]), weights)
        return axes

    def to_latex(self, columns: Sequence[str] | None = None) -> str:
        """The table of verdicts for a paper, with the rules of the package booktabs.

        Args:
            columns: of verdicts.csv, in this order; left out, those that a reader asks for first.

        Raises:
            InputError: a column that verdicts.csv has not.
        """
        from llm_probe.page.paper import COLUMNS, latex_table

        return latex_table(self.verdicts, COLUMNS if columns is None else columns)

    __str__ = Result.__str__

    def __repr__(self) -> str:
        words = self.verdicts["verdict"].tolist()
        counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
        claims = f"{len(words)} claim{'s' * (len(words) != 1)}"
        return f"<ProbeResult {self.run.get('model')}: {claims}{': ' * bool(counts)}{counts}>"

    def _repr_html_(self) -> str:
        from llm_probe.page.notebook import html

        return html(self.frames, self.run)


def read_result(folder: str | Path) -> ProbeResult:
    """A run from its results folder, as it was in memory when it was made.

    Raises:
        InputError: there is no such folder, or its tables cannot be read (`schema.read_run`).
    """
    tables = read_run(Path(folder))
    planes = read_planes(folder) if (Path(folder) / FILE).is_file() else {}
    return ProbeResult(tables.frames, tables.run, PROBE, planes)
