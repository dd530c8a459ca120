"""The causal run: every accepted circle of a probe run through its whole experiment, to tables and verdicts on disk.

    probe run (r2_table.csv, run.json)  ->  locations and frequencies of this very model's accepted planes
    Experiment of each                  ->  parts, one cell on disk each: an interrupted run goes on
    parts                               ->  causal_table, rotation, controls, map, routing, verdicts; run.json

With `dims`, single dimensions stand in the place of planes and no probe run is needed; with `sweep`, every dimension of
some layers is held at its mean (`sweep.py`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from causal.algorithms.algorithm_probe import algorithm_rows
from causal.algorithms.dose import dose_rows
from causal.algorithms.mediator_probe import mediator_rows
from causal.attribution.attribution import agreement, attribution, layer_map
from causal.attribution.components import plane_logits
from causal.attribution.neurons import ASKED, DRAWS, FITTED, SHARE, SharedNeurons
from causal.attribution.routing import routing
from causal.controls.random_controls import CONTROLS, TURNS, random_controls
from causal.controls.specificity import documents, skills, text_rows
from causal.experiments import addition, effects, succession
from causal.experiments.experiment import Experiment
from causal.experiments.moves import Mover
from causal.experiments.patches import patch_rows
from causal.experiments.sweep import PAIRS, MakeRows, published_rows, sweep
from causal.experiments.tables import AdditionMoveRow, SuccessionRow
from causal.interventions.directions import accepted
from causal.interventions.edits import INTERVENTIONS
from causal.interventions.questions import Questions
from causal.run.config import CausalConfig
from causal.run.plan import PUBLISHED_CLAIM, claim_of, experiments_of, layers_of
from causal.run.tables import TABLES, by_table
from causal.run.verdicts import ranked, verdict_row
from llm_probe.models.loading import LoadedModel, check_layers, load, randomised, weights_fingerprint
from llm_probe.questions.claims import Claim, Quantity
from llm_probe.questions.domains import Domain
from llm_probe.run.study import Result, Rows, Session, Study, stage, together
from llm_probe.run.vocabulary import ALPHA
from toy.run.errors import InputError
from toy.run.limits import check_counts

ROUTING_PROMPTS = 100
"""Prompts of a modulus in which every head is patched."""
MakeQuestions = Mapping[str, Callable[[], Questions]]


def _figures(folder: Path, result: Result) -> None:
    from causal.page.figures import save_all

    save_all(folder, result.frames)


def _words(result: Result) -> str:
    """A verdict a circle with its reason; of a sweep what stands out in each layer; of the next item what moves it."""
    from causal.page.addition import sentences as of_addition
    from causal.page.neurons import sentences as of_neurons
    from causal.page.succession import sentences
    from toy.run.terminal import filled

    lines = []
    for row in result.frames["causal_verdicts"].to_dict("records"):
        lines += [
            f"{row['domain']}, layer {row['layer']}, {row['direction']}: {row['verdict']}",
            f"    {row['sentence']}",
        ]
    for _, rows in result.frames["causal_sweep"].groupby(["domain", "layer"], sort=False):
        least = rows.loc[rows["accuracy"].idxmin()]
        changing = f"{(rows['p_holm'] <= ALPHA).sum()} of {len(rows)} dimensions"
        lines.append(
            f"{least['domain']}, layer {least['layer']}: {changing} change the answers (Holm p <= {ALPHA}); "
            f"the most dim {least['dim']}, from {least['accuracy_before']:.1%} to {least['accuracy']:.1%}"
        )
    lines += sentences(result.frames["succession"], result.frames["succession_moves"])
    lines += of_addition(result.frames["addition"], result.frames["addition_moves"])
    lines += of_neurons(result.frames["shared_neurons"])
    if not lines:
        return "nothing was tested"
    return "\n".join([*(filled(line, "    ") for line in lines), "", f"again  {result.run['command']}"])


CAUSAL = Study(TABLES, cell_version=6, figures=_figures, words=_words, digits=5, leaves_out_empty=True)


def run(config: CausalConfig, command: str = "") -> Result:
    """Test the circles of a model, or every dimension of some layers.

    Raises:
        InputError: no probe run of these weights, an unknown claim, too few prompts, or a text that cannot be read.
    """
    check_counts(config, "prompts", "discovery", "window")
    power = "" if config.succession or config.addition or config.neurons else _power(config)
    if power:
        print(power, file=sys.stderr)
    return CAUSAL.run(config.folder, lambda session: _rows(config, power, session), command)


def _rows(config: CausalConfig, power: str, session: Session) -> Rows:
    texts = documents(config.text)
    loaded = load(config.model, revision=config.revision, dtype=config.dtype, device=config.device)
    fingerprint = weights_fingerprint(loaded.model)
    known = {} if config.names_no_probe else accepted(config.source, fingerprint)
    if config.weights == "random":
        loaded = randomised(loaded, config.seed)
        fingerprint = weights_fingerprint(loaded.model)
    facts = {
        "model": config.model,
        "revision": loaded.revision,
        "weights_fingerprint": fingerprint,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "device": str(loaded.device),
        "directions_from": str(config.source),
        "configuration": {key: value for key, value in asdict(config).items() if key not in ("out", "probed")},
        "power": power,
        "seed": config.seed,
    }
    session.identify(facts)
    with stage("causal", None, "prompts") as bar:  # edited prompts
        runner = CausalRunner(config, loaded, fingerprint, session, texts, bar)
        if config.sweep:
            return runner.sweep_layers()
        if config.succession:
            return runner.move_items()
        if config.addition:
            return runner.move_digits()
        if config.neurons:
            return runner.hold_neurons([claim_of(name) for name in config.claims or known])
        return runner.test_circles(experiments_of(config, loaded, known))


@dataclass(frozen=True)
class CausalRunner:
    """What a run computes, cell by cell."""

    config: CausalConfig
    loaded: LoadedModel
    fingerprint: str
    session: Session
    texts: Sequence[str]
    bar: tqdm

    def test_circles(self, experiments: Sequence[Experiment]) -> Rows:
        """Every experiment with its verdict, and the map of every claim."""
        claims = {experiment.claim.domain.name: experiment.claim for experiment in experiments}
        others = skills(self.loaded, list(claims.values()), self.config.other_prompts, self.config.seed)
        parts = []
        for experiment in experiments:
            self.bar.set_postfix_str(f"{experiment.claim.domain.name} layer {experiment.location[0]}")
            experiment.tick = self.bar.update
            rows = self._experiment(experiment, others, list(claims.values()))
            verdict = verdict_row(experiment, rows, self.session.facts["power"])
            parts += [rows, {"causal_verdicts": [verdict]}]
        if self.config.protocol == "full":
            parts += [self._map(claim) for claim in claims.values()]
            parts += [self._routing(some) for some in _of_each_operation(claims.values())]
        return together(parts)

    def sweep_layers(self) -> Rows:
        """Every dimension of the layers of `--sweep`."""
        layers = layers_of(self.config.sweep, len(self.loaded.layers))
        check_layers(self.loaded, layers)
        claims = [claim_of(name) for name in self.config.claims or (PUBLISHED_CLAIM,)]
        return {"causal_sweep": sweep(self.loaded, self.config, claims, layers, self._cell, self.bar.update)}

    def move_items(self) -> Rows:
        """What is answered when the next item is asked for, and under moves of the last item behind every block."""
        parts, seed, layers = [], self.config.seed, self._moved_layers()
        for domain in (claim_of(name).domain for name in self.config.claims or succession.DOMAINS_ASKED):
            if domain.operands is not None:
                raise InputError(f"{domain.name} has no items to go on with: give words such as days or months")
            self.bar.set_postfix_str(domain.name)
            make = partial(self._answers_of, domain)
            parts.append(self._cell(f"succession {domain!r} {succession.FORMS} {succession.STEPS}", make))
            best = max((row for row in parts[-1]["succession"] if row.steps == 1), key=lambda row: row.accuracy)
            if best.accuracy_low <= best.chance:
                continue
            fitted, moved = (succession.held(self.loaded, domain, best.form, p, seed) for p in ("discovery", "causal"))
            for layer in layers:
                where = (domain.name, best.form, layer, "item")
                mover = Mover(self.loaded, *where, fitted, moved, succession.MOVABLE, seed)
                cell = f"succession {domain!r} {best.form} {layer}"
                parts.append(self._cell(cell, lambda mover=mover: mover.rows(self.bar.update)))
        return together(parts)

    def move_digits(self) -> Rows:
        """What is answered when sums of digits are asked for, and under moves of an operand and of the sum."""
        shots, seed, layers = addition.SHOTS, self.config.seed, self._moved_layers()
        cell = f"addition {shots}"
        parts = [self._cell(cell, lambda: [addition.answer_row(self.loaded, count, seed) for count in shots])]
        known = parts[0]["addition"][-1]
        for quantity, position in addition.POSITIONS.items() if known.accuracy_low > known.chance else ():
            self.bar.set_postfix_str(f"{quantity} at {position}")
            fitted, moved = (addition.held(self.loaded, part, quantity, seed) for part in ("discovery", "causal"))
            for layer in layers:
                least = addition.MOVABLE * known.accuracy
                mover = Mover(self.loaded, "add", "examples", layer, position, fitted, moved, least, seed)

                def rows(mover: Mover = mover, quantity: Quantity = quantity) -> Iterator[AdditionMoveRow]:
                    return (AdditionMoveRow(**vars(row), quantity=quantity) for row in mover.rows(self.bar.update))

                parts.append(self._cell(f"addition {shots} {quantity} {layer}", rows))
        return together(parts)

    def _moved_layers(self) -> list[int]:
        """The blocks of `--layers`, or all."""
        layers = layers_of(self.config.layers or ("all",), len(self.loaded.layers), "--layers")
        check_layers(self.loaded, layers)
        return layers

    def hold_neurons(self, claims: Sequence[Claim]) -> Rows:
        """What every domain loses without the neurons that matter most to another."""
        shared = SharedNeurons(self.loaded, claims, self.config.seed)
        parts = []
        for held, claim in enumerate(claims):
            self.bar.set_postfix_str(claim.domain.name)
            cell = f"neurons {claim!r} of {claims!r} {SHARE} {DRAWS} {FITTED} {ASKED}"
            parts.append(self._cell(cell, lambda held=held: shared.rows(held, self.bar.update)))
        return together(parts)

    def _answers_of(self, domain: Domain) -> list[SuccessionRow]:
        return [
            succession.answer_row(self.loaded, domain, form, steps, self.config.seed)
            for form in succession.FORMS
            for steps in succession.STEPS
        ]

    def _experiment(self, experiment: Experiment, others: MakeQuestions, claims: Sequence[Claim]) -> Rows:
        """Every part of an experiment, with the ranks among its controls."""
        names = ", ".join(INTERVENTIONS)
        parts: dict[str, MakeRows] = {f"text {names}": lambda: text_rows(experiment, self.texts)}
        if self.config.protocol == "published":
            parts["published"] = lambda: published_rows(experiment)
            return self._parts(experiment, parts)
        if not experiment.can_be_tested:
            return {}
        parts[f"interventions {names}"] = experiment.interventions
        for control in CONTROLS if experiment.frequencies else CONTROLS[:2]:
            parts[f"{control} {TURNS}"] = lambda control=control: random_controls(experiment, control)
        period = _other_period(experiment, claims)
        parts[f"fixed {period}"] = lambda: experiment.fixed_controls(period)
        if experiment.frequencies:
            parts["algorithm"] = lambda: algorithm_rows(experiment)
            parts["mediators"] = lambda: mediator_rows(experiment)
            parts["dose"] = lambda: dose_rows(experiment)
        if experiment.frequencies and experiment.quantity == "sum":
            parts["patches"] = lambda: patch_rows(experiment)
            parts["attribution"] = lambda: attribution_rows(experiment)
        for name, questions in others.items() if self.config.other_prompts else ():
            if name != experiment.claim.domain.name:
                parts[f"elsewhere {name}"] = lambda name=name, of=questions: experiment.elsewhere(name, of())
        return ranked(self._parts(experiment, parts))

    def _map(self, claim: Claim) -> Rows:
        """The layer and position map of a claim's questions."""

        def make() -> Iterable[Any]:
            experiment = Experiment(self.loaded, self.config, claim, (0, "resid_post", "last"), ())
            few = experiment.questions.take(range(min(self.config.control_prompts, len(experiment.questions.items))))
            return layer_map(self.loaded, claim, few, self.bar.update)

        return self._cell(f"{claim!r} map", make)

    def _routing(self, claims: Sequence[Claim]) -> Rows:
        """Which heads hand the modulus on, in the sums of several moduli."""
        size, seed = ROUTING_PROMPTS, self.config.seed
        return self._cell(
            f"{claims!r} routing {size}",
            lambda: routing(self.loaded, claims, size=size, seed=seed, tick=self.bar.update),
        )

    def _parts(self, experiment: Experiment, parts: Mapping[str, MakeRows]) -> Rows:
        what = f"{experiment.claim!r} {experiment.location} {experiment.frequencies} {experiment.dim}"
        if experiment.quantity == "item":
            what += " item"
        if experiment.features is not None:
            what += f" {experiment.features.name} {float(experiment.features.basis.double().abs().sum()):.9g}"
        return together([self._cell(f"{what} {name}", make) for name, make in parts.items()])

    def _cell(self, name: str, make: MakeRows) -> Rows:
        """The rows of one cell, computed once."""
        return self.session.rows(self.config.hash(fingerprint=self.fingerprint, cell=name), lambda: by_table(make()))


def attribution_rows(experiment: Experiment) -> Iterator[Any]:
    """Which heads and MLPs decide the answer, and what the planes give of it."""
    questions = experiment.subset[1].questions
    loaded, seed = experiment.loaded, experiment.config.seed
    rows = attribution(loaded, experiment.claim, questions, experiment.root, seed=seed, tick=experiment.tick)
    yield from [*rows, *agreement(rows), *plane_logits(loaded, questions, experiment.root, seed=seed)]


def _power(config: CausalConfig) -> str:
    """What the prompts of the run can show; InputError where that is too little and `underpowered` is not set."""
    if config.protocol == "published":
        return effects.power_sentence(PAIRS)
    return effects.power_sentence(config.prompts) if config.underpowered else effects.check_power(config.prompts)


def _other_period(experiment: Experiment, claims: Sequence[Claim]) -> int | None:
    """The period of another arithmetic claim that is nearest to the experiment's and shares no factor with it."""
    own = experiment.claim.period
    periods = [claim.period for claim in claims if claim.is_arithmetic and math.gcd(claim.period, own) == 1]
    return min(periods, key=lambda period: (abs(period - own), period), default=None)


def _of_each_operation(claims: Iterable[Claim]) -> list[list[Claim]]:
    """Arithmetic claims that differ in their modulus alone; three or more, for a prompt has two donors."""
    groups: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.is_arithmetic:
            groups.setdefault(claim.domain.operation, []).append(claim)
    return [some for some in groups.values() if len(some) > 2]
