"""Which shape do the vectors of n labels have: a circle, clusters, a line, an open arc, a line folded back - or none?

Each shape says how the vectors go together: their Gram matrix is that of independent vectors (every label its own, I)
plus w times a kernel K of the shape, w >= 0,

    circle k     cos(2πk(i - j)/n)
    clusters     1 where i and j are of one class: the named partitions, and every cut of the cycle into runs
    line         x xᵀ of the places x = 0 … n-1, cut open anywhere
    open arc     places and their squares: a bow whose ends do not meet, cut open anywhere
    folded line  distance from any point of the cycle, there and back: warm to cold

all centred and of equal trace. With G the centred Gram matrix of d independent dimensions and S = I + w K, the log
likelihood for each dimension, its scale and w at their best, is

    ℓ_K = max_w -½ (log |S| + (n - 1) log tr(S⁻¹ G))          (on the n - 1 directions beyond the mean)

so that every shape has one parameter and nested in all of them is w = 0, the look-up. Dimensions are not independent;
how many count is estimated as the degrees of freedom D of a Wishart matrix with the spread of eigenvalues that the best
shape leaves. Where a family is cut is not known, so that its likelihood is the mean of exp(D ℓ) over its cuts; a log
likelihood ratio is that of the circle to that of the likeliest other family, in nats. p of the best shape is that of
the largest ℓ over all shapes under other orders of the labels: exact where vectors without geometry are exchangeable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.geometry.order import TIE, orders_within, power_under
from toy.maths import fourier

Family = Literal["circle", "clusters", "runs", "line", "open arc", "folded line"]
WEIGHTS = (0.0, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 4.0, 7.0, 15.0, 50.0, 300.0)
"""w of the kernels: from none of it to nothing but it."""
MOST_CUTS, MOST_RUNS = 26, 13
"""Places where a family is cut, and runs it is cut into: those of 26 labels; of more labels some are left out."""
ORDERS = 199
"""Orders that are drawn for p."""


@dataclass(frozen=True)
class Kernel:
    """One way in which vectors of labels can go together."""

    family: Family
    name: str
    """Of a partition its own; else where it is cut, for reading only."""
    vectors: Float[Tensor, "n m"]
    """Eigenvectors among the n - 1 = m directions beyond the mean."""
    values: Float[Tensor, " m"]
    turned: bool = False
    """In the order of a circle with k > 1, not of the labels."""

    @property
    def scales(self) -> Float[Tensor, "weights m"]:
        """Eigenvalues of S = I + w K at each of `WEIGHTS`."""
        return 1 + torch.tensor(WEIGHTS, dtype=torch.float64)[:, None] * self.values

    def fits(self, power: Float[Tensor, "*b m"]) -> Float[Tensor, "*b weights"]:
        """ℓ at each of `WEIGHTS`, from vᵀ G v of every eigenvector."""
        left = power @ (1 / self.scales).T
        return -(self.scales.log().sum(dim=1) + len(self.values) * left.clamp_min(1e-300).log()) / 2


@dataclass(frozen=True)
class Shapes:
    """What the shapes make of one code."""

    p: float
    """Of the largest likelihood over all shapes under other orders."""
    rival: Family
    """The likeliest family that is no circle."""
    name: str
    """Which of it: of clusters, the partition; else where it is cut."""
    ratio: float
    """Log likelihood ratio of the circle to that family, nats; negative where the rival is likelier."""
    together: float
    """The same of the circles of several frequencies together, where that is likelier than the one alone."""
    families: int
    """Families that are no circle, of which the likeliest was taken."""


def shapes(
    gram: Float[Tensor, "n n"],
    frequency: int,
    frequencies: Sequence[int],
    partitions: Mapping[str, Sequence[int]],
    kinds: Sequence[int] = (),
    seed: int = 0,
    several: Sequence[int] = (),
) -> Shapes:
    """Compare the circle of the judged `frequency` with every other shape.

    `several`: frequencies that may stand together. Networks that add often hold several circles at once, whose vectors
    look like runs of neighbours to each circle alone; so `together` is also of the sum of theirs, each weighted by its
    power, at the price of ½ log(D (n - 1)) for every further one (BIC).

    Shapes that are no partition run in the order of the labels; as rivals of a circle with k > 1 also in the order of
    that circle. `p` is of the shapes in the order of the labels and the circles of all `frequencies`, among which the
    judged one was chosen.
    """
    n = len(gram)
    named = tuple((name, tuple(classes)) for name, classes in partitions.items())
    kernels = _kernels(n, frequency, tuple(frequencies), named)
    generator = torch.Generator().manual_seed(seed)
    orders = orders_within((0,) * n, kinds or (0,) * n, ORDERS, generator)
    natural = [kernel for kernel in kernels if not kernel.turned]
    largest = torch.stack([_log_likelihood(gram, orders, kernel) for kernel in natural]).amax(dim=0)
    own = torch.cat([_log_likelihood(gram, orders[:1], kernel) for kernel in kernels])
    freedom = _degrees_of_freedom(gram, kernels[int(own.argmax())])
    families: dict[str, list[int]] = {}
    for index, kernel in enumerate(kernels):
        if kernel.family != "circle":
            families.setdefault(kernel.name if kernel.family == "clusters" else kernel.family, []).append(index)
    # Where a family is cut is not known beforehand: its likelihood is the mean over its cuts.
    of_family = {
        key: float((freedom * own[members]).logsumexp(dim=0)) - math.log(len(members))
        for key, members in families.items()
    }
    key = max(of_family, key=of_family.__getitem__)
    rival = kernels[max(families[key], key=own.__getitem__)]
    alone = together = freedom * float(own[0])
    if len(several) > 1:
        fit = float(_log_likelihood(gram, orders[:1], _circles(gram, several)))
        together = max(alone, freedom * fit - (len(several) - 1) / 2 * math.log(freedom * (n - 1)))
    p = float((largest >= largest[0] - TIE).double().mean())
    return Shapes(p, rival.family, rival.name, alone - of_family[key], together - of_family[key], len(of_family))


def _circles(gram: Float[Tensor, "n n"], frequencies: Sequence[int]) -> Kernel:
    """The circles of several frequencies, each with the power it has in the code."""
    n = len(gram)
    labels = torch.arange(n)
    matrix = torch.zeros(n, n, dtype=torch.float64)
    for k in frequencies:
        waves = fourier.circle(labels, k, n)
        matrix += float((waves * (gram @ waves)).sum()) * (waves @ waves.T)
    return next(_different([("circle", "several", False, matrix)], n))


def _log_likelihood(
    gram: Float[Tensor, "n n"], orders: Int[Tensor, "orders n"], kernel: Kernel
) -> Float[Tensor, " orders"]:
    """ℓ of one shape under every order of the labels, a dimension."""
    return kernel.fits(power_under(gram, kernel.vectors, orders)).amax(dim=1)


def _degrees_of_freedom(gram: Float[Tensor, "n n"], kernel: Kernel) -> float:
    """D of the Wishart law whose eigenvalues are spread as those of S^(-½) G S^(-½), S the shape at its best."""
    m = len(kernel.values)
    projected = kernel.vectors.T @ gram @ kernel.vectors
    root = kernel.scales[int(kernel.fits(projected.diagonal()).argmax())].rsqrt()
    white = projected * root[:, None] * root
    ratio = float(white.diagonal().sum() ** 2 / white.square().sum().clamp_min(1e-300))
    # E tr W² = D m (D + m + 1), E (tr W)² = (D m)² + 2 D m.
    return ratio * (m + 1) / max(m - ratio, 1e-3) if ratio > 1 else 1.0


@lru_cache(maxsize=64)
def _kernels(
    n: int, frequency: int, frequencies: tuple[int, ...], partitions: tuple[tuple[str, tuple[int, ...]], ...]
) -> tuple[Kernel, ...]:
    """Every shape of n labels, the judged circle first; of two that are the same matrix the first stands."""
    labels = torch.arange(n)
    matrices: list[tuple[Family, str, bool, Tensor]] = []
    for k in (frequency, *(k for k in frequencies if k != frequency)):
        angle = 2 * math.pi * k / n * labels.double()
        matrices.append(("circle", f"k = {k}", False, (angle[:, None] - angle).cos()))
    for name, classes in partitions:
        matrices.append(("clusters", name, False, _same(torch.tensor(classes))))
    for k in dict.fromkeys((1, frequency)):
        for family, name, matrix in _cut_shapes((k * labels) % n):
            matrices.append((family, name, k != 1, matrix))
    return tuple(_different(matrices, n))


def _cut_shapes(place: Int[Tensor, " n"]) -> Iterator[tuple[Family, str, Float[Tensor, "n n"]]]:
    """The shapes that can be cut anywhere, of labels that stand at these places of the cycle."""
    n = len(place)
    for runs in range(2, min(n // 2, MOST_RUNS) + 1):
        cuts = torch.tensor([round(i * n / runs) for i in range(1, runs + 1)])
        base = torch.searchsorted(cuts, torch.arange(n), right=True)
        for start in _some(-(-n // runs)):
            yield "runs", f"{runs} runs of neighbours", _same(base.roll(start)[place])
    for start in _some(n):
        x = ((place - start) % n).double()
        yield "line", f"from {start}", _span(x[:, None])
        yield "open arc", f"from {start}", _span(torch.stack([x, x.square()], dim=1))
    for half in _some(n):
        # Distances from c and from c + n/2 are the same line.
        distance = (place.double() - half / 2 + n / 2) % n - n / 2
        yield "folded line", f"at {half / 2:g}", _span(distance.abs()[:, None])


def _some(count: int) -> list[int]:
    """0 … count - 1, thinned evenly where there are many."""
    step = max(1, -(-count // MOST_CUTS))
    return list(range(0, count, step))


def _same(classes: Int[Tensor, " n"]) -> Float[Tensor, "n n"]:
    return (classes[:, None] == classes).double()


def _span(columns: Float[Tensor, "n c"]) -> Float[Tensor, "n n"]:
    """The projection on the centred columns."""
    basis = torch.linalg.qr(columns - columns.mean(dim=0)).Q
    return basis @ basis.T


def _different(matrices: Sequence[tuple[Family, str, bool, Float[Tensor, "n n"]]], n: int) -> Iterator[Kernel]:
    centre = torch.eye(n, dtype=torch.float64) - 1 / n
    # An orthonormal basis of the directions beyond the mean.
    beyond = torch.linalg.eigh(centre).eigenvectors[:, 1:]
    known: set[bytes] = set()
    for family, name, turned, matrix in matrices:
        small = beyond.T @ matrix @ beyond
        if float(small.trace()) < TIE:
            continue
        small = small * (n - 1) / small.trace()
        # Rounded, and without the sign of zero.
        key = (small.mul(1e6).round() + 0.0).numpy().tobytes()
        if key in known:
            continue
        known.add(key)
        values, vectors = torch.linalg.eigh(small)
        yield Kernel(family, name, beyond @ vectors, values.clamp_min(0), turned)
