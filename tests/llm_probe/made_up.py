"""A made-up run, row by row through the dataclasses, for the tests of the page and the figures.

Claims with a circle rise over the layers to a plateau; the others stay near zero; random weights never rise. The
numbers show every form a run can take and mean nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from llm_probe.questions.domains import DOMAINS, Domain, modular
from llm_probe.run.table import (
    TABLES,
    BehaviourRow,
    CircleRow,
    ControlRow,
    ExampleRow,
    InvariantRow,
    PointRow,
    R2Row,
    ScanRow,
    frame,
)
from llm_probe.run.verdict_row import VerdictRow
from llm_probe.run.vocabulary import EMBEDDING, Control, Level, Position, Quantity, Verdict, Weights
from llm_probe.statistics.registry import PLANE_STATISTICS

RUN: dict[str, Any] = {
    "model": "made/Up-0.6B",
    "revision": "c1899de",
    "layers": 8,
    "d_model": 1024,
    "parameters": 596_049_920,
    "dtype": "float32",
    "device": "cpu",
    "attention": "sdpa",
    "n_prompts": 21_504,
    "seconds": 41.3,
    "control": "same architecture, random weights",
    "date": "2026-01-31 12:00 UTC",
    "command": "python scripts/probe_llm.py --model made/Up-0.6B --domains mod days",
    "versions": {"torch": "2.0", "transformers": "5.0"},
    "commit": "0123456789ab",
    "seed": 0,
    "configuration_hash": "abcdef012345",
    "chat": False,
    "positions": ["last (questions)", "item (statements)"],
    "sites": ["resid_post"],
    "out": "results/made--Up-0.6B",
}

Claimed = tuple[Domain, Quantity, Verdict, float, str]
"""Domain, quantity, verdict, plane R² and reason."""

CLAIMS: list[Claimed] = [
    (DOMAINS["days"], "sum", "supported", 0.88, "holds on new prompts"),
    (DOMAINS["days"], "item", "supported", 0.93, "holds on new prompts"),
    (DOMAINS["months"], "sum", "supported", 0.81, "k = 2 holds on new prompts"),
    (DOMAINS["months"], "item", "supported", 0.9, "holds on new prompts"),
    (DOMAINS["zodiac"], "item", "undetermined", 0.34, "random weights agree as well: 0.30"),
    (DOMAINS["hours"], "sum", "undetermined", 0.42, "other periods are as strong (p 0.2)"),
    (DOMAINS["seasons"], "item", "undetermined", 0.2, "its items have only 24 different orders, too few for a test"),
    (modular("add", 7), "sum", "undetermined", 0.04, "renamed labels are read as well (p 0.62)"),
    (modular("add", 11), "sum", "undetermined", -0.08, "renamed labels are read as well (p 0.62)"),
    (modular("add", 12), "sum", "supported", 0.71, "k = 2 holds on new prompts"),
    (modular("add", 23), "sum", "undetermined", -1.36, "renamed labels are read as well (p 0.62)"),
    (DOMAINS["alphabet"], "item", "refuted", 0.55,
     "a code of 2 runs of neighbours instead: likelier than the circle by 23 nats"),
    (DOMAINS["numbers"], "item", "refuted", 0.4, "a line instead: likelier than the circle by 23 nats"),
    (DOMAINS["planets"], "item", "undetermined", -0.4, "other orders do as well (p 0.62)"),
]  # fmt: skip
SHAPES: dict[str, tuple[Level, str | None]] = {
    "renamed labels": ("nothing", None),
    "other periods": ("helix", "T = 10, 2"),
    "other orders": ("decodable", None),
    "its items": ("decodable", None),
    "a code of": ("clusters", "2 runs of neighbours"),
    "a line": ("ordered", "line"),
}
"""How a reason begins: the level that goes with it, and what exactly was shown."""


def made_up(
    claims: list[Claimed] | None = None,
    *,
    layers: int = 8,
    random: bool = True,
    behaviour: bool = True,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """The tables of a run."""
    maker = _Maker(layers, random, behaviour, np.random.default_rng(seed))
    for claim in CLAIMS if claims is None else claims:
        maker.add(*claim)
    return {name: frame(maker.rows[name], row_type) for name, row_type in TABLES.items()}


def _shape(domain: Domain, quantity: Quantity, verdict: Verdict, reason: str) -> dict[str, Any]:
    """What the record of a claim says of the shape of its code."""
    named = next((known for start, known in SHAPES.items() if reason.startswith(start)), None)
    level, shape = named or ("circle", None)
    partition = next(iter(domain.partitions), "")
    rivals = {"clusters": "runs", "ordered": "line"}
    return {
        "p_order": 0.002 if level == "circle" else 0.62,
        "p_axes": 0.004 if level == "circle" else 0.7,
        "order_null": "orders",
        "p_redrawn": None,
        "p_redrawn_axes": None,
        "circle_share": 0.6 if level == "circle" else 0.2,
        "rival": rivals.get(level, f"clusters: {partition}" if partition else "open arc"),
        "rival_ratio": -23.0 if verdict == "refuted" else 14.0,
        "p_shape": 0.005 if level in ("circle", "clusters", "ordered") else 0.4,
        "p_integer": None if quantity == "item" else 0.01 if level == "helix" else 0.3,
        "helix_periods": "10, 2" if level == "helix" else None,
        "level": level,
        "shape": shape,
        "stopped_by": None if level == "circle" else reason,
    }


class _Maker:
    def __init__(self, layers: int, random: bool, behaviour: bool, generator: np.random.Generator) -> None:
        self.layers, self.behaviour, self.generator = layers, behaviour, generator
        self.weights: tuple[Weights, ...] = ("trained", "random") if random else ("trained",)
        self.rows: dict[str, list[Any]] = {name: [] for name in TABLES}

    def add(self, domain: Domain, quantity: Quantity, verdict: Verdict, r2: float, reason: str) -> None:
        n = domain.period
        position: Position = "last" if quantity == "sum" else "item"
        chosen = 2 if "k = 2" in reason else 1
        frequencies = range(1, n // 2 + 1) if quantity == "sum" else (1,)
        place: dict[str, Any] = {
            "domain": domain.name,
            "quantity": quantity,
            "site": "resid_post",
            "position": position,
        }
        for layer in range(self.layers):
            rise = 1 / (1 + math.exp(self.layers / 2 - 1.5 * layer)) if self.layers > 1 else 1.0
            for weights in self.weights:
                level = r2 * rise if weights == "trained" else -0.1
                self._planes({**place, "layer": layer, "weights": weights}, n, frequencies, chosen, level)
                self._dimensions({**place, "layer": layer, "weights": weights}, n, chosen, level)
                self._circle({**place, "layer": layer, "weights": weights}, domain, chosen, level)
                if quantity == "sum" and domain.operands is not None:
                    self._scan(domain, position, layer, weights, level)
        for weights in self.weights if quantity == "item" else ():
            level = 0.5 * r2 if weights == "trained" else -0.1
            self._planes({**place, "layer": EMBEDDING, "weights": weights}, n, frequencies, chosen, level)
            self._circle({**place, "layer": EMBEDDING, "weights": weights}, domain, chosen, level)
        self._verdict(place, domain, verdict, r2, reason, chosen)
        if quantity == "sum":
            self._behaviour(domain)

    def _noise(self, scale: float = 0.03) -> float:
        return float(self.generator.normal(0, scale))

    def _planes(self, place: dict[str, Any], n: int, frequencies: Any, chosen: int, level: float) -> None:
        for k in frequencies:
            r2 = (level if k == chosen else 0.3 * level - 0.15) + self._noise()
            values = {
                "r2_heldout": r2,
                "r2_heldout_templates": r2 - 0.02,
                "variance_share": max(r2, 0) / 2,
                "angle_error": 1.57 * (1 - max(r2, 0)) ** 0.7,
            }
            p = 0.002 if r2 > 0.2 else min(1.0, 0.6 - r2)
            self._r2(place, n, unit="plane", family="fourier", frequency=k, p_renaming=p, p_fwer=p, **values)
        for family in ("quadratic", "polynomial_total"):
            self._r2(place, n, unit="plane", family=family, r2_heldout=0.5 * level + self._noise())

    def _dimensions(self, place: dict[str, Any], n: int, chosen: int, level: float) -> None:
        for dim in sorted({int(value) for value in self.generator.integers(0, 1024, 6)}):
            base = float(self.generator.uniform(0.9, 0.995))
            rest = {"dim": dim, "unit": "dimension"}
            for family in ("quadratic", "cubic", "sawtooth", "linear", "polynomial_total"):
                published = None if family == "polynomial_total" else base * float(self.generator.uniform(0.4, 0.97))
                self._r2(place, n, **rest, family=family, r2_class_means=published, r2_partial=0.1)
            partial = max(0.0, 0.4 * level) + abs(self._noise())
            p = 0.002 if level > 0.3 else 0.4
            self._r2(place, n, **rest, family="fourier", frequency=chosen, r2_class_means=base, r2_partial=partial,
                     aicc_gain=12.0, r2_heldout=level, p_renaming=p, p_fwer=p)  # fmt: skip

    def _r2(self, place: dict[str, Any], n: int, **values: Any) -> None:
        empty = dict.fromkeys(
            ("dim", "frequency", "r2_class_means", "r2_partial", "aicc_gain", "r2_heldout", "r2_heldout_templates",
             "r2_heldout_residues", "variance_share", "angle_error", "p_renaming", "p_fwer")
        )  # fmt: skip
        self.rows["r2_table"].append(
            R2Row(**{**empty, **place, "period": n, "n_prompts": 800, "n_groups": 210, **values})
        )

    def _circle(self, place: dict[str, Any], domain: Domain, k: int, level: float) -> None:
        radius = math.sqrt(max(level, 0.02))
        for label, item in enumerate(domain.items):
            angle = 2 * math.pi * k * label / domain.period
            x, y = (radius * f(angle) + self._noise(0.06) for f in (math.cos, math.sin))
            z = 0.4 * radius * math.cos(2 * angle)
            self.rows["circles"].append(CircleRow(**place, frequency=k, label=label, item=item, x=x, y=y, z=z))
            if place["layer"] == max(self.layers - 2, 0):
                for prompt in (f"One says {item}", f"Two say {item}"):
                    near = {"x": x + self._noise(0.2), "y": y + self._noise(0.2), "z": z}
                    self.rows["points"].append(PointRow(**place, frequency=k, label=label, prompt=prompt, **near))

    def _scan(self, domain: Domain, position: Position, layer: int, weights: Weights, level: float) -> None:
        frequencies = [*(k / domain.period for k in range(1, domain.period // 2 + 1)), *np.linspace(0.02, 0.5, 120)]
        for frequency in frequencies:
            near = min(abs(frequency - k / domain.period) for k in range(1, domain.period // 2 + 1))
            share = abs((0.3 * level if near < 0.006 else 0.0) + self._noise(0.002))
            row = ScanRow(weights, domain.name, layer, "resid_post", position, 1 / float(frequency), share)
            self.rows["scan"].append(row)

    def _verdict(
        self, place: dict[str, Any], domain: Domain, verdict: Verdict, r2: float, reason: str, chosen: int
    ) -> None:
        best = max(self.layers - 2, 0)
        accuracy = 0.6 if self.behaviour and place["quantity"] == "sum" else None
        has_random = "random" in self.weights
        control: Control = "shuffled" if place["quantity"] == "sum" else "reordered"
        rest = {"site": place["site"], "position": place["position"], "frequency": 1}
        known = {"domain": domain.name, "period": domain.period, "quantity": place["quantity"], "layer": best, **rest}
        self.rows["controls"].append(ControlRow(**known, control=control, r2=-0.02, n_prompts=800))
        for weights in self.weights:
            level = max(r2, 0.0) if weights == "trained" else 0.05
            values = dict.fromkeys(PLANE_STATISTICS) | {"resultant": level, "decode_accuracy": level}
            values |= {"decode_chance": 1 / domain.period}
            self.rows["invariants"].append(InvariantRow(**known, weights=weights, values=values))
        self.rows["verdicts"].append(
            VerdictRow(
                **place,
                period=domain.period,
                cyclic=domain.cyclic,
                accuracy=accuracy,
                accuracy_low=None if accuracy is None else accuracy - 0.05,
                accuracy_high=None if accuracy is None else accuracy + 0.05,
                layer=best,
                layers_held=f"{max(best - 2, 0)}-{best}" if r2 > 0.3 else "",
                frequency=chosen,
                plane_r2=r2,
                plane_r2_low=r2 - 0.06,
                plane_r2_high=min(r2 + 0.04, 0.99),
                agreement=min(max(r2, 0.0) + 0.03, 0.99),
                agreement_low=max(r2, 0.0) - 0.05,
                agreement_high=min(max(r2, 0.0) + 0.05, 0.99),
                random_r2=(-0.1 if domain.period != 12 else -0.6) if has_random else None,
                null_r2=0.12,
                angle_error=1.57 * (1 - max(r2, 0)) ** 0.7,
                random_angle_error=1.52 if has_random else None,
                p_renaming=0.002 if r2 > 0.3 else 0.62,
                p_fwer=0.002 if r2 > 0.3 else 0.62,
                p_holm=0.03 if r2 > 0.3 else 1.0,
                p_selective=None if place["quantity"] == "item" else 0.004 if domain.operands is not None else 0.006,
                p_assignment=0.002 if domain.operands is not None else None,
                assignment_effect=0.7 if domain.operands is not None else None,
                p_contrast=0.003 if domain.operands is not None else None,
                p_repeats=0.006 if place["quantity"] == "sum" and domain.operands is None else None,
                **_shape(domain, place["quantity"], verdict, reason),
                p_period=0.005 if domain.operands is not None else None,
                closure=None if place["quantity"] == "sum" else 0.97 if verdict == "supported" else -0.26,
                closure_low=None if place["quantity"] == "sum" else 0.91 if verdict == "supported" else -0.4,
                closure_high=None if place["quantity"] == "sum" else 1.04 if verdict == "supported" else -0.1,
                best_dim=505,
                best_dim_layer=3,
                best_dim_frequency=1,
                class_mean_r2=0.991,
                random_class_mean_r2=0.993 if has_random else None,
                noise_class_mean_r2=0.985,
                control="shuffled" if place["quantity"] == "sum" else "reordered",
                control_r2=-0.02,
                embedding_r2=0.5 * r2 if place["quantity"] == "item" else None,
                embedding_p=(0.002 if r2 > 0.9 else 0.2) if place["quantity"] == "item" else None,
                origin=None if r2 <= 0.3 else "embedding" if r2 > 0.9 and place["quantity"] == "item" else "blocks",
                explained_by="digit count (0.61 of the plane, the circle 0.04 beyond it)"
                if "digit" in reason
                else None,
                verdict=verdict,
                reason=reason,
                n_discovery=800,
                n_confirmation=400,
            )
        )

    def _behaviour(self, domain: Domain) -> None:
        if not self.behaviour:
            return
        for name in list(domain.questions)[:2]:
            self.rows["behaviour"].append(
                BehaviourRow(domain.name, domain.period, "decoupled", name, 120, 0.6, 0.51, 0.68, 0.7, 0.61, 0.77, 0.14)
            )
        for offset, text in zip((2, 9, 16), domain.questions.values(), strict=False):
            slots = {"item": domain.first_text(domain.first_operands[1]), "offset": offset, "modulus": domain.period}
            prompt = text
            for slot, value in slots.items():
                prompt = prompt.replace("{" + slot + "}", str(value))
            right = domain.items[domain.total(domain.first_operands[1], offset) % domain.period]
            written = right if offset == 2 else domain.items[0]
            self.rows["examples"].append(ExampleRow(domain.name, prompt, right, written, written == right))
