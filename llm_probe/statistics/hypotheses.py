"""Named rivals of "the residue lies on a circle": what else, made of the same operands, looks like one?

Averaged over a residue class, a digit-count step or a carry is nearly a cosine, so the question is put per prompt and
beyond the nuisances Z (template and one-hot operands, `dimensions.fixed_nuisances`; spline and carry *are* hypotheses
here). With Y = M_Z responses (n, r), C the circle's columns and H a hypothesis', every share is of ||Y||² summed over
the responses (Frisch-Waugh-Lovell):

    circle             ||Q_C^T Y||²,    Q_C = orth(M_Z C)          circle_beyond      ||orth(M_{Z,H} C)^T Y||²
    hypothesis         ||Q_H^T Y||²,    Q_H = orth(M_Z H)          hypothesis_beyond  ||orth(M_{Z,C} H)^T Y||²

Beyond one-hot operands some names mean the same column (`aliases`): for a + b the quotient is the wrap, and -s/p
besides: a sawtooth in the label, contained in its parabola. Hypotheses are judged one at a time: where two are carried
at once, each one's share holds what it has in common with the other.

Shapes: columns (n, c), c = 0 where a hypothesis does not apply; symbols: operands a, b, integer result n = a op b,
period p, label s = n mod p. Carry and digit count ask about *written* operands (`has_digits`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.statistics.dimensions import basis_beyond
from toy.maths import fourier
from toy.maths.regression import bic_gain, residual


def is_sum(labels: Labels) -> bool:
    """Whether the integer result is a + b."""
    return labels.quantity == "sum" and bool((labels.total == labels.first + labels.offset).all())


def is_difference(labels: Labels) -> bool:
    """Whether the integer result is a - b (and not, on offsets of zero only, also a + b)."""
    subtracts = bool((labels.total == labels.first - labels.offset).all())
    return labels.quantity == "sum" and not is_sum(labels) and subtracts


def mirrored_total(labels: Labels) -> Int[Tensor, " n"]:
    """The other operation on the same operands: a + b where the claim is about a - b, else a - b."""
    return labels.first + labels.offset if is_difference(labels) else labels.first - labels.offset


def _difference(labels: Labels, frequency: int) -> Float[Tensor, "n c"]:
    """The circle of the mirrored operation at the same frequency."""
    if labels.quantity == "item":
        return _nothing(labels)
    return fourier.design(mirrored_total(labels), frequency, labels.period)


def _carry(labels: Labels, frequency: int) -> Float[Tensor, "n c"]:
    """Carries out of units and tens; of a difference, the borrows."""
    if not labels.has_digits or not (is_sum(labels) or is_difference(labels)):
        return _nothing(labels)
    places = [(labels.first % size, labels.offset % size, size) for size in (10, 100)]
    if is_sum(labels):
        return _columns(*(first + offset >= size for first, offset, size in places))
    return _columns(*(first < offset for first, offset, _ in places))


def _quotient(labels: Labels, frequency: int) -> Float[Tensor, "n c"]:
    """floor(n / p)."""
    return _columns(torch.div(labels.total, labels.period, rounding_mode="floor"))


def _wrap(labels: Labels, frequency: int) -> Float[Tensor, "n c"]:
    """[s < a mod p]: the residues' sum passed p; of a difference, [s > a mod p]."""
    if is_sum(labels):
        return _columns(labels.label < labels.first % labels.period)
    return _columns(labels.label > labels.first % labels.period) if is_difference(labels) else _nothing(labels)


def _parabola(labels: Labels, frequency: int) -> Float[Tensor, "n c"]:
    """s and s²."""
    return _columns(labels.label, labels.label**2)


def _digit_count(labels: Labels, frequency: int) -> Float[Tensor, "n c"]:
    """Digits of n, and of a times those of b; one-hot operands absorb the digits of a and of b themselves."""
    if not labels.has_digits:
        return _nothing(labels)
    first, offset, total = (_digits(values) for values in (labels.first, labels.offset, labels.total))
    return _columns(first, offset, total, first * offset)


def _magnitude(labels: Labels, frequency: int) -> Float[Tensor, "n c"]:
    """n, n² and log(1 + n), odd where n is negative."""
    total = labels.total.double()
    return _columns(total, total.square(), total.sign() * total.abs().log1p())


def _digits(values: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """How many decimal digits |values| have; 0 has one."""
    return torch.tensor([len(str(abs(value))) for value in values.tolist()])


def _columns(*columns: Tensor) -> Float[Tensor, "n c"]:
    return torch.stack([column.double() for column in columns], dim=1)


def _nothing(labels: Labels) -> Float[Tensor, "n 0"]:
    return torch.zeros(len(labels.label), 0, dtype=torch.float64)


HYPOTHESES: dict[str, Callable[[Labels, int], Float[Tensor, "n c"]]] = {
    "difference": _difference,
    "carry": _carry,
    "quotient": _quotient,
    "wrap": _wrap,
    "parabola": _parabola,
    "digit_count": _digit_count,
    "magnitude": _magnitude,
}
"""Name to columns from labels and the circle's frequency; of two that coincide the first gives the name."""


@dataclass(frozen=True)
class Share:
    """One hypothesis beside one circle: shares of the squared responses that the nuisances leave."""

    hypothesis: float
    hypothesis_beyond: float
    """Of the hypothesis beyond the circle."""
    circle: float
    circle_beyond: float
    """Of the circle beyond the hypothesis."""
    chance: float
    """What the hypothesis' columns explain of noise on average: columns / dimensions left by the nuisances."""
    columns: int
    """Columns of the hypothesis that the nuisances do not absorb."""
    bic: float
    """BIC gain of the hypothesis over the nuisances alone, one variance for all responses."""
    aliases: tuple[str, ...] = ()
    """Hypotheses that are the same columns beyond the nuisances."""


def explained(
    responses: Float[Tensor, "n r"], labels: Labels, frequency: int, nuisances: Float[Tensor, "n q"]
) -> dict[str, Share]:
    """Every hypothesis that applies to these labels beside the circle of `frequency`.

    Args:
        responses: any n x r responses, residual of the nuisances or not. Sums of squares are pooled, so scale them
            to the weights they are to have: massive dimensions would outvote all others.
        nuisances: an orthonormal basis, as `dimensions.fixed_nuisances` gives.
    """
    y = residual(responses.double(), nuisances.to(responses.device))
    total = float(y.square().sum())
    circle = basis_beyond(fourier.design(labels.label, frequency, labels.period), nuisances)
    bases = {name: basis_beyond(columns(labels, frequency), nuisances) for name, columns in HYPOTHESES.items()}
    shares = {}
    for name, basis in bases.items():
        if basis.shape[1] == 0:
            continue
        share = _share(y, total, basis)
        shares[name] = Share(
            hypothesis=share,
            hypothesis_beyond=_share(y, total, basis_beyond(basis, circle)),
            circle=_share(y, total, circle),
            circle_beyond=_share(y, total, basis_beyond(circle, basis)),
            chance=basis.shape[1] / (len(y) - nuisances.shape[1]),
            columns=basis.shape[1],
            bic=float(bic_gain(torch.tensor([share]), y.numel(), basis.shape[1] * y.shape[1])),
        )
    return {name: replace(share, aliases=_aliases(name, bases)) for name, share in shares.items()}


def best_rival(shares: Mapping[str, Share]) -> tuple[str, Share] | None:
    """The hypothesis of largest BIC gain; None where none is worth its columns.

    Not the largest share: the parabola contains the quotient, so that a stream of quotients would be called a parabola
    whenever noise gave the second column anything. BIC asks that a column earn more than log(n) (per response).
    """
    worth = [(name, share) for name, share in shares.items() if share.bic > 0]
    return max(worth, key=lambda pair: pair[1].bic, default=None)


def explanation(shares: Mapping[str, Share]) -> tuple[str, Share] | None:
    """The best of the hypotheses that explain the circle away; None where none does.

    It need not be the best rival: a stream may hold most of a - b, which takes nothing from the circle of a + b, and
    somewhat less of a magnitude, which takes all of it.
    """
    return best_rival({name: share for name, share in shares.items() if explained_away(share)})


def explained_away(share: Share) -> bool:
    """Whether the circle's share is the hypothesis' rather than its own.

    Each side keeps a part of its share once the other is known: kept = beyond / own. The circle gives way if it keeps
    less than half and less than the hypothesis keeps; both cannot give way at once. It does not say that no circle is
    left (`circle_beyond` does), and a circle at the level of chance may give way to anything.
    """
    return _gives_way(share.circle, share.circle_beyond, share.hypothesis, share.hypothesis_beyond)


def explains_away(share: Share) -> bool:
    """The mirror image: whether the hypothesis' share is the circle's rather than its own."""
    return _gives_way(share.hypothesis, share.hypothesis_beyond, share.circle, share.circle_beyond)


def _gives_way(own: float, own_beyond: float, other: float, other_beyond: float) -> bool:
    # beyond / own against beyond / own, cross-multiplied: a share of zero has nothing to give.
    return own_beyond < own / 2 and own_beyond * other < other_beyond * own


def _share(y: Float[Tensor, "n r"], total: float, basis: Float[Tensor, "n k"]) -> float:
    return float((basis.to(y).T @ y).square().sum()) / total if total > 0 else 0.0


def _aliases(name: str, bases: Mapping[str, Float[Tensor, "n _"]]) -> tuple[str, ...]:
    """Other names whose bases span the same space: equal rank, and every direction of one lies in the other."""
    own = bases[name]
    return tuple(
        other
        for other, basis in bases.items()
        if other != name and basis.shape == own.shape and float((basis.T @ own).square().sum()) > own.shape[1] - 1e-6
    )
