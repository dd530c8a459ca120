"""The causal run: every accepted circle of a probe run through every piece of its experiment, to tables and verdicts.

    probe run (r2_table.csv, run.json)  ->  places and frequencies of this very model's accepted planes
    Experiment of each                  ->  pieces, one cell on disk each: an interrupted run goes on
    pieces                              ->  causal_table, rotation, controls, map, verdicts; run.json

With `dims`, single dimensions stand in the place of planes and no probe run is needed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd
from tqdm import tqdm

from causal import power
from causal.concluded import evidence_of, ranked
from causal.config import CausalConfig
from causal.directions import accepted
from causal.experiment import Experiment, Piece
from causal.language import documents
from causal.maps import layer_map
from causal.published import PAIRS, published_piece
from causal.specificity import text_piece
from causal.table import TABLES, CausalRow, ControlDraw, MapRow, RotationRow, VerdictRow
from causal.verdicts import judge
from llm_probe.claims import Claim
from llm_probe.domains import resolve
from llm_probe.models import LoadedModel, check_layers, load
from llm_probe.store import weights_fingerprint
from toy.cells import Cells
from toy.errors import InputError

CELL_VERSION = 2
DRAWN = ("random", "matched", "shuffled")
PUBLISHED_CLAIM = "mod-add 23"
Tick = Callable[[int], Any]


@dataclass(frozen=True)
class CausalResult:
    """Tables of a run, by the names of `table.TABLES`, and its provenance."""

    frames: dict[str, pd.DataFrame]
    run: dict[str, Any]

    def __str__(self) -> str:
        found = self.frames["causal_verdicts"].to_dict("records")
        lines = [
            f"{row['domain']}, layer {row['layer']}, {row['direction']}: {row['verdict']}\n    {row['sentence']}"
            for row in found
        ]
        return "\n".join([*lines, f"\nagain  {self.run['command']}"]) if lines else "nothing was tested"


def run(config: CausalConfig, command: str = "") -> CausalResult:
    """Test the circles of a model.

    Raises:
        InputError: no probe run of these weights, an unknown claim, too few prompts, or a text that cannot be read.
    """
    started = time.monotonic()
    planned = _power(config)
    print(planned, file=sys.stderr)
    texts = documents(config.text)
    loaded = load(config.model, revision=config.revision, dtype=config.dtype, device=config.device)
    fingerprint = weights_fingerprint(loaded.model)
    experiments, others = _planned(config, loaded, fingerprint)
    work = Work(config, loaded, fingerprint, Cells(config.folder, CELL_VERSION), texts, others)
    pieces: list[Piece] = []
    verdicts: list[VerdictRow] = []
    maps: list[MapRow] = []
    with _progress() as bar:
        for experiment in experiments:
            bar.set_postfix_str(f"{experiment.claim.domain.name} layer {experiment.place[0]}")
            experiment.tick = bar.update
            piece = work.pieces(experiment)
            pieces.append(piece)
            verdicts.append(_verdict(experiment, piece, planned))
        for claim in {experiment.claim.domain.name: experiment.claim for experiment in experiments}.values():
            if config.protocol == "full":
                maps += work.map(claim, bar.update)
    rows: dict[str, list] = {
        "causal_table": [row for piece in pieces for row in piece.rows],
        "rotation": [row for piece in pieces for row in piece.rotation],
        "causal_controls": [row for piece in pieces for row in piece.draws],
        "causal_map": maps,
        "causal_verdicts": verdicts,
    }
    record = _record(config, loaded, fingerprint, command, planned) | {"seconds": round(time.monotonic() - started, 1)}
    return CausalResult({name: _frame(rows[name], kind) for name, kind in TABLES.items()}, record)


@dataclass(frozen=True)
class Work:
    """What a run computes, cell by cell."""

    config: CausalConfig
    loaded: LoadedModel
    fingerprint: str
    cells: Cells
    texts: Sequence[str]
    others: Sequence[Claim]

    def pieces(self, experiment: Experiment) -> Piece:
        """Every piece of an experiment, with the ranks among its controls."""
        if self.config.protocol == "published":
            return self._joined(experiment, {"published": published_piece, "text": self._text})
        if not experiment.can_be_tested:
            return Piece([], [], [])
        name, period = experiment.claim.domain.name, _other_period(experiment, self.others)
        makers: dict[str, Callable[[Experiment], Piece]] = {"interventions": Experiment.interventions}
        for control in DRAWN if experiment.frequencies else DRAWN[:2]:
            makers[control] = lambda one, control=control: one.drawn_controls(control)
        makers[f"fixed {period}"] = lambda one: one.fixed_controls(period)
        makers["text"] = self._text
        for claim in self.others if self.config.other_prompts else ():
            if claim.domain.name != name:
                makers[f"other {claim.domain.name}"] = lambda one, claim=claim: one.other_domain(claim)
        piece = self._joined(experiment, makers)
        return Piece(ranked(piece), piece.rotation, piece.draws)

    def map(self, claim: Claim, tick: Tick) -> list[MapRow]:
        """The layer and position map of a claim's questions."""

        def make() -> dict[str, Any]:
            experiment = Experiment(self.loaded, self.config, claim, (0, "resid_post", "last"), ())
            few = experiment.questions.take(range(min(self.config.control_prompts, len(experiment.questions.items))))
            return {"rows": [asdict(row) for row in layer_map(self.loaded, claim, few, tick)]}

        return [MapRow(**row) for row in self.cells.get(self._key(claim=repr(claim), piece="map"), make)["rows"]]

    def _text(self, experiment: Experiment) -> Piece:
        return text_piece(experiment, self.texts)

    def _joined(self, experiment: Experiment, makers: dict[str, Callable[[Experiment], Piece]]) -> Piece:
        found = [self._piece(experiment, name, make) for name, make in makers.items()]
        return Piece(
            [row for one in found for row in one.rows],
            [row for one in found for row in one.rotation],
            [row for one in found for row in one.draws],
        )

    def _piece(self, experiment: Experiment, name: str, make: Callable[[Experiment], Piece]) -> Piece:
        key = self._key(
            claim=repr(experiment.claim),
            place=experiment.place,
            frequencies=experiment.frequencies,
            dim=experiment.dim,
            piece=name,
        )
        content = self.cells.get(key, lambda: asdict(make(experiment)))
        return Piece(
            [CausalRow(**row) for row in content["rows"]],
            [RotationRow(**row) for row in content["rotation"]],
            [ControlDraw(**row) for row in content["draws"]],
        )

    def _key(self, **also: object) -> str:
        return self.config.hash(fingerprint=self.fingerprint, protocol=self.config.protocol, **also)


def _power(config: CausalConfig) -> str:
    """What the prompts of the run can show; InputError where that is too little and was not asked for."""
    if config.protocol == "published":
        return power.words(PAIRS)
    if config.underpowered:
        return power.words(config.prompts)
    return power.check(config.prompts)


def _planned(config: CausalConfig, loaded: LoadedModel, fingerprint: str) -> tuple[list[Experiment], list[Claim]]:
    """The experiments of a run, and every domain whose questions are asked under an ablation."""
    if config.dims:
        claims = [claim_of(name) for name in config.claims or (PUBLISHED_CLAIM,)]
        places = [_dim(text) for text in config.dims]
        check_layers(loaded, [layer for layer, _ in places])
        return [
            Experiment(loaded, config, claim, (layer, "resid_post", "last"), (), dim)
            for claim in claims
            for layer, dim in places
        ], claims
    found = accepted(config.source, fingerprint)
    unknown = [name for name in config.claims if name not in found]
    if unknown:
        raise InputError(f"no plane of {unknown[0]!r} was accepted in {config.source}: choose from {', '.join(found)}")
    experiments = [
        Experiment(loaded, config, claim_of(name), place, frequencies)
        for name in config.claims or found
        for place, frequencies in found[name].items()
    ]
    return experiments, [claim_of(name) for name in found]


def claim_of(name: str) -> Claim:
    """`mod-add 7` or `days` as the claim about its sums.

    Raises:
        InputError: there is no such domain, or it has no questions.
    """
    word, _, number = name.partition(" ")
    if number and not number.isdigit():
        raise InputError(f"unknown claim {name!r}: write a domain and its modulus, as in 'mod-add 7'")
    domain = resolve([word], [int(number)] if number else [7])[0]
    if domain.name != name and domain.operands is not None:
        raise InputError(f"claim {name!r} needs its modulus, as in '{word} 7'")
    if not domain.questions:
        raise InputError(f"{name} asks nothing: its items are only mentioned, choose a domain with questions")
    return Claim(domain, "sum")


def _dim(text: str) -> tuple[int, int]:
    layer, _, dim = text.partition(":")
    if not (layer.isdigit() and dim.isdigit()):
        raise InputError(f"--dims {text!r} is not layer:dim: write for example 9:35")
    return int(layer), int(dim)


def _other_period(experiment: Experiment, claims: Sequence[Claim]) -> int | None:
    """The period of another arithmetic claim that is nearest to the experiment's and shares no factor with it."""
    import math

    own = experiment.claim.period
    periods = [claim.period for claim in claims if claim.is_arithmetic and math.gcd(claim.period, own) == 1]
    return min(periods, key=lambda period: (abs(period - own), period), default=None)


def _verdict(experiment: Experiment, piece: Piece, planned: str) -> VerdictRow:
    found = judge(evidence_of(experiment, piece, planned))
    layer, site, _ = experiment.place
    return VerdictRow(experiment.claim.domain.name, layer, site, experiment.position, experiment.name, *found)


def _record(config: CausalConfig, loaded: LoadedModel, fingerprint: str, command: str, planned: str) -> dict[str, Any]:
    """The content of run.json."""
    from llm_probe.provenance import PACKAGES, _commit, _version

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
        "versions": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
    }


def _frame(rows: list, row_type: type) -> pd.DataFrame:
    names = [field.name for field in fields(row_type)]
    return pd.DataFrame([vars(row) for row in rows], columns=names)


@contextmanager
def _progress() -> Iterator[tqdm]:
    """A bar that counts edited prompts, on a terminal."""
    with tqdm(desc="causal", unit=" prompts", unit_scale=True, disable=None, leave=False) as bar:
        yield bar
