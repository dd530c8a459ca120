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

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from llm_probe.activations.streaming import layer_states
from llm_probe.circuits.embeddings import one_token_each
from llm_probe.circuits.table import CircuitsConfig, HelixRow
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import STATEMENTS, Domain, modular
from llm_probe.questions.prompts import Prompt, question, statement
from llm_probe.questions.tokens import encode
from llm_probe.questions.toy_domain import toy_domain
from llm_probe.statistics.renaming import corrected_p, rename
from toy.maths import fourier
from toy.maths.intervals import ratio_interval
from toy.maths.regression import Groups, baseline_residuals, heldout_least_squares, orthonormal
from toy.run.errors import InputError

FEWEST, MOST = 20, 1000
"""Integers to which a helix is fitted."""


def helix_rows(loaded: LoadedModel, config: CircuitsConfig) -> list[HelixRow]:
    """Every context, layer and family.

    Raises:
        InputError: too few or too many integers.
    """
    check_numbers(config)
    table: list[HelixRow] = []
    for context, values, states in contexts(loaded, config):
        null, names = None, renamed_values(loaded, values, config)
        if names is not None:
            renamed = torch.stack([helix(order, config.periods) for order in names])
            null = torch.stack([family_r2(own, renamed) for own in states.values()]).amax(dim=0)
        for layer, own in states.items():
            table += layer_rows((loaded.weights, context, layer), values, own, null, config)
    return table


def check_numbers(config: CircuitsConfig) -> None:
    """Raises InputError for too few or too many integers."""
    if not FEWEST <= config.numbers <= MOST:
        raise InputError(f"the helix needs {FEWEST} to {MOST} integers, --numbers asks for {config.numbers}")


def layer_rows(
    where: tuple[str, str, int],
    values: Int[Tensor, " n"],
    states: Float[Tensor, "n d"],
    null: Float[Tensor, " renamings"] | None,
    config: CircuitsConfig,
) -> Iterator[HelixRow]:
    """All families at one place; `where`: weights, context and layer, `null`: R² of the helix of renamed numbers."""
    spread, each = states.std(dim=0), torch.arange(len(values))
    varies = spread > 1e-9 * spread.max()
    scaled, tens = states[:, varies] / spread[varies], Groups.of(values // 10)
    draws = random_families(values, config)
    scores = {name: family_r2(states, columns) for name, columns in draws.items()}
    for family, columns in {**families(values, config.periods), **draws}.items():
        if family in draws:  # the draw in the middle stands for all
            r2, low, high = (float(scores[family].quantile(q)) for q in (0.5, 0.025, 0.975))
            columns = columns[int((scores[family] - r2).abs().argmin())]  # noqa: PLW2901
        else:
            left, base = heldout_errors(states, columns)
            r2 = float(1 - left.sum() / base.sum())
            low, high = ratio_interval(left, base, each, config.seed)
        p_renamed = p_periods = None
        if family == "helix":
            p_periods = float((1 + (scores["other periods"] >= r2).sum()) / (1 + config.renamings))
            if null is not None:
                p_renamed = float(corrected_p(torch.tensor(r2, dtype=torch.float64), null))
        others = (explained(scaled, columns), explained(states, columns, tens), p_renamed, p_periods, len(values))
        yield HelixRow(*where, family, columns.shape[1], r2, low, high, *others)  # type: ignore[arg-type]


def random_families(values: Int[Tensor, " n"], config: CircuitsConfig) -> dict[str, Float[Tensor, "r n _"]]:
    """Helices of shuffled values, and of periods drawn log-uniformly from 2 to the number of integers."""
    rng = np.random.default_rng(config.seed)
    shuffled, other_periods = [], []
    # T = 2 has no sine: with a column more, random periods would lose on noise.
    width = helix(values, config.periods).shape[1]
    for _ in range(config.renamings):
        shuffled.append(helix(values[torch.from_numpy(rng.permutation(len(values)))], config.periods))
        periods = np.exp(rng.uniform(np.log(2), np.log(len(values)), len(config.periods))).tolist()
        other_periods.append(helix(values, periods)[:, :width])
    return {"shuffled helix": torch.stack(shuffled), "other periods": torch.stack(other_periods)}


def family_r2(states: Float[Tensor, "n d"], columns: Float[Tensor, "r n c"]) -> Float[Tensor, " r"]:
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
    return torch.cat([line, *(fourier.design(values, 1, period) for period in periods)], dim=1)


def families(values: Int[Tensor, " n"], periods: Sequence[float]) -> dict[str, Float[Tensor, "n _"]]:
    """The families that are fitted beside the random ones, by name."""
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


def heldout_errors(
    states: Float[Tensor, "n d"], columns: Float[Tensor, "n c"], groups: Groups | None = None
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """(squared error, squared error of the others' mean) of every number, predicted without its group (itself)."""
    groups = groups or Groups.of(torch.arange(len(states)))
    basis = orthonormal(torch.cat([torch.ones(len(states), 1, dtype=torch.float64), columns], dim=1))
    errors = heldout_least_squares(states.double(), basis, groups)
    base = baseline_residuals(states.double(), groups)
    return errors.square().sum(dim=1), base.square().sum(dim=1)


def explained(states: Float[Tensor, "n d"], columns: Float[Tensor, "n c"], groups: Groups | None = None) -> float:
    """Held-out R² over all dimensions."""
    left, base = heldout_errors(states, columns, groups)
    return float(1 - left.sum() / base.sum())


def renamed_values(loaded: LoadedModel, values: Int[Tensor, " n"], config: CircuitsConfig) -> Int[Tensor, "r n"] | None:
    """The values of the renamed numbers; None where neither the integers nor their digits are tokens of their own."""
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
    questions = [question(domain, name, places[int(value)], places[1]) for name in templates for value in values]
    yield "operand", values, _mean_states(loaded, questions, len(values))
    if toy is None:
        items = tuple(str(value) for value in values.tolist())
        numbers = Domain("numbers", items, statements=STATEMENTS, cyclic=False)
        statements = [statement(numbers, name, index) for name in STATEMENTS for index in range(len(items))]
        yield "statement", values, _mean_states(loaded, statements, len(values))
    tokens = one_token_each(loaded.tokenizer, tuple(str(value) for value in values.tolist()))
    if tokens:
        matrix = loaded.model.get_input_embeddings().weight.detach().cpu()  # type: ignore[union-attr,operator]
        yield "embedding", values, {-1: matrix[list(tokens)].double()}


def _mean_states(loaded: LoadedModel, prompts: Sequence[Prompt], n: int) -> dict[int, Float[Tensor, "n d"]]:
    """State at the number after every block, mean over templates (which come one after the other)."""
    states = layer_states(loaded, encode(loaded.tokenizer, prompts), ("item",))[:, :, 0].double()
    return dict(enumerate(states.unflatten(0, (-1, n)).mean(dim=0).unbind(dim=1)))
