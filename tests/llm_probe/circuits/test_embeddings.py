"""A planted circle of rows is found, exchangeable rows are not, and only tokens of their own take part."""

import torch

from llm_probe.circuits.embeddings import TokenSet, circle_rows, one_token_each, token_sets
from llm_probe.circuits.table import CircuitsConfig
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.domains import MONTHS

CONFIG = CircuitsConfig(renamings=99)
TWELVE = TokenSet("months", MONTHS, tuple(range(12)), (1,), True)


def rows_of(amplitude: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    angle = torch.arange(12).double() * (2 * torch.pi / 12)
    circle = torch.stack([angle.cos(), angle.sin()], dim=1) @ torch.randn(2, 40, generator=generator).double()
    return amplitude * circle + torch.randn(12, 40, generator=generator).double()


def test_a_circle_of_rows_is_found(loaded: LoadedModel) -> None:
    row, *points = circle_rows(loaded, TWELVE, rows_of(2.0, 0), CONFIG)
    assert row.r2_heldout > 0.7 and row.p_fwer == 0.01 and row.r2_heldout > row.quadratic
    assert [point.item for point in points] == list(MONTHS)


def test_rows_without_an_order_are_not(loaded: LoadedModel) -> None:
    fired = [next(circle_rows(loaded, TWELVE, rows_of(0.0, seed), CONFIG)).p_fwer <= 0.05 for seed in range(40)]
    assert sum(fired) <= 6  # binomial(40, 0.05) exceeds it in 0.3 %


def test_items_are_single_tokens(loaded: LoadedModel) -> None:
    tokens = one_token_each(loaded.tokenizer, MONTHS)
    assert tokens and [loaded.tokenizer.decode([token]).strip() for token in tokens] == list(MONTHS)
    assert one_token_each(loaded.tokenizer, ("C", "C sharp")) is None
    sets = {one.name: one for one in token_sets(loaded, CONFIG)}
    assert sets["digits"].frequencies == (1, 2, 5) and sets["days"].frequencies == (1,)
    assert "notes" not in sets
