"""The causal run: every accepted circle of a probe run through every piece of its experiment, to tables and verdicts.

    probe run (r2_table.csv, run.json)  ->  places and frequencies of this very model's accepted planes
    Experiment of each                  ->  pieces, one cell on disk each: an interrupted run goes on
    pieces                              ->  causal_table, rotation, controls, map, routing, verdicts; run.json

With `dims`, single dimensions stand in the place of planes and no probe run is needed; with `sweep`, every dimension of
some layers is held at its mean (`sweep.py`).
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd
from tqdm import tqdm

from causal.algorithms.observer import algorithm_piece
from causal.attribution.attribution import agreement, attribution
from causal.attribution.planes import plane_logits
from causal.attribution.routing import routing
from causal.controls import power
from causal.controls.drawn import DRAWN, TURNS, drawn_controls
from causal.controls.language import documents
from causal.controls.skills import skills
from causal.controls.specificity import text_piece
from causal.experiments.experiment import Experiment
from causal.experiments.maps import layer_map
from causal.experiments.patches import patches_piece
from causal.experiments.published import PAIRS, published_piece
from causal.experiments.requested import PUBLISHED_CLAIM, claim_of, experiments_of, layers_of
from causal.experiments.sweep import sweep
from causal.interventions.directions import accepted
from causal.interventions.questions import Questions
from causal.run.concluded import ranked, verdict_row
from causal.run.config import CausalConfig
from causal.run.table import TABLES, Piece
from llm_probe.models.loading import LoadedModel, check_layers, load, randomised, weights_fingerprint
from llm_probe.questions.claims import Claim
from llm_probe.run.study import PACKAGES, commit, installed
from llm_probe.run.table import ALPHA
from toy.run.cells import Cells

CELL_VERSION = 3
ROUTED = 100
"""Prompts of a modulus in which every head is patched."""
Tick = Callable[[int], Any]
Asked = Mapping[str, Callable[[], Questions]]


@dataclass(frozen=True)
class CausalResult:
    """Tables of a run, by the names of `table.TABLES`, and its provenance."""

    frames: dict[str, pd.DataFrame]
    run: dict[str, Any]

    def __str__(self) -> str:
        lines = [
            f"{row['domain']}, layer {row['layer']}, {row['direction']}: {row['verdict']}\n    {row['sentence']}"
            for row in self.frames["causal_verdicts"].to_dict("records")
        ]
        for _, rows in self.frames["causal_sweep"].groupby(["domain", "layer"], sort=False):
            least = rows.loc[rows["accuracy"].idxmin()]
            changing = f"{(rows['p_holm'] <= ALPHA).sum()} of {len(rows)} dimensions"
            lines.append(
                f"{least['domain']}, layer {least['layer']}: {changing} change the answers (Holm p <= {ALPHA}); "
                f"the most dim {least['dim']}, from {least['accuracy_before']:.1%} to "
                f"{least['accuracy']:.1%}"
            )
        return "\n".join([*lines, f"\nagain  {self.run['command']}"]) if lines else "nothing was tested"


def run(config: CausalConfig, command: str = "") -> CausalResult:
    """Test the circles of a model, or every dimension of some layers.

    Raises:
        InputError: no probe run of these weights, an unknown claim, too few prompts, or a text that cannot be read.
    """
    started = time.monotonic()
    planned = _power(config)
    print(planned, file=sys.stderr)
    texts = documents(config.text)
    loaded = load(config.model, revision=config.revision, dtype=config.dtype, device=config.device)
    fingerprint = weights_fingerprint(loaded.model)
    known = (
        {} if config.dims or config.features or config.places or config.sweep else accepted(config.source, fingerprint)
    )
    if config.weights == "random":
        loaded = randomised(loaded, config.seed)
        fingerprint = weights_fingerprint(loaded.model)
    work = Work(config, loaded, fingerprint, Cells(config.folder, CELL_VERSION), texts, planned)
    with _progress() as bar:
        found = work.swept(bar) if config.sweep else work.tested(experiments_of(config, loaded, known), bar)
    record = _record(config, loaded, fingerprint, command, planned) | {"seconds": round(time.monotonic() - started, 1)}
    return CausalResult({name: _frame(found.of(kind), kind) for name, kind in TABLES.items()}, record)


@dataclass(frozen=True)
class Work:
    """What a run computes, cell by cell."""

    config: CausalConfig
    loaded: LoadedModel
    fingerprint: str
    cells: Cells
    texts: Sequence[str]
    planned: str
    """The power of the run in words."""

    def tested(self, experiments: Sequence[Experiment], bar: tqdm) -> Piece:
        """Every experiment with its verdict, and the map of every claim."""
        claims = {experiment.claim.domain.name: experiment.claim for experiment in experiments}
        asked = skills(self.loaded, list(claims.values()), self.config.other_prompts, self.config.seed)
        parts = []
        for experiment in experiments:
            bar.set_postfix_str(f"{experiment.claim.domain.name} layer {experiment.place[0]}")
            experiment.tick = bar.update
            piece = self._experiment(experiment, asked, list(claims.values()))
            piece.add(verdict_row(experiment, piece, self.planned))
            parts.append(piece)
        if self.config.protocol == "full":
            parts += [self._map(claim, bar.update) for claim in claims.values()]
            parts += [self._routing(some, bar.update) for some in _of_each_operation(claims.values())]
        return Piece.joined(parts)

    def swept(self, bar: tqdm) -> Piece:
        """Every dimension of the layers asked for."""
        layers = layers_of(self.config.sweep, len(self.loaded.layers))
        check_layers(self.loaded, layers)
        piece = Piece()
        claims = [claim_of(name) for name in self.config.claims or (PUBLISHED_CLAIM,)]
        piece.add(*sweep(self.loaded, self.config, claims, layers, self._keep, bar.update))
        return piece

    def _experiment(self, experiment: Experiment, asked: Asked, claims: Sequence[Claim]) -> Piece:
        """Every piece of an experiment, with the ranks among its controls."""
        makers: dict[str, Callable[[Experiment], Piece]] = {"text": lambda one: text_piece(one, self.texts)}
        if self.config.protocol == "published":
            makers["published"] = published_piece
            return self._joined(experiment, makers)
        if not experiment.can_be_tested:
            return Piece()
        makers["interventions"] = Experiment.interventions
        for control in DRAWN if experiment.frequencies else DRAWN[:2]:
            makers[f"{control} {TURNS}"] = lambda one, control=control: drawn_controls(one, control)
        period = _other_period(experiment, claims)
        makers[f"fixed {period}"] = lambda one: one.fixed_controls(period)
        if experiment.frequencies:
            makers |= {"patches": patches_piece, "algorithm": algorithm_piece, "attribution": attribution_piece}
        for name, questions in asked.items() if self.config.other_prompts else ():
            if name != experiment.claim.domain.name:
                makers[f"elsewhere {name}"] = lambda one, name=name, of=questions: one.elsewhere(name, of())
        return ranked(self._joined(experiment, makers))

    def _map(self, claim: Claim, tick: Tick) -> Piece:
        """The layer and position map of a claim's questions."""

        def make() -> dict[str, Any]:
            experiment = Experiment(self.loaded, self.config, claim, (0, "resid_post", "last"), ())
            few = experiment.questions.take(range(min(self.config.control_prompts, len(experiment.questions.items))))
            piece = Piece()
            piece.add(*layer_map(self.loaded, claim, few, tick))
            return piece.to_json()

        return Piece.from_json(self._keep(f"{claim!r} map", make))

    def _routing(self, claims: Sequence[Claim], tick: Tick) -> Piece:
        """Which heads hand the modulus on, in the sums of several moduli."""

        def make() -> dict[str, Any]:
            piece = Piece()
            piece.add(*routing(self.loaded, claims, size=ROUTED, seed=self.config.seed, tick=tick))
            return piece.to_json()

        return Piece.from_json(self._keep(f"{claims!r} routing {ROUTED}", make))

    def _joined(self, experiment: Experiment, makers: dict[str, Callable[[Experiment], Piece]]) -> Piece:
        what = f"{experiment.claim!r} {experiment.place} {experiment.frequencies} {experiment.dim}"
        if experiment.features is not None:
            what += f" {experiment.features.name} {float(experiment.features.basis.double().abs().sum()):.9g}"
        return Piece.joined(
            Piece.from_json(self._keep(f"{what} {name}", lambda make=make: make(experiment).to_json()))
            for name, make in makers.items()
        )

    def _keep(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A piece of the run, computed once."""
        return self.cells.get(self.config.hash(fingerprint=self.fingerprint, piece=name), make)


def attribution_piece(experiment: Experiment) -> Piece:
    """Which heads and MLPs decide the answer, and what the planes give of it."""
    _, bench = experiment.few
    loaded, seed = experiment.loaded, experiment.config.seed
    rows = attribution(loaded, experiment.claim, bench.questions, experiment.root, seed=seed, tick=experiment.tick)
    piece = Piece()
    piece.add(*rows, *agreement(rows), *plane_logits(loaded, bench.questions, experiment.root, seed=seed))
    return piece


def _power(config: CausalConfig) -> str:
    """What the prompts of the run can show; InputError where that is too little and was not asked for."""
    if config.protocol == "published":
        return power.words(PAIRS)
    if config.underpowered:
        return power.words(config.prompts)
    return power.check(config.prompts)


def _other_period(experiment: Experiment, claims: Sequence[Claim]) -> int | None:
    """The period of another arithmetic claim that is nearest to the experiment's and shares no factor with it."""
    own = experiment.claim.period
    periods = [claim.period for claim in claims if claim.is_arithmetic and math.gcd(claim.period, own) == 1]
    return min(periods, key=lambda period: (abs(period - own), period), default=None)


def _of_each_operation(claims: Iterable[Claim]) -> list[list[Claim]]:
    """Arithmetic claims that differ in their modulus alone; three or more, for a prompt has two donors."""
    found: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.is_arithmetic:
            found.setdefault(claim.domain.operation, []).append(claim)
    return [some for some in found.values() if len(some) > 2]


def _record(config: CausalConfig, loaded: LoadedModel, fingerprint: str, command: str, planned: str) -> dict[str, Any]:
    """The content of run.json."""
    return {
        "model": config.model,
        "revision": loaded.revision,
        "weights_fingerprint": fingerprint,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "device": str(loaded.device),
        "directions_from": str(config.source),
        "command": command,
        "configuration": {key: value for key, value in asdict(config).items() if key not in ("out", "probed")},
        "power": planned,
        "versions": {name: installed(name) for name in PACKAGES},
        "commit": commit(),
    }


def _frame(rows: list, row_type: type) -> pd.DataFrame:
    names = [field.name for field in fields(row_type)]
    return pd.DataFrame([vars(row) for row in rows], columns=names)


@contextmanager
def _progress() -> Iterator[tqdm]:
    """A bar that counts edited prompts, on a terminal."""
    with tqdm(desc="causal", unit=" prompts", unit_scale=True, disable=None, leave=False) as bar:
        yield bar
