"""The causal run: every accepted circle of a probe run through every piece of its experiment, to tables and verdicts.

    probe run (r2_table.csv, run.json)  ->  places and frequencies of this very model's accepted planes
    Experiment of each                  ->  pieces, one cell on disk each: an interrupted run goes on
    pieces                              ->  causal_table, rotation, controls, map, verdicts; run.json

With `dims`, single dimensions stand in the place of planes and no probe run is needed; with `sweep`, every dimension of
some layers is held at its mean (`sweep.py`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd
from tqdm import tqdm

from causal import power
from causal.attribution import agreement, attribution
from causal.concluded import ranked, verdict_row
from causal.config import CausalConfig
from causal.directions import Accepted, Place, accepted
from causal.drawn import DRAWN, TURNS, drawn_controls
from causal.experiment import Experiment
from causal.language import documents
from causal.maps import POSITIONS, layer_map
from causal.observer import algorithm_piece
from causal.patches import patches_piece
from causal.plane_attribution import plane_logits
from causal.published import PAIRS, published_piece
from causal.questions import Questions
from causal.skills import skills
from causal.specificity import text_piece
from causal.sweep import sweep
from causal.table import TABLES, Piece
from llm_probe.claims import Claim
from llm_probe.domains import resolve
from llm_probe.models import LoadedModel, check_layers, load, randomised
from llm_probe.provenance import PACKAGES, commit, installed
from llm_probe.store import weights_fingerprint
from toy.cells import Cells
from toy.errors import InputError

CELL_VERSION = 3
PUBLISHED_CLAIM = "mod-add 23"
Tick = Callable[[int], Any]
Asked = Mapping[str, Callable[[], Questions]]


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
    known = {} if config.dims or config.places or config.sweep else accepted(config.source, fingerprint)
    if config.weights == "random":
        loaded = randomised(loaded, config.seed)
        fingerprint = weights_fingerprint(loaded.model)
    work = Work(config, loaded, fingerprint, Cells(config.folder, CELL_VERSION), texts, planned)
    with _progress() as bar:
        found = work.swept(bar) if config.sweep else work.tested(experiments_of(config, loaded, known), bar)
    record = _record(config, loaded, fingerprint, command, planned) | {"seconds": round(time.monotonic() - started, 1)}
    return CausalResult({name: _frame(found.of(kind), kind) for name, kind in TABLES.items()}, record)


def plan(config: CausalConfig) -> str:
    """What `run` would compute, in words; no weights are read.

    Raises:
        InputError: the model's configuration cannot be reached, or its probe run is not there.
    """
    from causal.plan import circles_plan, load_shape, nodes_of, sweep_plan

    shape, tokenizer = load_shape(config.model, config.revision)
    if config.sweep or config.dims or config.places:
        claims = [claim_of(name) for name in config.claims or (PUBLISHED_CLAIM,)]
        counted = [(claim, nodes_of(tokenizer, claim)) for claim in claims]
        if config.sweep:
            return sweep_plan(config, shape, counted, layers_of(config.sweep, shape.layers))
        layers = [int(text.partition(":")[0]) for text in (*config.dims, *config.places)]
        return circles_plan(config, shape, [(*one, layer) for one in counted for layer in layers])
    known = accepted(config.source, None)
    claims = [(claim_of(name), places) for name, places in known.items() if name in (config.claims or known)]
    planned = [(claim, nodes_of(tokenizer, claim), layer) for claim, places in claims for layer, _, _ in places]
    return circles_plan(config, shape, planned)


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

    def _joined(self, experiment: Experiment, makers: dict[str, Callable[[Experiment], Piece]]) -> Piece:
        what = f"{experiment.claim!r} {experiment.place} {experiment.frequencies} {experiment.dim}"
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


def experiments_of(config: CausalConfig, loaded: LoadedModel, known: Accepted) -> list[Experiment]:
    """The experiments of a run: its dimensions, its places, or the planes that a probe run accepted.

    Raises:
        InputError: a claim none of whose planes was accepted, or a layer that the model lacks.
    """
    if config.dims:
        places = [_dim(text) for text in config.dims]
        check_layers(loaded, [layer for layer, _ in places])
        return [
            Experiment(loaded, config, claim_of(name), (layer, "resid_post", "last"), (), dim)
            for name in config.claims or (PUBLISHED_CLAIM,)
            for layer, dim in places
        ]
    if config.places:
        places = [_place(text) for text in config.places]
        check_layers(loaded, [layer for layer, _, _ in places])
        return [
            Experiment(loaded, config, claim, place, claim.tested_frequencies)
            for claim in map(claim_of, config.claims or (PUBLISHED_CLAIM,))
            for place in places
        ]
    if unknown := [name for name in config.claims if name not in known]:
        raise InputError(f"no plane of {unknown[0]!r} was accepted in {config.source}: choose from {', '.join(known)}")
    return [
        Experiment(loaded, config, claim_of(name), place, frequencies)
        for name in config.claims or known
        for place, frequencies in known[name].items()
    ]


def _place(text: str) -> Place:
    layer, _, position = text.partition(":")
    if not layer.isdigit() or position not in POSITIONS:
        raise InputError(
            f"--places {text!r} is not layer:position: write for example 1:offset ({', '.join(POSITIONS)})"
        )
    return int(layer), "resid_post", position


def layers_of(words: Sequence[str], count: int) -> list[int]:
    """Layer numbers, or all of `count`.

    Raises:
        InputError: neither.
    """
    if "all" in words:
        return list(range(count))
    if wrong := [word for word in words if not word.isdigit()]:
        raise InputError(f"--sweep {wrong[0]!r} is no layer: give layer numbers, or all")
    return [int(word) for word in words]


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
