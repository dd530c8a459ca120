"""A planted helix is found on numbers left out; the names of digits alone make one, and renaming them says so."""

from dataclasses import replace

import pytest
import torch

from llm_probe.circuits.helix import (
    digits,
    explained,
    families,
    family_r2,
    helix,
    helix_rows,
    layer_rows,
    random_families,
    renamed_values,
)
from llm_probe.circuits.table import CircuitsConfig
from llm_probe.models.loading import LoadedModel
from toy.run.errors import InputError

VALUES = torch.arange(100)
CONFIG = CircuitsConfig(renamings=49)


def states_of(columns: torch.Tensor, noise: float = 0.1, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    written = (columns - columns.mean(dim=0)) @ torch.randn(columns.shape[1], 40, generator=generator).double()
    return written + noise * torch.randn(len(columns), 40, generator=generator).double()


def noise(seed: int) -> torch.Tensor:
    return torch.randn(100, 10, generator=torch.Generator().manual_seed(seed)).double()


def test_families_have_the_columns_they_say() -> None:
    sizes = {name: columns.shape[1] for name, columns in families(VALUES, CONFIG.periods).items()}
    assert sizes == {"helix": 8, "line": 1, "circles": 7, "polynomial": 8, "digits": 18, "digits + helix": 26}


def test_digits_have_one_column_less_than_names_at_each_place() -> None:
    columns = digits(VALUES)
    assert columns.shape == (100, 18)  # ones: 0 to 9; tens: 1 to 9 and none
    assert int(torch.linalg.matrix_rank(torch.cat([torch.ones(100, 1).double(), columns], dim=1))) == 19
    assert torch.equal(columns[47, :9], columns[7, :9]) and torch.equal(columns[47, 9:], columns[40, 9:])


def test_a_planted_helix_is_found_and_explains_numbers_left_out() -> None:
    states = states_of(helix(VALUES, CONFIG.periods))
    rows = {row.family: row for row in layer_rows(("trained", "statement", 0), VALUES, states, None, CONFIG)}
    assert rows["helix"].r2 > 0.98 and rows["helix"].r2_tens > 0.98 and (rows["helix"].p_periods or 1) < 0.021
    assert rows["polynomial"].r2 < 0.8 and rows["line"].r2 < 0.5
    assert rows["shuffled helix"].high < 0.1
    assert rows["helix"].low <= rows["helix"].r2 <= rows["helix"].high


def test_many_families_at_once_are_each_by_itself() -> None:
    states = states_of(helix(VALUES, (7.0,)), 1.0)
    columns = torch.stack([helix(VALUES, periods) for periods in ((5.0, 11.0), (7.0, 3.3))])
    expected = torch.tensor([explained(states, one) for one in columns], dtype=torch.float64)
    torch.testing.assert_close(family_r2(states, columns), expected)


def test_on_noise_the_decimal_periods_are_like_any_others() -> None:
    random_periods = random_families(VALUES, CONFIG)["other periods"]
    own = helix(VALUES, CONFIG.periods)
    assert random_periods.shape[1:] == own.shape
    beaten = [(family_r2(one, random_periods) >= explained(one, own)).double().mean() for one in map(noise, range(20))]
    assert 0.3 < float(torch.stack(beaten).mean()) < 0.7


def test_names_of_digits_look_like_a_helix_and_renamed_digits_do_too(loaded: LoadedModel) -> None:
    """Digits without an order: the decimal periods beat random ones, as published; the renaming null is not fooled."""
    names = renamed_values(loaded, VALUES, CONFIG)
    assert names is not None and sorted(names[0].tolist()) == VALUES.tolist()
    renamed = torch.stack([helix(order, CONFIG.periods) for order in [VALUES, *names]])
    random_periods = random_families(VALUES, CONFIG)["other periods"]
    special, ordered = 0, 0
    for seed in range(20):
        states = states_of(digits(VALUES), seed=seed)
        own, *null = family_r2(states, renamed).tolist()
        ordered += sum(other >= own for other in null) <= 1
        special += bool((family_r2(states, random_periods) < own).all())
    assert special >= 18 and ordered <= 4  # binomial(20, 0.04) exceeds four in 0.1 %


def test_the_reference_model_and_too_few_numbers(loaded: LoadedModel) -> None:
    small = replace(CONFIG, numbers=30, renamings=9)
    rows = helix_rows(loaded, small)
    assert {row.context for row in rows} == {"operand", "statement"} and {row.n for row in rows} == {30}
    assert len(rows) == 2 * len(loaded.layers) * 8
    with pytest.raises(InputError, match="20 to 1000 integers, --numbers asks for 5"):
        helix_rows(loaded, replace(CONFIG, numbers=5))
