"""Controls that are read from gain tables and from a random model's own search, by hand."""

import math

import pytest
import torch

from llm_probe.activations.streaming import Location
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import modular
from llm_probe.run.table import R2Row
from llm_probe.statistics.controls import prompt_controls, weights_control
from llm_probe.statistics.gains import Gains

CLAIM = Claim(modular("add", 7), "sum")
PERIODS = (7, 11, 14)
CELLS: list[Location] = [(0, "resid_post", "last"), (3, "attn_out", "last")]


def column(r2: list[list[float]]) -> Gains:
    """Gains of planes whose held-out R² is given at the second frequency, by period and cell; less at the others."""
    gains = [[[-0.5 * math.log(1 - value + less) for less in (0.1, 0, 0.2)] for value in line] for line in r2]
    return Gains(PERIODS, torch.tensor(gains, dtype=torch.float64), torch.zeros(3, 4))


def row(unit, r2: float | None, layer: int, family="fourier", frequency: int | None = 1) -> R2Row:
    return R2Row("random", "mod-add 7", 7, "sum", "last", "resid_post", layer, unit, 5 if unit == "dimension" else None,
                 family, frequency, None, None, None, r2, None, None, None, None, None, None, 800, 400)  # fmt: skip


def test_r2_from_gains_by_hand() -> None:
    columns = {
        7: column([[0.9, 0.95], [0.1, 0.1], [0.9, 0.9]]),  # its own: no control
        11: column([[0.2, 0.35], [0.9, 0.9], [0.3, 0.3]]),
        14: column([[0.8, 0.8], [0.1, 0.1], [0.9, 0.9]]),  # shares its period: no control
    }
    plain = column([[0.6, -0.4], [0.99, 0.99], [0.7, 0.7]])
    controls = {one.control: one for one in prompt_controls(CLAIM, columns, plain, CELLS, 800)}
    assert set(controls) == {"no_modulus", "wrong_modulus"}
    wrong, none = controls["wrong_modulus"], controls["no_modulus"]
    assert wrong.r2 == pytest.approx(0.35)
    assert (wrong.layer, wrong.site, wrong.position, wrong.frequency) == (3, "attn_out", "last", None)
    assert none.r2 == pytest.approx(0.6)
    assert (none.layer, none.site, none.n_prompts) == (0, "resid_post", 800)


def test_an_r2_below_zero_stays_below_zero() -> None:
    plain = column([[-0.5, -0.25], [0.1, 0.1], [0.1, 0.1]])
    (only,) = prompt_controls(CLAIM, {7: plain}, plain, CELLS, 800)  # no foreign modulus
    assert (only.control, only.layer) == ("no_modulus", 3)
    assert only.r2 == pytest.approx(-0.25)


def test_the_best_plane_of_random_weights() -> None:
    rows = (
        row("plane", 0.02, 1, frequency=3),
        row("plane", -0.1, 0),
        row("plane", 0.5, 2, family="quadratic", frequency=None),  # a rival is no plane of the circle
        row("dimension", None, 2),
    )
    best = weights_control(CLAIM, "random_weights", rows)
    assert (best.control, best.r2, best.layer, best.frequency) == ("random_weights", 0.02, 1, 3)
    assert best.n_prompts == 800
