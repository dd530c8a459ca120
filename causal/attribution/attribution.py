"""Where the answer is decided: at which layer and position, and by which heads and MLPs.

`layer_map` exchanges the whole state at one layer and position for that of a prompt that differs in the last digit of
its first operand (`donors`); the answer is the donor's, the prompt's own, or neither. At the first operand the share of
donor answers falls over the layers as what is known of it moves on; at the last token it rises. `attribution` does
attribution patching of all components and activation patching of some; with m as in `donors`,

    exact         E[m(clean, this component's output z at this position replaced by the donor's) - m(clean)]
                  activation patching: one forward a component
    first order   E[(z_donor - z_clean) · ∂m/∂z]
                  attribution patching (Nanda 2023, neelnanda.io/mechanistic-interpretability/attribution-patching;
                  Syed et al. 2023, 2310.10348, eq. 2): one forward and backward for all components at once
    screen        the same with ∂m/∂z averaged over embeddings (1 - t) clean + t donor, at five midpoints of [0, 1]
                  (integrated gradients on the inputs: Hanna et al. 2024, 2403.17806)

The slope at the clean prompt misses what saturates. Whether the screen does is measured: the exact effect is computed
for the ten largest of the screen *and* for twenty others at random, and `agreement` is Spearman's correlation among
each. Components whose output cannot matter - the screen is exactly 0 for every prompt: no path to the answer, or no
difference from the donor - are not sampled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causal.attribution.components import Point, plane_shares, points, rewriting
from causal.attribution.donors import Pairs, difference, donor, pairs, positions_of
from causal.attribution.tables import AgreementRow, AttributionRow
from causal.experiments.effects import spearman
from causal.experiments.experiment import Tick
from causal.interventions.directions import Directions
from causal.interventions.engine import Engine
from causal.interventions.questions import Questions, ask
from causal.run.tables import MapRow
from llm_probe.models.loading import LoadedModel, evaluating
from llm_probe.questions.claims import Claim
from toy.maths.intervals import mean_interval

TOP, RANDOM = 10, 20
"""Components whose exact effect is measured: the largest of the screen, and others."""
PATH = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Where on the way from prompt to donor the gradient is taken."""
Where = tuple[str, int, str]
"""Name of the point, part of it, position."""


def layer_map(loaded: LoadedModel, claim: Claim, questions: Questions, tick: Tick = lambda count: None) -> list[MapRow]:
    """Rows of every layer and position."""
    donors = ask(loaded, [donor(claim, prompt) for prompt in questions.prompts], claim.domain.items)
    lengths = zip(questions.items, donors.items, strict=True)
    kept = [row for row, (one, other) in enumerate(lengths) if len(one.ids) == len(other.ids)]
    if not kept:
        return []
    questions, donors = questions.take(kept), donors.take(kept)
    rows = []
    for layer in range(len(loaded.layers)):
        for position in positions_of(questions):
            states = Engine(loaded, donors, layer, position=position).states()
            engine = Engine(loaded, questions, layer, position=position)
            after = engine.answers([lambda h, which, states=states: states[which].to(h)], tick)[0]
            share, own = (float((after.written == one.labels).double().mean()) for one in (donors, questions))
            rows.append(MapRow(claim.domain.name, layer, position, "full", share, own, len(kept)))
    return rows


def attribution(
    loaded: LoadedModel,
    claim: Claim,
    questions: Questions,
    directions: Directions | None,
    *,
    seed: int,
    tick: Tick = lambda count: None,
) -> list[AttributionRow]:
    """A row for every component and position; none where no prompt has a donor. `tick` is told of forwarded prompts."""
    positions = positions_of(questions)
    batches = list(pairs(loaded, claim, questions, positions))
    if not batches:
        return []
    every, missing = points(loaded)
    if missing:
        print(missing, file=sys.stderr)
    with evaluating(loaded.model):
        first, screened, whole = screen(loaded, batches, every, positions, tick)
        chosen = sample(screened, seed)
        measured = exact(loaded, batches, every, positions, list(chosen), tick)
    shares = {} if directions is None else plane_shares(loaded, questions, directions)
    units = questions.pairs[torch.cat([batch.rows for batch in batches])]
    kinds, rows = {point.name: point for point in every}, []
    for (name, part, position), values in screened.items():
        where, point = (name, part, position), kinds[name]
        effect, ends = None, (None, None)
        if where in measured:
            effect, ends = float(measured[where].mean()), mean_interval(measured[where], units, seed)
        share = shares.get((name, part)) if directions and position == directions.position else None
        rows.append(
            AttributionRow(
                claim.domain.name, point.layer, point.kind, part if point.kind == "head" else None, position,
                float(values.mean()), float(first[where].mean()), effect, *ends, chosen.get(where, "not measured"),
                whole, share, len(values),
            )
        )  # fmt: skip
    return rows


def agreement(rows: Sequence[AttributionRow]) -> list[AgreementRow]:
    """Screen against exact effect among the top, the random and all measured components of one domain."""
    compared = []
    for among, kinds in {"top": ("top",), "random": ("random",), "both": ("top", "random")}.items():
        if some := [row for row in rows if row.drawn in kinds]:
            screened, first, exact = (
                [getattr(row, name) for row in some] for name in ("screen", "first_order", "exact")
            )
            ranks, largest = (spearman(screened, exact), spearman(first, exact)), max(map(abs, exact))
            compared.append(AgreementRow(rows[0].domain, among, len(some), *ranks, largest))
    return compared


def screen(
    loaded: LoadedModel, batches: Sequence[Pairs], every: Sequence[Point], positions: Sequence[str], tick: Tick
) -> tuple[dict[Where, Float[Tensor, " n"]], dict[Where, Float[Tensor, " n"]], float]:
    """Effect of every component on every prompt, to first order and integrated; effect of the whole donor prompt."""
    start = Point(0, "stream", loaded.layers[0], 1)
    first: dict[Where, list[Tensor]] = {}
    integrated: dict[Where, list[Tensor]] = {}
    whole = []
    for batch in batches:
        with torch.no_grad():
            donor_values, after = _read(loaded, batch, batch.donor_ids, [*every, start])
            own_values, before = _read(loaded, batch, batch.ids, [*every, start])
        whole.append((after - before).double().cpu())
        ends = own_values[start.name], donor_values[start.name]
        at_prompt, *on_path = (_slopes(loaded, batch, every, start, torch.lerp(*ends, t)) for t in (0.0, *PATH))
        for index, point in enumerate(every):
            change = _at((donor_values[point.name] - own_values[point.name]).double(), batch)
            path = torch.stack([one[index] for one in on_path]).mean(dim=0)
            for collected, slope in (first, at_prompt[index]), (integrated, path):
                effects = point.split(change * slope).sum(dim=-1).cpu()
                for column, position in enumerate(positions):
                    for part in range(point.parts):
                        collected.setdefault((point.name, part, position), []).append(effects[:, column, part])
        tick((3 + len(PATH)) * len(batch.rows))
    return _concatenated(first), _concatenated(integrated), float(torch.cat(whole).mean())


def _slopes(
    loaded: LoadedModel, batch: Pairs, every: Sequence[Point], start: Point, stream: Float[Tensor, "n length d"]
) -> list[Float[Tensor, "n positions w"]]:
    """∂m/∂z of every point, where the first block is given this stream."""
    with torch.enable_grad():
        seen, differences = _read(loaded, batch, batch.ids, [*every, start], stream, graph=True)
        slopes = torch.autograd.grad(differences.sum(), [seen[point.name] for point in every])
    return [_at(slope.double(), batch) for slope in slopes]


def sample(screened: Mapping[Where, Float[Tensor, " n"]], seed: int) -> dict[Where, str]:
    """Which components are measured exactly, and why: the largest of the screen, and random others."""
    sizes = {where: abs(float(values.mean())) for where, values in screened.items() if bool(values.any())}
    ordered = sorted(sizes, key=lambda where: -sizes[where])
    others = ordered[TOP:]
    order = torch.randperm(len(others), generator=torch.Generator().manual_seed(seed)).tolist()
    return dict.fromkeys(ordered[:TOP], "top") | {others[index]: "random" for index in order[:RANDOM]}


@torch.no_grad()
def exact(
    loaded: LoadedModel,
    batches: Sequence[Pairs],
    every: Sequence[Point],
    positions: Sequence[str],
    chosen: Sequence[Where],
    tick: Tick,
) -> dict[Where, Float[Tensor, " n"]]:
    """Measured effect of each chosen component on every prompt."""
    by_name = {point.name: point for point in every}
    parts: dict[Where, list[Tensor]] = {where: [] for where in chosen}
    for batch in batches:
        donor_values, _ = _read(loaded, batch, batch.donor_ids, every)
        _, before = _read(loaded, batch, batch.ids, [])
        for name, part, position in chosen:
            point, column = by_name[name], batch.columns[:, positions.index(position)]
            edit = _from_donor(point, part, column, donor_values[name])
            with rewriting({name: point}, edit):
                after = difference(loaded, batch, batch.ids)
            parts[name, part, position].append((after - before).double().cpu())
            tick(len(batch.rows))
    return _concatenated(parts)


def _from_donor(
    point: Point, part: int, column: Int[Tensor, " n"], donor: Float[Tensor, "n length w"]
) -> Callable[[str, Tensor], Tensor]:
    """The edit that gives one part of a point the donor's values in one column of each prompt."""
    rows = torch.arange(len(column), device=column.device)

    def edit(_: str, clean: Tensor) -> Tensor:
        new = point.split(clean).clone()
        new[rows, column, part] = point.split(donor)[rows, column, part]
        return new.flatten(-2)

    return edit


def _read(
    loaded: LoadedModel,
    batch: Pairs,
    ids: Int[Tensor, "n length"],
    every: Sequence[Point],
    stream: Float[Tensor, "n length d"] | None = None,
    *,
    graph: bool = False,
) -> tuple[dict[str, Tensor], Float[Tensor, " n"]]:
    """What every point holds, and m; with `graph` m can be differentiated by each, `stream` is given to a block."""
    kinds = {point.name: point for point in every}
    seen: dict[str, Tensor] = {}

    def keep(name: str, values: Tensor) -> Tensor:
        values = stream if stream is not None and kinds[name].kind == "stream" else values
        # Where weights want no gradient the graph begins at the first point.
        seen[name] = values.detach().requires_grad_() if graph and not values.requires_grad else values
        return seen[name]

    with rewriting(kinds, keep):
        differences = difference(loaded, batch, ids)
    return seen, differences


def _concatenated(parts: Mapping[Where, Sequence[Tensor]]) -> dict[Where, Float[Tensor, " n"]]:
    """Batches one after the other."""
    return {where: torch.cat(list(some)) for where, some in parts.items()}


def _at(values: Float[Tensor, "n length w"], batch: Pairs) -> Float[Tensor, "n positions w"]:
    return values[torch.arange(len(values), device=values.device)[:, None], batch.columns]
