"""The helix: are numbers a line plus circles of period 2, 5, 10, 100?

    h(a) = c_0 + c_line a + Σ_T [ C_T cos(2πa/T) + S_T sin(2πa/T) ]            Kantamneni & Tegmark 2025 (2502.00873)

fitted to the state at the number's last token (mean over the sentences), and scored on numbers it has not seen: each
number from the others (r2), each ten from the other tens (r2_tens). Beside it: the line alone, the circles alone, a
polynomial with as many columns, the helix of shuffled values, helices of other periods (drawn log-uniformly from 2 to
the number of integers), and `digits`, an indicator of each digit at each place. The last one is the rival that
matters where every digit is a token: a state that holds the *name* of the ones digit has all circles of period 10, 5
and 2, in an untrained network too. The null is therefore not a shuffle but a renaming of the digits
(`nulls`; where each integer is one token: of the integers): it keeps the digits and takes their order.

N integers, states (N, d). R² is over all dimensions together: 1 - Σ ||h - ĥ||² / Σ ||h - mean of the others||².
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from llm_probe.activations.streaming import ReadPlan, rows, stream
from llm_probe.circuits.config import CircuitsConfig
from llm_probe.circuits.embeddings import one_token_each
from llm_probe.circuits.table import HelixRow
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import STATEMENTS, Domain, modular
from llm_probe.questions.prompts import Prompt, question, statement
from llm_probe.questions.tokens import encode
from llm_probe.questions.toy_domain import toy_domain
from llm_probe.statistics.nulls import corrected_p, rename
from toy.maths import fourier
from toy.maths.intervals import ratio_interval
from toy.maths.regression import Groups, baseline_residuals, heldout_least_squares, orthonormal
from toy.run.errors import InputError

FEWEST, MOST = 20, 1000
Left = tuple[Float[Tensor, " n"], Float[Tensor, " n"]]
"""Squared held-out error of each integer, and of predicting it by the mean of the others."""


def helix_rows(loaded: LoadedModel, config: CircuitsConfig) -> list[HelixRow]:
    """Every context, layer and family.

    Raises:
        InputError: too few or too many integers.
    """
    check_numbers(config)
    found: list[HelixRow] = []
    for context, values, states in contexts(loaded, config):
        names = renamed_values(loaded, values, config)
        renamed = None if names is None else torch.stack([helix(order, config.periods) for order in names])
        null = None if renamed is None else torch.stack([drawn_r2(own, renamed) for own in states.values()]).amax(dim=0)
        for layer, own in states.items():
            for fit in fits(values, own, config):
                p = None
                if fit["family"] == "helix" and null is not None:
                    p = float(corrected_p(torch.tensor(fit["r2"], dtype=torch.float64), null))
                found.append(HelixRow(loaded.weights, context, layer, **fit, p_renamed=p, n=len(values)))
    return found


def check_numbers(config: CircuitsConfig) -> None:
    """Raises InputError for too few or too many integers."""
    if not FEWEST <= config.numbers <= MOST:
        raise InputError(f"the helix needs {FEWEST} to {MOST} integers, --numbers asks for {config.numbers}")


def fits(values: Int[Tensor, " n"], states: Float[Tensor, "n d"], config: CircuitsConfig) -> Iterator[dict[str, Any]]:
    """All families at one place, as the columns of a row."""
    spread = states.std(dim=0)
    varies = spread > 1e-9 * spread.max()
    scaled, tens = states[:, varies] / spread[varies], Groups.of(values // 10)
    drawn = drawn_families(values, config)
    scores = {name: drawn_r2(states, columns) for name, columns in drawn.items()}
    for name, columns in {**families(values, config.periods), **drawn}.items():
        if name in drawn:  # the draw in the middle stands for all
            r2, low, high = (float(scores[name].quantile(q)) for q in (0.5, 0.025, 0.975))
            columns = columns[int((scores[name] - r2).abs().argmin())]  # noqa: PLW2901
        else:
            left, base = heldout(states, columns)
            r2, (low, high) = (
                float(1 - left.sum() / base.sum()),
                ratio_interval(left, base, torch.arange(len(left)), config.seed),
            )
        better = float((1 + (scores["other periods"] >= r2).sum()) / (1 + config.renamings))
        yield {
            "family": name,
            "columns": columns.shape[1],
            "r2": r2,
            "low": low,
            "high": high,
            "r2_scaled": explained(scaled, columns),
            "r2_tens": explained(states, columns, tens),
            "p_periods": better if name == "helix" else None,
        }


def drawn_families(values: Int[Tensor, " n"], config: CircuitsConfig) -> dict[str, Float[Tensor, "r n _"]]:
    """Helices of shuffled values, and of periods drawn log-uniformly from 2 to the number of integers."""
    rng = np.random.default_rng(config.seed)
    found: dict[str, list[Tensor]] = {"shuffled helix": [], "other periods": []}
    # T = 2 has no sine: with a column more, drawn periods would lose on noise.
    width = helix(values, config.periods).shape[1]
    for _ in range(config.renamings):
        found["shuffled helix"].append(helix(values[torch.from_numpy(rng.permutation(len(values)))], config.periods))
        periods = np.exp(rng.uniform(np.log(2), np.log(len(values)), len(config.periods))).tolist()
        found["other periods"].append(helix(values, periods)[:, :width])
    return {name: torch.stack(columns) for name, columns in found.items()}


def drawn_r2(states: Float[Tensor, "n d"], columns: Float[Tensor, "r n c"]) -> Float[Tensor, " r"]:
    """`explained` of many families of equal size, each number left out by itself.

    With H = B Bᵀ the hat matrix and K = h hᵀ, the squared held-out error of number i is
    [(I - H) K (I - H)]_ii / (1 - H_ii)²: N² numbers instead of N d.
    """
    n, result = len(states), []
    gram = states.double() @ states.double().T
    base = (states.double() - states.double().mean(dim=0)).square().sum() * (n / (n - 1)) ** 2
    for part in columns.split(64):
        basis = torch.linalg.qr(torch.cat([torch.ones_like(part[..., :1]), part], dim=-1)).Q
        rest = gram - basis @ (basis.mT @ gram)
        squared = rest.diagonal(dim1=1, dim2=2) - ((rest @ basis) * basis).sum(dim=-1)
        result.append(1 - (squared / (1 - basis.square().sum(dim=-1)).square()).sum(dim=-1) / base)
    return torch.cat(result)


def helix(values: Num[Tensor, " n"], periods: Sequence[float]) -> Float[Tensor, "n c"]:
    """The line and the circles; a sine that is zero on every integer (T = 2) is left out."""
    line = values.double()[:, None] / values.double().max()
    return torch.cat([line, circles(values, periods)], dim=1)


def circles(values: Num[Tensor, " n"], periods: Sequence[float]) -> Float[Tensor, "n c"]:
    return torch.cat([fourier.design(values, 1, period) for period in periods], dim=1)


def families(values: Int[Tensor, " n"], periods: Sequence[float]) -> dict[str, Float[Tensor, "n _"]]:
    """What is fitted beside drawn helices, by name."""
    own = helix(values, periods)
    x = 2 * values.double().numpy() / float(values.max()) - 1
    # Legendre: raw powers up to the eighth would lose their digits.
    polynomial = torch.from_numpy(np.polynomial.legendre.legvander(x, own.shape[1])[:, 1:])
    return {
        "helix": own,
        "line": own[:, :1],
        "circles": own[:, 1:],
        "polynomial": polynomial,
        "digits": digits(values),
        "digits + helix": torch.cat([digits(values), own], dim=1),
    }


def digits(values: Int[Tensor, " n"]) -> Float[Tensor, "n c"]:
    """An indicator of every digit at every place; a place that a number does not have is a digit of its own."""
    columns, place = [], 1
    while place <= int(values.max()):
        at_place = torch.where((values >= place) | (place == 1), (values // place) % 10, 10)
        _, level = at_place.unique(return_inverse=True)
        columns.append(torch.nn.functional.one_hot(level)[:, 1:].double())
        place *= 10
    return torch.cat(columns, dim=1)


def heldout(states: Float[Tensor, "n d"], columns: Float[Tensor, "n c"], groups: Groups | None = None) -> Left:
    """(squared error, squared error of the mean) of every number, predicted without its group (itself)."""
    groups = groups or Groups.of(torch.arange(len(states)))
    basis = orthonormal(torch.cat([torch.ones(len(states), 1, dtype=torch.float64), columns], dim=1))
    errors = heldout_least_squares(states.double(), basis, groups)
    base = baseline_residuals(states.double(), groups)
    return errors.square().sum(dim=1), base.square().sum(dim=1)


def explained(states: Float[Tensor, "n d"], columns: Float[Tensor, "n c"], groups: Groups | None = None) -> float:
    """Held-out R² over all dimensions."""
    left, base = heldout(states, columns, groups)
    return float(1 - left.sum() / base.sum())


def renamed_values(loaded: LoadedModel, values: Int[Tensor, " n"], config: CircuitsConfig) -> Int[Tensor, "r n"] | None:
    """What the numbers would be called; None where neither the integers nor their digits are tokens of their own."""
    items = tuple(str(int(value)) for value in values)
    if one_token_each(loaded.tokenizer, items):
        generator = torch.Generator().manual_seed(config.seed)
        return torch.stack([values[torch.randperm(len(values), generator=generator)] for _ in range(config.renamings)])
    lengths = {item: len(loaded.tokenizer.encode("+" + item, add_special_tokens=False)) - len(item) for item in items}
    if len(set(lengths.values())) > 1:
        return None
    claim = Claim(Domain("numbers", items, statements=STATEMENTS, cyclic=False), "item")
    labels = Labels.of(claim, [statement(claim.domain, "was", index) for index in range(len(items))])
    return rename(claim, labels, [], config.renamings, config.seed).total


def contexts(
    loaded: LoadedModel, config: CircuitsConfig
) -> Iterator[tuple[str, Int[Tensor, " n"], Mapping[int, Float[Tensor, "n d"]]]]:
    """(name, integers in order, layer to their states (n, d)); layer -1 is the input matrix."""
    toy = getattr(loaded.model.config, "toy", None)
    domain = toy_domain(toy) if toy is not None else modular("add", 23, operands=range(config.numbers))
    values = torch.tensor(sorted(int(domain.first_text(first)) for first in domain.first_operands))
    values = values[values < config.numbers]
    # What stands before the number must be the same for all: nothing behind it can reach its state.
    templates = [name for name, text in domain.questions.items() if "{modulus}" not in text.split("{item}")[0]]
    places = {int(domain.first_text(first)): first for first in domain.first_operands}
    asked = [question(domain, name, places[int(value)], places[1]) for name in templates for value in values]
    yield "operand", values, _mean_states(loaded, asked, len(values))
    if toy is None:
        items = tuple(str(value) for value in values.tolist())
        numbers = Domain("numbers", items, statements=STATEMENTS, cyclic=False)
        said = [statement(numbers, name, index) for name in STATEMENTS for index in range(len(items))]
        yield "statement", values, _mean_states(loaded, said, len(values))
    tokens = one_token_each(loaded.tokenizer, tuple(str(value) for value in values.tolist()))
    if tokens:
        matrix = loaded.model.get_input_embeddings().weight.detach().cpu()  # type: ignore[union-attr,operator]
        yield "embedding", values, {-1: matrix[list(tokens)].double()}


def _mean_states(loaded: LoadedModel, prompts: Sequence[Prompt], n: int) -> dict[int, Float[Tensor, "n d"]]:
    """State at the number after every block, mean over templates (which come one after the other)."""
    encoded = encode(loaded.tokenizer, prompts)
    plan = ReadPlan(layers=tuple(range(len(loaded.layers))), positions=("item",))
    states = rows(stream(loaded, encoded, plan), len(encoded)).double()
    return dict(enumerate(states.unflatten(0, (-1, n)).mean(dim=0).unbind(dim=1)))
