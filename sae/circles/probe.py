"""The probe of sparse features: every SAE, every claim, trained and random weights, to tables.

    claims  ->  readings (one pass over the model for all SAEs of it)  ->  SAE by SAE: kept latents, groups, rows

An SAE is a cell on disk (`run.cells`): an interrupted run goes on where it was, and a model is only loaded when an SAE
needs it. What was chosen on discovery prompts is a cell too, written before a confirmation prompt is looked at.

Arithmetic claims are corrected for both nulls, as in the main probe (`verdicts.joined`): p_fwer is the larger of the
renaming p and the p of the assignment test (`statistics.assignment`), here of all kept latents, or of all groups, of
the SAE. For that the companions of the moduli are read too and not reported.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from llm_probe.models.loading import LoadedModel, load
from llm_probe.questions.claims import Claim
from llm_probe.questions.companions import families
from llm_probe.run import table as main_table
from llm_probe.run.job import Job
from llm_probe.run.probe import PROBE, claims_for, domains_of
from llm_probe.run.study import Session, provenance
from llm_probe.run.table import Site, Weights
from llm_probe.statistics.dimensions import adjusted_states
from llm_probe.statistics.gains import gains_of, tests_of
from sae.circles.claims import Chosen, Features, Rows, choose, group_parts, rows
from sae.circles.groups import groups_of
from sae.circles.latents import Encoded, Reading, encoded, kept_latents, read_claims
from sae.circles.recurrence import recurrence
from sae.circles.request import FeatureProbe
from sae.circles.table import TABLES, FeatureRow, LadderRow, PointRow, RecurrenceRow, TrainingRow
from sae.circles.verdicts import verdicts
from sae.training.saved import Saved, check_fits, load_sae, record_of
from toy.maths.regression import RidgeSmoother
from toy.run.cells import Cells, key_of, writing_results
from toy.run.errors import InputError
from toy.run.files import write_atomic

MEASURES = (
    "l0", "fvu", "fvu_text", "fvu_task", "ce_recovered", "ce_recovered_text", "ce_recovered_task", "dead_share",
    "dense_share", "reload_difference",
)  # fmt: skip
CELL_VERSION = 1
"""Raise it when a change alters a cell's numbers or fields."""


@dataclass(frozen=True)
class Result:
    """Tables by the names of `table.TABLES`, and where they came from."""

    frames: dict[str, pd.DataFrame]
    run: dict[str, Any]

    def __str__(self) -> str:
        shown = ["domain", "quantity", "layer", "group_r2", "plane_r2", "random_group_r2", "verdict", "reason"]
        return self.frames["sae_verdicts"][shown].to_string(index=False, float_format="%.2f")


class Source:
    """One model under one set of weights, and the claims read on it when they are first needed."""

    def __init__(self, request: FeatureProbe, weights: Weights, saes: Sequence[Saved]) -> None:
        self.request, self.saes = request, saes
        self.weights: Weights = weights
        asked = claims_for(request.asked, domains_of(request.asked))
        self.families = families(asked)
        self.claims: list[Claim] = asked
        self.companions = [claim for family in self.families for claim in family.companions]

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model, checked against every SAE."""
        request, random = self.request, self.weights == "random"
        loaded = load(
            request.model,
            dtype=request.dtype,
            device=request.device,
            random_weights=random,
            seed=request.weights_seed,
        )
        for saved in self.saes:
            check_fits(saved, loaded)
        return loaded

    @cached_property
    def readings(self) -> list[Reading]:
        """Every claim, then the companions."""
        job = Job(self.request.asked, Session(PROBE), lambda: self.loaded, self.weights)
        places: list[tuple[int, Site]] = list(dict.fromkeys((saved.layer, saved.site) for saved in self.saes))
        return read_claims(job, self.loaded, [*self.claims, *self.companions], places)


def run(request: FeatureProbe, command: str = "") -> Result:
    """What the command line runs.

    Raises:
        InputError: no SAE, one that does not fit the model, or an unknown domain.
    """
    if not request.saes:
        raise InputError("no sparse autoencoder was given: train some with python scripts/train_sae.py")
    started, cells = time.monotonic(), Cells(request.out, CELL_VERSION)
    found: list[dict[str, Any]] = []
    record: dict[str, Any] = {}
    dictionaries = []
    kinds: tuple[tuple[Weights, tuple[str, ...]], ...] = (("trained", request.saes), ("random", request.random))
    for weights, places in kinds:
        saes = [load_sae(where) for where in places_of(places)]
        source = Source(request, weights, saes)
        if weights == "trained":
            record = provenance(request.asked, source.loaded, tuple(sorted({saved.layer for saved in saes})), command)
        for saved in saes:
            began = time.monotonic()
            found.append(_cell(cells, source, saved))
            dictionaries.append((weights, saved, found[-1]["kept"]))
            print(f"{weights} {saved.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    ladder = [LadderRow(**row) for one in found for row in one["ladder"]]
    lists: dict[str, list] = {
        "sae_training": list(training_rows(dictionaries)),
        "sae_table": [FeatureRow(**row) for one in found for row in one["features"]],
        "sae_ladder": ladder,
        "sae_points": [PointRow(**row) for one in found for row in one["points"]],
        "sae_verdicts": list(verdicts(ladder)),
        "sae_recurrence": list(recurrences(dictionaries, request.seed)),
    }
    frames = {name: main_table.frame(lists[name], kind) for name, kind in TABLES.items()}
    return Result(frames, record | {"seconds": round(time.monotonic() - started, 1)})


def training_rows(dictionaries: Sequence[tuple[Weights, Saved, Any]]) -> Iterator[TrainingRow]:
    """What every SAE is worth by its own training.json."""
    for weights, saved, _ in dictionaries:
        if record := record_of(Path(saved.name).expanduser()):
            # An encoder has no cross-entropy.
            numbers = {name: record["measures"].get(name) for name in MEASURES}
            place = {"weights": weights, "sae": saved.name, "layer": saved.layer, "site": saved.site}
            own = {name: record[name] for name in ("seed", "tokens", "task_share")}
            yield TrainingRow(**place, **own, n_latents=saved.latents, **numbers)


def write_results(result: Result, folder: Path) -> None:
    """Tables, run.json and pictures; each file appears whole or not at all.

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
    """Every SAE folder under the folders given; what is no folder is a release of the registry.

    Raises:
        InputError: a folder holds none.
    """
    found: list[str] = []
    for where in given:
        folder = Path(where).expanduser()
        # Training keeps its checkpoints in hidden folders beside the SAEs.
        inside = [path.parent for path in sorted(folder.rglob("cfg.json")) if "/." not in str(path.relative_to(folder))]
        below = [str(path) for path in inside if not path.name.startswith(".")] if folder.is_dir() else [where]
        if not below:
            raise InputError(f"{folder} holds no SAE (cfg.json): train one with python scripts/train_sae.py")
        found += below
    return list(dict.fromkeys(found))


def seed_of(name: str) -> int:
    """The seed that a folder's name says; 0 if it says none."""
    match = re.search(r"seed(\d+)", name)
    return int(match[1]) if match else 0


def recurrences(dictionaries: Sequence[tuple[Weights, Saved, list[int]]], seed: int) -> Iterator[RecurrenceRow]:
    """Every pair of SAEs of one place and kind of weights, by their kept latents."""
    for at, (weights, one, kept) in enumerate(dictionaries):
        for others, other, also in dictionaries[at + 1 :]:
            same = (weights, one.layer, one.site) == (others, other.layer, other.site)
            if same and kept and also:
                found = recurrence(one.decoder[kept].cpu(), other.decoder[also].cpu(), seed)
                yield RecurrenceRow(
                    weights, one.layer, one.site, one.name, other.name, len(kept), found.share, found.mean_cosine,
                    found.shuffled_share,
                )  # fmt: skip


def _cell(cells: Cells, source: Source, saved: Saved) -> dict[str, Any]:
    """Rows of one SAE, as JSON."""
    described = {
        "sae": hashlib.sha256(saved.decoder.cpu().float().numpy().tobytes()).hexdigest(),
        "name": saved.name,
        "model": saved.weights_fingerprint,
        "weights": source.weights,
        "claims": [repr(claim) for claim in source.claims],
        **source.request.numbers(),
    }
    key = key_of(described)

    def make() -> dict[str, Any]:
        features = features_of(saved, source.readings)
        if not features.groups:
            raise InputError(
                f"{saved.name} has {len(features.index)} latents that are active on 1 % of these prompts, too few for "
                "a group: it is not trained, or on another kind of text"
            )
        places = [encoded(saved, reading, features.index) for reading in source.readings]
        both = list(_all_rows(cells, key, source, saved, features, places))
        return {
            "kept": features.index.tolist(),
            "features": [asdict(row) for one in both for row in one.features],
            "ladder": [asdict(row) for one in both for row in one.ladder],
            "points": [asdict(row) for one in both for row in one.points],
        }

    return cells.get(key, make)


def features_of(saved: Saved, readings: Sequence[Reading]) -> Features:
    """Kept latents and groups, from the discovery prompts of all claims and from no label."""
    states = [reading.at(saved.layer, saved.site)[0] for reading in readings]
    index = kept_latents(saved, states)
    decoder = saved.decoder[index.to(saved.decoder.device)].cpu()
    together = torch.cat([encoded(saved, reading, index).latents for reading in readings])
    return Features(index, decoder, tuple(groups_of(together, decoder)), len(saved.decoder))


def _all_rows(
    cells: Cells, key: str, source: Source, saved: Saved, features: Features, places: Sequence[Encoded]
) -> Iterator[Rows]:
    """Claim by claim; the assignment test joins the moduli of a family, whatever was chosen."""
    seed = source.request.seed
    smoothers = [[RidgeSmoother.of(part) for part in group_parts(at.latents, features)] for at in places]
    p_assignment = dict(_assignment(source, features, places, smoothers))
    for at, own in zip(places[: len(source.claims)], smoothers, strict=False):
        made = cells.get(
            f"{key}-{key_of({'claim': repr(at.claim)})}-choice",
            lambda at=at, own=own: choose(at, features, own).content(),
        )
        place = {
            "weights": source.weights, "sae": saved.name, "seed": seed_of(saved.name), "layer": saved.layer,
            "site": saved.site, "domain": at.claim.domain.name, "period": at.claim.period,
            "quantity": at.claim.quantity,
        }  # fmt: skip
        p = p_assignment.get(at.claim.name, (None, None))
        yield rows(at, features, Chosen.of_content(made), p, place, seed)


def _assignment(
    source: Source, features: Features, places: Sequence[Encoded], smoothers: Sequence[Sequence[RidgeSmoother]]
) -> Iterator[tuple[str, tuple[float | None, float | None]]]:
    """Claim name to (p of latents, p of groups) for every arithmetic claim that has enough others beside it."""
    by_name = {at.claim.name: (at, own) for at, own in zip(places, smoothers, strict=True)}
    for family in source.families:
        columns = []
        for claim in (*family.members, *family.companions):
            at, own = by_name[claim.name]
            adjusted = adjusted_states(at.latents[:, None], at.labels)
            columns.append(gains_of(own, adjusted, at.labels, family.moduli))
        for modulus, test in tests_of(family.moduli, columns, source.request.seed).items():
            for claim in family.members:
                if claim.period == modulus:
                    yield claim.name, (test.p_dimension, test.p_planes)
