"""The probe of sparse features: every SAE, every claim, trained and random weights, to tables.

    claims  ->  readings (one pass over the model for all SAEs of it)  ->  SAE by SAE: kept latents, groups, rows

The result of an SAE is cached on disk (`run.cells`): an interrupted run goes on where it was, and a model is only
loaded when an SAE needs it. What was chosen on discovery prompts is cached too, before any confirmation prompt is used.

Arithmetic claims are corrected for both nulls, as in the main probe: p_fwer is the larger of the renaming p and the p
of the assignment test (`statistics.assignment`), here of all kept latents, or of all groups, of the SAE. For that the
companions of the moduli are read too and not reported.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from llm_probe.models.loading import LoadedModel, load
from llm_probe.questions.claims import families
from llm_probe.questions.selection import named_claims, own_claims
from llm_probe.run import table as main_table
from llm_probe.run.job import Job
from llm_probe.run.probe import PROBE
from llm_probe.run.study import Session, provenance
from llm_probe.run.table import Weights
from llm_probe.statistics.dimensions import adjusted_states
from llm_probe.statistics.gains import gains_of, tests_of
from sae.circles.claims import Chosen, Features, Rows, choose, group_parts, rows
from sae.circles.ladder import verdicts
from sae.circles.latents import Encoded, Reading, encoded, groups_of, kept_latents, read_claims, recurrence
from sae.circles.table import TABLES, FeatureRow, LadderRow, PointRow, RecurrenceRow, TrainingRow
from sae.config import FeatureProbe
from sae.source.stream import Place
from sae.training.saved import Saved, check_fits, load_sae, record_of
from toy.maths.regression import RidgeSmoother
from toy.run.cells import Cells, key_of, writing_results
from toy.run.errors import InputError
from toy.run.files import write_atomic

CELL_VERSION = 1
"""Raise it when a change alters a cached result's numbers or fields."""


@dataclass(frozen=True)
class Result:
    """Tables by the names of `table.TABLES`, and their provenance."""

    frames: dict[str, pd.DataFrame]
    run: dict[str, Any]

    def __str__(self) -> str:
        shown = ["domain", "quantity", "layer", "group_r2", "plane_r2", "random_group_r2", "verdict", "reason"]
        return self.frames["sae_verdicts"][shown].to_string(index=False, float_format="%.2f")


class ProbedModel:
    """One model under one set of weights, and the claims read on it when they are first needed."""

    def __init__(self, request: FeatureProbe, weights: Weights, saes: Sequence[Saved]) -> None:
        self.request, self.saes = request, saes
        self.weights: Weights = weights
        self.claims = named_claims(request.probe_config) or own_claims(self.loaded)
        self.families = families(self.claims)
        self.companions = [claim for family in self.families for claim in family.companions]

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model, checked against every SAE."""
        request = self.request
        loaded = load(
            request.model, dtype=request.dtype, device=request.device, random_weights=self.weights == "random",
            seed=request.weights_seed,
        )  # fmt: skip
        for saved in self.saes:
            check_fits(saved, loaded)
        return loaded

    @cached_property
    def readings(self) -> list[Reading]:
        """Every claim, then the companions."""
        job = Job(self.request.probe_config, Session(PROBE), lambda: self.loaded, self.weights)
        places: list[Place] = list(dict.fromkeys((saved.layer, saved.site) for saved in self.saes))
        return read_claims(job, self.loaded, [*self.claims, *self.companions], places)


def run(request: FeatureProbe, command: str = "") -> Result:
    """Probe every SAE of a request, and compare trained with random weights.

    Raises:
        InputError: no SAE, one that does not fit the model, or an unknown domain.
    """
    if not request.saes:
        raise InputError("no sparse autoencoder was given: train some with python scripts/train_sae.py")
    started, cells = time.monotonic(), Cells(request.out, CELL_VERSION)
    results: list[dict[str, Any]] = []
    record: dict[str, Any] = {}
    dictionaries: list[tuple[Weights, Saved, list[int]]] = []
    kinds: tuple[tuple[Weights, tuple[str, ...]], ...] = (("trained", request.saes), ("random", request.random))
    for weights, places in kinds:
        saes = [load_sae(where) for where in places_of(places)]
        probed = ProbedModel(request, weights, saes)
        if weights == "trained":
            layers = tuple(sorted({saved.layer for saved in saes}))
            record = provenance(request.probe_config, probed.loaded, layers, command)
        for saved in saes:
            began = time.monotonic()
            results.append(_sae_rows(cells, probed, saved))
            dictionaries.append((weights, saved, results[-1]["kept"]))
            print(f"{weights} {saved.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    ladder = [LadderRow(**row) for result in results for row in result["ladder"]]
    lists: dict[str, list] = {
        "sae_training": list(training_rows(dictionaries)),
        "sae_table": [FeatureRow(**row) for result in results for row in result["features"]],
        "sae_ladder": ladder,
        "sae_points": [PointRow(**row) for result in results for row in result["points"]],
        "sae_verdicts": list(verdicts(ladder)),
        "sae_recurrence": list(recurrence_rows(dictionaries, request.seed)),
    }
    frames = {name: main_table.frame(lists[name], kind) for name, kind in TABLES.items()}
    return Result(frames, record | {"seconds": round(time.monotonic() - started, 1)})


def write_results(result: Result, folder: Path) -> None:
    """Write tables, run.json and figures; each file appears whole or not at all.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    from sae.circles import figures

    with writing_results(folder):
        for name, frame in result.frames.items():
            write_atomic(folder / f"{name}.csv", frame.to_csv(index=False, float_format="%.6g"))
        figures.save_all(folder / "figures", result.frames)
        write_atomic(folder / "run.json", json.dumps(result.run, indent=1, default=str) + "\n")


def places_of(given: Sequence[str]) -> list[str]:
    """Every SAE folder below the given folders; what is no folder is a release of the registry.

    Raises:
        InputError: a folder holds none.
    """
    places: list[str] = []
    for where in given:
        folder = Path(where).expanduser()
        if not folder.is_dir():
            places.append(where)
            continue
        # Training keeps its checkpoints in hidden folders beside the SAEs.
        visible = [path for path in sorted(folder.rglob("cfg.json")) if "/." not in f"/{path.relative_to(folder)}"]
        if not visible:
            raise InputError(f"{folder} holds no SAE (cfg.json): train one with python scripts/train_sae.py")
        places += [str(path.parent) for path in visible]
    return list(dict.fromkeys(places))


def seed_of(name: str) -> int:
    """The seed in a folder's name; 0 if it has none."""
    match = re.search(r"seed(\d+)", name)
    return int(match[1]) if match else 0


def training_rows(dictionaries: Sequence[tuple[Weights, Saved, Any]]) -> Iterator[TrainingRow]:
    """The measures of every SAE that has a training.json; an encoder has no cross-entropy."""
    for weights, saved, _ in dictionaries:
        if record := record_of(Path(saved.name).expanduser()):
            place = {"weights": weights, "sae": saved.name, "layer": saved.layer, "site": saved.site}
            known = record["measures"] | record | place | {"n_latents": saved.latents}
            yield TrainingRow(**{field.name: known.get(field.name) for field in fields(TrainingRow)})


def recurrence_rows(dictionaries: Sequence[tuple[Weights, Saved, list[int]]], seed: int) -> Iterator[RecurrenceRow]:
    """Every pair of SAEs of one place and kind of weights, by their kept latents."""
    for (weights, one, kept), (other_weights, other, other_kept) in combinations(dictionaries, 2):
        place = (weights, one.layer, one.site)
        if place == (other_weights, other.layer, other.site) and kept and other_kept:
            pair = recurrence(one.decoder[kept].cpu(), other.decoder[other_kept].cpu(), seed)
            yield RecurrenceRow(*place, one.name, other.name, len(kept), **asdict(pair))


def _sae_rows(cells: Cells, probed: ProbedModel, saved: Saved) -> dict[str, Any]:
    """Rows of one SAE, as JSON."""
    key = key_of(
        {
            "sae": hashlib.sha256(saved.decoder.cpu().float().numpy().tobytes()).hexdigest(),
            "name": saved.name,
            "model": saved.weights_fingerprint,
            "weights": probed.weights,
            "claims": [repr(claim) for claim in probed.claims],
            **probed.request.numbers(),
        }
    )

    def make() -> dict[str, Any]:
        features = features_of(saved, probed.readings)
        if not features.groups:
            raise InputError(
                f"{saved.name} has {len(features.index)} latents that are active on 1 % of these prompts, too few for "
                "a group: it is not trained, or on another kind of text"
            )
        places = [encoded(saved, reading, features.index) for reading in probed.readings]
        by_claim = list(_claim_rows(cells, key, probed, saved, features, places))
        return {"kept": features.index.tolist()} | {
            name: [asdict(row) for claim in by_claim for row in getattr(claim, name)]
            for name in ("features", "ladder", "points")
        }

    return cells.get(key, make)


def features_of(saved: Saved, readings: Sequence[Reading]) -> Features:
    """Kept latents and groups, from the discovery prompts of all claims and from no label."""
    index = kept_latents(saved, [reading.states[saved.layer, saved.site][0] for reading in readings])
    decoder = saved.decoder[index.to(saved.decoder.device)].cpu()
    together = torch.cat([encoded(saved, reading, index).latents for reading in readings])
    return Features(index, decoder, tuple(groups_of(together, decoder)), len(saved.decoder))


def _claim_rows(
    cells: Cells, key: str, probed: ProbedModel, saved: Saved, features: Features, places: Sequence[Encoded]
) -> Iterator[Rows]:
    """Claim by claim; the assignment test needs all moduli of a family, whatever was chosen."""
    seed = probed.request.seed
    smoothers = [[RidgeSmoother.of(part) for part in group_parts(at.latents, features)] for at in places]
    p_assignment = dict(_assignment(probed, places, smoothers))
    for at, own in zip(places[: len(probed.claims)], smoothers, strict=False):
        claim = at.claim
        chosen = cells.get(
            f"{key}-{key_of({'claim': repr(claim)})}-choice",
            lambda at=at, own=own: asdict(choose(at, features, own)),
        )
        place = {
            "weights": probed.weights, "sae": saved.name, "seed": seed_of(saved.name), "layer": saved.layer,
            "site": saved.site, "domain": claim.domain.name, "period": claim.period, "quantity": claim.quantity,
        }  # fmt: skip
        p = p_assignment.get(claim.name, (None, None))
        yield rows(at, features, Chosen.of_json(chosen), p, place, seed)


def _assignment(
    probed: ProbedModel, places: Sequence[Encoded], smoothers: Sequence[Sequence[RidgeSmoother]]
) -> Iterator[tuple[str, tuple[float | None, float | None]]]:
    """Claim name to (p of latents, p of groups) for every arithmetic claim that has enough others beside it."""
    by_name = {at.claim.name: (at, own) for at, own in zip(places, smoothers, strict=True)}
    for family in probed.families:
        columns = []
        for claim in (*family.members, *family.companions):
            at, own = by_name[claim.name]
            adjusted = adjusted_states(at.latents[:, None], at.labels)
            columns.append(gains_of(own, adjusted, at.labels, family.moduli))
        for modulus, test in tests_of(family.moduli, columns, probed.request.seed).items():
            for claim in family.members:
                if claim.period == modulus:
                    yield claim.name, (test.p_dimension, test.p_planes)
