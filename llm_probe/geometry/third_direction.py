"""The direction beside the plane of a circle in which the labels' means differ most: for pictures, never for a verdict.

Of n class means M (n, d) at one place, each label s is left out in turn. The others give the plane of the circle (the
least-squares cosine and sine) and, beyond it, the leading principal direction v_s. The height of s is

    z_s = (m_s - mean of the others) · v_s / ρ,    ρ² = half the squared lengths of cosine and sine together

so that it counts in radii of the circle and is held out by label, as a point on the plane is: means that have nothing
in common all have a height near 0. All of it is a function of the Gram matrix M Mᵀ, and v_s = c_s M.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toy.maths import fourier


def template_centred(states: Float[Tensor, "n d"], template: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """The states less the mean of their template, float64 on the CPU."""
    states = states.double().cpu()
    counts = template.bincount().clamp_min(1)
    means = torch.zeros(len(counts), states.shape[1], dtype=states.dtype).index_add_(0, template, states)
    return states - (means / counts[:, None])[template]


def class_means(states: Float[Tensor, "n d"], label: Int[Tensor, " n"], period: int) -> Float[Tensor, "labels d"]:
    """The mean state of every label; nan where a label has no prompt."""
    sums = torch.zeros(period, states.shape[1], dtype=states.dtype).index_add_(0, label, states)
    return sums / label.bincount(minlength=period)[:, None]


def third_directions(
    means: Float[Tensor, "labels d"], frequency: int
) -> tuple[Float[Tensor, " labels"], Float[Tensor, "labels d"], Float[Tensor, "labels d"]]:
    """(heights, directions v_s / ρ, what v_s is measured from) of every label; nan where a label has no mean."""
    n = len(means)
    known = ~means[:, 0].isnan()
    heights, (directions, origins) = (
        torch.full((n,), torch.nan, dtype=means.dtype),
        torch.full_like(means, torch.nan)[None].repeat(2, 1, 1),
    )
    centre = means[known].mean(dim=0)
    some = means[known] - centre
    label = torch.arange(n)[known]
    coefficients, others, radius = _coefficients(some @ some.T, fourier.circle(label, frequency, n))
    directions[known], origins[known] = coefficients @ some / radius, others @ some + centre
    heights[known] = ((means - origins) * directions).sum(dim=1)[known]
    return heights, directions, origins


def _coefficients(
    gram: Float[Tensor, "n n"], waves: Float[Tensor, "n 2"]
) -> tuple[Float[Tensor, "n n"], Float[Tensor, "n n"], float]:
    """(c_s, weights of the mean of the others, ρ): row s holds weights of class means."""
    n, one = len(gram), torch.eye(len(gram), dtype=gram.dtype)
    # With each label left out, and last with none.
    kept = torch.cat([1 - one, torch.ones(1, n, dtype=gram.dtype)])
    others = kept / kept.sum(dim=1, keepdim=True)
    design = torch.cat([torch.ones(n, 1, dtype=gram.dtype), waves.to(gram.dtype)], dim=1)
    fit = torch.linalg.pinv(design * kept[:, :, None])[:, 1:]
    square = fit @ gram @ fit.mT
    rest = (one - others[:, None]) * kept[:, :, None]
    rest = rest - rest @ gram @ fit.mT @ torch.linalg.pinv(square) @ fit
    values, vectors = torch.linalg.eigh(rest @ gram @ rest.mT)
    leading = (rest.mT @ vectors[..., -1:])[..., 0] / values[:, -1:].clamp_min(1e-300).sqrt()
    # Each points the way in which that of all labels does.
    along = torch.where(leading @ gram @ leading[-1] < 0, -1.0, 1.0)
    radius = float(square[-1].diagonal().mean().clamp_min(1e-300).sqrt())
    return (leading * along[:, None])[:-1], others[:-1], radius
