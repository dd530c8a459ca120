"""The probe of sparse features: every SAE, every claim, trained and random weights, to tables.

    claims  ->  readings (one pass over the model for all SAEs of it)  ->  SAE by SAE: kept latents, groups, rows

The result of an SAE is a cell on disk: an interrupted run goes on where it was, and a model is only loaded when an SAE
needs it. What was chosen on discovery prompts is a cell too, written before any confirmation prompt is used.

Arithmetic claims are corrected for both nulls, as in the main probe: p_fwer is the larger of the renaming p and the p
of the assignment test (`statistics.assignment`), here of all kept latents, or of all groups, of the SAE. For that the
companions of the moduli are read too and not reported.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property
from itertools import combinations
from pathlib import Path

import torch

from llm_probe.models.loading import LoadedModel, load, weights_fingerprint
from llm_probe.questions.claims import families
from llm_probe.questions.selection import named_claims, own_claims
from llm_probe.run.job import Job
from llm_probe.run.result import PROBE
from llm_probe.run.study import Result, Rows, Session, Study, stage, together
from llm_probe.run.vocabulary import Weights
from llm_probe.statistics.dimensions import adjusted_states
from llm_probe.statistics.gains import gains_of, tests_of
from sae.circles.claims import Chosen, Features, choose, group_parts, rows
from sae.circles.ladder import verdicts
from sae.circles.latents import Encoded, Reading, encoded, groups_of, kept_latents, read_claims, recurrence
from sae.circles.table import TABLES, RecurrenceRow, TrainingRow
from sae.config import FeatureProbe
from sae.source.stream import Place
from sae.training.saved import Saved, check_fits, load_sae, record_of
from toy.maths.regression import RidgeSmoother
from toy.run.cells import key_of
from toy.run.errors import InputError
from toy.run.limits import check_counts


def _figures(folder: Path, result: Result) -> None:
    from llm_probe.page.style import save_figures
    from sae.circles.page import all_figures

    save_figures(folder, all_figures(result.frames), "sae")


def _words(result: Result) -> str:
    from toy.run.terminal import filled, table_text

    table = result.frames["sae_verdicts"]
    keys = ["domain", "quantity", "layer"]
    columns = [*keys, "group_r2", "plane_r2", "random_group_r2", "verdict"]
    shown = table_text(table.reindex(columns=columns), keys, digits=2)
    why = [
        filled(f"{row['domain']} {row['quantity']}, layer {row['layer']}: {row['reason']}", "  ")
        for row in table.to_dict("records")
        if row["reason"]
    ]
    return "\n".join([shown, "", *why])


FEATURES = Study(TABLES, cell_version=3, figures=_figures, words=_words)


@dataclass(frozen=True)
class Dictionary:
    """An SAE, the weights of the model it is read on, and the indices of its kept latents."""

    weights: Weights
    saved: Saved
    kept: list[int]


class ProbedModel:
    """One model under one set of weights, and the claims read on it when they are first needed."""

    def __init__(self, request: FeatureProbe, weights: Weights, saes: Sequence[Saved]) -> None:
        self.request, self.saes = request, saes
        self.weights: Weights = weights
        self.claims = named_claims(request.probe_config) or own_claims(self.loaded)
        self.families = families(self.claims)

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model, checked against every SAE."""
        request, random = self.request, self.weights == "random"
        options = {"dtype": request.dtype, "device": request.device, "seed": request.weights_seed}
        loaded = load(request.model, random_weights=random, **options)
        for saved in self.saes:
            check_fits(saved, loaded)
        return loaded

    @cached_property
    def readings(self) -> list[Reading]:
        """Every claim, then the companions."""
        job = Job(self.request.probe_config, Session(PROBE), lambda: self.loaded, self.weights)
        places: list[Place] = list(dict.fromkeys((saved.layer, saved.site) for saved in self.saes))
        companions = [claim for family in self.families for claim in family.companions]
        return read_claims(job, self.loaded, [*self.claims, *companions], places)


def run(request: FeatureProbe, command: str = "") -> Result:
    """Probe every SAE of a request, and compare trained with random weights.

    Raises:
        InputError: no SAE, one that does not fit the model, or an unknown domain.
    """
    if not request.saes:
        raise InputError("no sparse autoencoder was given: train some with python scripts/train_sae.py")
    check_counts(request, "prompts", "renamings")
    return FEATURES.run(request.out, lambda session: _rows(request, session), command)


def _rows(request: FeatureProbe, session: Session) -> Rows:
    dictionaries: list[Dictionary] = []
    parts: list[Rows] = []
    kinds: tuple[tuple[Weights, tuple[str, ...]], ...] = (("trained", request.saes), ("random", request.random))
    for weights, places in kinds:
        if not places:
            continue
        saes = [load_sae(where) for where in places_of(places)]
        probed = ProbedModel(request, weights, saes)
        if weights == "trained":
            layers = sorted({saved.layer for saved in saes})
            session.describe(request.probe_config, probed.loaded, layers, weights_fingerprint(probed.loaded.model))
        with stage(f"{weights} weights", len(saes), "autoencoders") as bar:
            for saved in saes:
                bar.set_postfix_str(saved.name)
                kept, own = _sae_rows(session, probed, saved)
                dictionaries.append(Dictionary(weights, saved, kept))
                parts.append(own)
                bar.update()
    result = together(parts)
    return result | {
        "sae_training": list(training_rows(dictionaries)),
        "sae_verdicts": list(verdicts(result["sae_ladder"])),
        "sae_recurrence": list(recurrence_rows(dictionaries, request.seed)),
    }


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


def training_rows(dictionaries: Sequence[Dictionary]) -> Iterator[TrainingRow]:
    """The measures of every SAE that has a training.json; an encoder has no cross-entropy."""
    for dictionary in dictionaries:
        saved = dictionary.saved
        if record := record_of(Path(saved.name).expanduser()):
            place = {"weights": dictionary.weights, "sae": saved.name, "layer": saved.layer, "site": saved.site}
            known = record["measures"] | record | place | {"n_latents": saved.latents}
            yield TrainingRow(**{field.name: known.get(field.name) for field in fields(TrainingRow)})


def recurrence_rows(dictionaries: Sequence[Dictionary], seed: int) -> Iterator[RecurrenceRow]:
    """Every pair of SAEs of one place and kind of weights, by their kept latents."""
    for one, other in combinations(dictionaries, 2):
        a, b = one.saved, other.saved
        if (one.weights, a.layer, a.site) == (other.weights, b.layer, b.site) and one.kept and other.kept:
            pair = recurrence(a.decoder[one.kept].cpu(), b.decoder[other.kept].cpu(), seed)
            yield RecurrenceRow(one.weights, a.layer, a.site, a.name, b.name, len(one.kept), **asdict(pair))


def _sae_rows(session: Session, probed: ProbedModel, saved: Saved) -> tuple[list[int], Rows]:
    """(indices of the kept latents, the rows of every claim) of one SAE."""
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

    @cache
    def features() -> Features:
        own = features_of(saved, probed.readings)
        if not own.groups:
            raise InputError(
                f"{saved.name} has {len(own.index)} latents that are active on 1 % of these prompts, too few for a "
                "group: it is not trained, or on another kind of text"
            )
        return own

    kept = session.cells.get(f"{key}-kept", lambda: {"index": features().index.tolist()})
    return kept["index"], session.rows(key, lambda: _claim_rows(session, key, probed, saved, features()))


def features_of(saved: Saved, readings: Sequence[Reading]) -> Features:
    """Kept latents and groups, from the discovery prompts of all claims and from no label."""
    index = kept_latents(saved, [reading.states[saved.layer, saved.site][0] for reading in readings])
    decoder = saved.decoder[index.to(saved.decoder.device)].cpu()
    together = torch.cat([encoded(saved, reading, index).latents for reading in readings])
    return Features(index, decoder, tuple(groups_of(together, decoder)), len(saved.decoder))


def _claim_rows(session: Session, key: str, probed: ProbedModel, saved: Saved, features: Features) -> Rows:
    """All claims; the assignment test needs all moduli of a family, whatever was chosen."""
    places = [encoded(saved, reading, features.index) for reading in probed.readings]
    smoothers = [[RidgeSmoother.of(part) for part in group_parts(at.latents, features)] for at in places]
    p_assignment = dict(_assignment(probed, places, smoothers))
    parts = []
    for at, own in zip(places[: len(probed.claims)], smoothers, strict=False):
        claim = at.claim
        chosen = session.cells.get(
            f"{key}-{key_of({'claim': repr(claim)})}-choice", lambda at=at, own=own: asdict(choose(at, features, own))
        )
        place = {
            "weights": probed.weights, "sae": saved.name, "seed": seed_of(saved.name), "layer": saved.layer,
            "site": saved.site, "domain": claim.domain.name, "period": claim.period, "quantity": claim.quantity,
        }  # fmt: skip
        p = p_assignment.get(claim.name, (None, None))
        parts.append(rows(at, features, Chosen.of_json(chosen), p, place, probed.request.seed))
    return together(parts)


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
