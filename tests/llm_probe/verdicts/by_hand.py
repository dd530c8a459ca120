"""Evidence and hypotheses made by hand: a good circle, and what random weights give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.run.table import ControlRow
from llm_probe.run.vocabulary import Control
from llm_probe.statistics.assignment import ModulusTest
from llm_probe.statistics.planes import ChosenPlane, Confirmation
from llm_probe.verdicts.evidence import ClassMeanMaximum, Evidence
from llm_probe.verdicts.geometry import Geometry
from llm_probe.verdicts.judgement import Hypothesis

MOD_7 = Claim(modular("add", 7), "sum")
DAYS = Claim(DOMAINS["days"], "sum")
WEEKDAY = Claim(DOMAINS["days"], "item")
CIRCLE = Geometry(
    share=0.8,
    p_order=0.003,
    p_axes=0.004,
    hardest="",
    p_shape=0.005,
    rival="runs",
    rival_name="2 runs of neighbours",
    ratio=12.0,
    p_repeats=0.004,
    p_integer=0.4,
)
"""A circle by every test; `p_repeats` counts only where the first operand is a word."""
GOOD = Evidence(
    location=(3, "resid_post", "last"),
    chosen=ChosenPlane(frequency=1, discovery_r2=0.91, null_r2=0.05, p_renaming=0.002, parabola_r2=0.5),
    confirmation=Confirmation(
        r2=0.9, low=0.85, high=0.93, angle_error=0.2, agreement=0.95, agreement_low=0.92, agreement_high=0.97
    ),
    p_period=0.005,
    closure=0.9,
    closure_low=0.8,
    closure_high=1.1,
    geometry=CIRCLE,
    layers_beating_null=(2, 3),
    explained_by=None,
    class_mean=ClassMeanMaximum(0.99, 5, 3, 1),
    n_discovery=800,
    n_confirmation=400,
    rows={"r2_table": [], "circles": [], "scan": [], "controls": [], "invariants": []},
)
TEST = ModulusTest(
    7, (7, 9, 11, 13, 17), (), 0.001, None, 0.001, 0.8, (0.8, 0.8, 0.8), 0.002, None, 1, None, 0, None, 120
)
"""The assignment test of modulus 7, passed with p = 0.001."""


def changed(evidence: Evidence = GOOD, **change: Any) -> Evidence:
    """Evidence with some numbers replaced, in whichever part of it they stand."""
    parts = {}
    for name in ("chosen", "confirmation", "geometry"):
        part = getattr(evidence, name)
        parts[name] = replace(part, **{key: change.pop(key) for key in list(change) if key in vars(part)})
    return replace(evidence, **parts, **change)


RANDOM = changed(
    r2=0.02,
    low=-0.02,
    high=0.06,
    agreement=0.1,
    agreement_low=-0.1,
    agreement_high=0.3,
    p_renaming=0.4,
    p_order=0.5,
    class_mean=ClassMeanMaximum(0.995, 7, 1, 1),
)


def hypothesis(evidence: Evidence = GOOD, claim: Claim = MOD_7, **change: Any) -> Hypothesis:
    """A claim about arithmetic that passes every test, but for what is changed."""
    known: dict[str, Any] = {"test": TEST if claim.is_arithmetic else None, "random": RANDOM, "n_dimensions": 64}
    return Hypothesis(claim, evidence, **{**known, **change})


def control(name: Control, r2: float) -> ControlRow:
    """A control label of a sum mod 7 that is read this well."""
    return ControlRow("mod-add 7", 7, "sum", name, r2, 3, "resid_post", "last", 1, 800)
