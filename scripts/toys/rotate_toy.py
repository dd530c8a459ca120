"""Remove and rotate the circles of a toy, beside controls, and measure how its answers change.

python scripts/toys/rotate_toy.py work/toy/nanda                    a run directory of scripts/train_toy.py
python scripts/toys/rotate_toy.py work/toy/nanda work/toy/fast/seed0 --out results/causal/toy

Every run is tested at its last checkpoint, beside its memorising checkpoint (if it has one), its untrained twin and
the closed-form network of the same modulus. Writes ablation.csv, rotation.csv, run.json and the figure `turning`;
algorithm.csv says which algorithm adds, in the runs and in four networks whose algorithm is known (mod 23), with the
reason; order.csv whether the answers stand in an order, where turning their planes moves the answer.
"""

from __future__ import annotations

import _root
from _command import run

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from toy.run.errors import InputError

if TYPE_CHECKING:
    from causal.algorithms.known_networks import Adder


@dataclass(frozen=True)
class Request:
    """What to turn."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run directories of trained toys (add, subtract, multiply or divide)."""
    out: Path = Path("results/causal/toy")
    """Where the tables and the figure go."""
    questions: int = 1000
    """Questions on which a network is tested; planes are fitted on others."""
    draws: int = 200
    """Random planes a removal is compared with; a turn is compared with one for each step."""
    seed: int = 0
    """Of the halves and the controls."""


def main() -> int:
    return run(__file__, Request, __doc__, _rotate, "nothing was written, the same command starts again")


def _rotate(request: Request, command: str) -> None:
    import pandas as pd
    from tqdm import tqdm

    from causal.algorithms.algorithm import table_rows
    from causal.algorithms.known_networks import AnswerCode, Clock, DigitAdder, LookUp, decide_algorithm, random_codes
    from causal.algorithms.toy_bars import TURNS, Bench, draw, histograms, removal_rows, summary, turning_rows
    from causal.algorithms.toys import SiteAdder, networks
    from toy.run.cells import check_writable
    from toy.run.files import write_atomic
    from toy.pictures.style import save

    if not request.runs or request.draws < 1 or request.questions < 1:
        raise InputError("nothing to turn: give a run directory, and 1 or more --draws and --questions")
    check_writable(request.out)
    removals: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    algorithms: list[dict[str, Any]] = []
    orders: list[dict[str, Any]] = []
    panels: dict[tuple[str, str], list[tuple[str, Any]]] = {}

    def which(name: str, adder: Adder, count: int) -> None:
        _, decision = decide_algorithm(adder, questions=2 * request.questions, count=count, seed=request.seed)
        also = {"n_pairs": decision.n_pairs, "reason": decision.reason}
        algorithms.extend({"network": name, **also, **row} for row in table_rows(decision))
        if order := decision.order:
            what = {"network": name, "planes": order.planes, "orders": order.orders, "word": order.word}
            orders.extend({**what, **vars(test)} for test in order.tests)

    for network in tqdm(networks(request.runs, request.seed), "networks", disable=None):
        for bench in Bench.all_of(network, questions=request.questions, seed=request.seed):
            removals += removal_rows(bench, request.draws, request.seed)
            for what in bench.possible(TURNS):
                shares = histograms(bench, what, request.seed)
                turns += turning_rows(bench, what, shares)
                panels.setdefault((bench.network, bench.site.name), []).append((what, shares))
            if bench.site.is_last:
                which(network.name, SiteAdder(bench.site), len(network.frequencies))
    for known in (Clock(23, 100, (1, 5, 9)), DigitAdder(23, 100), LookUp(23, 100)):
        which(f"{type(known).__name__} mod 23", known, 3)
    which("AnswerCode mod 23", AnswerCode(random_codes(23), 100), 11)
    tables = {
        "ablation": pd.DataFrame(removals),
        "rotation": pd.DataFrame(turns),
        "algorithm": pd.DataFrame(algorithms),
        "order": pd.DataFrame(orders),
    }
    sites = summary(tables["ablation"], tables["rotation"])
    own_panels = [panel for panel in panels if panel[0] == removals[0]["network"]]
    clearest = sites.loc[own_panels]["mean over j"].idxmax()
    share, wrong = sites.loc[clearest, "mean over j"], sites.loc[clearest, "worst control"]
    where = ", ".join(clearest)
    title = f"{where}: key planes turned by j move {share:.1%} of the answers by j, controls {wrong:.1%}"
    for name, table in tables.items():
        write_atomic(request.out / f"{name}.csv", table.to_csv(index=False, float_format="%.6g"))
    write_atomic(request.out / "run.json", json.dumps({"command": command}, indent=1) + "\n")
    save(draw(title, panels[clearest]), request.out, "turning")
    print(sites.to_string(float_format=lambda value: f"{value:.3f}"))
    print(tables["algorithm"].groupby("network", sort=False).verdict.first().to_string())


if __name__ == "__main__":
    sys.exit(main())
