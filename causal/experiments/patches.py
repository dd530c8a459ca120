"""Models of the states put in the place of what they explain: does the donor's answer come with its circle?

A basis B(n) of the integer sum n is regressed on the discovery states, h ≈ C B(n) + c, and a causal prompt gets its
donor's part for its own:  h + C (B(n_donor) - B(n_own)). After Kantamneni & Tegmark 2025 (2502.00873, section 4), who
give 84 % of a full patch's logit difference for the helix, 41 % for a polynomial of degree 9 and 17 % for a shuffled
helix in GPT-J (their numbers, of plain addition).

    circles          cos, sin of the claim's accepted frequencies
    helix            n and cos, sin of T = 2, 5, 10, 100
    polynomial       n … n⁹ (Legendre, on the range of the sums)
    shuffled helix   the helix of sums that changed names
    full             the donor's whole state
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from numpy.polynomial.legendre import legvander
from torch import Tensor

from causal.experiments.experiment import Experiment
from causal.interventions.directions import states_at
from causal.interventions.edits import INTERVENTIONS
from causal.interventions.engine import Edits
from causal.run.tables import PatchRow
from llm_probe.activations.answers import Answers, Tokens
from llm_probe.statistics.patterns import targets_of

PERIODS = (2, 5, 10, 100)
DEGREE = 9
PATCHES = ("circles", "helix", "polynomial", "shuffled helix")


def patch_rows(experiment: Experiment) -> Iterator[PatchRow]:
    """A row for every model of the states, and one for the whole state."""
    engine, baseline = experiment.subset
    labels, sums, position = baseline.questions.labels, baseline.questions.sums, experiment.position
    donors = baseline.questions.donors(experiment.config.seed)
    edits: dict[str, Edits] = {}
    quality: dict[str, tuple[int, float]] = {"full": (0, 1.0)}
    for name in PATCHES:
        fits = {node: _moves(experiment, name, node, sums, donors) for node in experiment.sites.at}
        quality[name] = fits[()][1:]
        edits[name] = experiment.sites.edits(
            position, lambda _, node, fits=fits: lambda states, rows: states + fits[node][0][rows].to(states)
        )
    given = {node: engine.states(node)[donors] for node in experiment.sites.at}
    full = INTERVENTIONS["full interchange"]
    edits["full"] = experiment.sites.edits(position, lambda d, node: full.edit(d, given[node]))
    answers = dict(zip(edits, engine.answers(list(edits.values()), experiment.tick), strict=True))
    gain = {name: _difference(after, baseline.clean, labels, donors) for name, after in answers.items()}
    d = experiment.root
    for name, after in answers.items():
        donor, own = (float((after.written == one).double().mean()) for one in (labels[donors], labels))
        share = gain[name] / gain["full"] if gain["full"] else 0.0
        key = (d.domain, d.layer, d.site, position, name)
        yield PatchRow(*key, *quality[name], donor, own, gain[name], share, len(labels))


def columns_of(name: str, sums: Int[Tensor, " n"], experiment: Experiment, most: int) -> Float[Tensor, "n m"]:
    """B(n); `most`: the largest sum of either part, so that both are on one scale."""
    if name == "circles":
        return targets_of(sums, experiment.frequencies, experiment.claim.period)
    if name == "polynomial":
        return torch.from_numpy(legvander((2 * sums.double() / most - 1).numpy(), DEGREE)[:, 1:])
    if name == "shuffled helix":
        names = torch.randperm(most + 1, generator=torch.Generator().manual_seed(experiment.config.seed))
        sums = names[sums]
    angles = [2 * math.pi / period * sums.double() for period in PERIODS]
    # The sine of T = 2 is zero for every whole number.
    waves = [wave for angle in angles for wave in (angle.cos(), angle.sin())]
    return torch.stack([sums.double() / most, *waves[:1], *waves[2:]], dim=1)


def _moves(
    experiment: Experiment, name: str, node: Tokens, sums: Int[Tensor, " n"], donors: Int[Tensor, " n"]
) -> tuple[Float[Tensor, "n d"], int, float]:
    """(C (B(donor) - B(own)), columns, R² on the causal prompts)."""
    discovery, labels = experiment.discovery
    states, rows = states_at(discovery, node)
    states, most = states.double(), int(max(labels.total.max(), sums.max()))
    fit, own = (columns_of(name, one, experiment, most) for one in (labels.total[rows], sums))
    centre = fit.mean(dim=0)
    weights = torch.linalg.pinv(fit - centre) @ (states - states.mean(dim=0))
    tested = experiment.subset[0].states(node).double()
    left = tested - states.mean(dim=0) - (own - centre) @ weights
    r2 = 1 - float(left.square().sum() / (tested - tested.mean(dim=0)).square().sum())
    return (own[donors] - own) @ weights, fit.shape[1], r2


def _difference(after: Answers, before: Answers, labels: Int[Tensor, " n"], donors: Int[Tensor, " n"]) -> float:
    """Mean change of log P(donor's) - log P(own)."""
    rows = torch.arange(len(labels))
    change = after.log_p - before.log_p
    return float((change[rows, labels[donors]] - change[rows, labels]).double().mean())
