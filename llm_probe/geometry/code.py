"""A code: what the states hold of each label, as the Gram matrix of n vectors.

With H (N, d) the states beyond their nuisances, dimensions of more than twice the median spread scaled down to it
(massive ones would outvote all others), M (n, d) the centred means of the labels' prompts and W (d, d) the covariance
within labels,

    G = M (W + λ tr(W)/d I)⁻¹ Mᵀ

Every test of this room is a function of G. A *sum* is carried by states that hold much else, so the noise of its means
is what prompts of one label have not in common: λ = `SHRINKAGE`. An *item* is the token itself: next to nothing varies
within it, the noise of its circle is everything else about the word, and no covariance of that is known from n words,
so λ is infinite and G = M Mᵀ.

Nuisances: the template; of sums both operands; of sums of written numbers also a spline of the result, its carry and
its ones digit, so that a helix of the integer is gone before anything is compared.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.statistics.dimensions import basis_beyond, fixed_nuisances, nuisance_basis
from toy.maths.regression import residual

SHRINKAGE = 0.01
"""Share of the mean variance within labels that is added to every direction's: few prompts know a covariance badly."""
MOST = 2.0
"""Largest spread of a dimension, in medians of all."""
DECIMAL = 10


def code_nuisances(labels: Labels) -> Float[Tensor, "n q"]:
    """An orthonormal basis of what is taken out of the states; where the period divides ten the ones digit stays."""
    if not labels.has_digits:
        return fixed_nuisances(labels)
    known = nuisance_basis(labels)
    if DECIMAL % labels.period == 0:
        return known
    digit = torch.nn.functional.one_hot(labels.total % DECIMAL, DECIMAL)[:, 1:].double()
    return torch.cat([known, basis_beyond(digit, known)], dim=1)


def code_gram(
    states: Float[Tensor, "n d"], labels: Labels, nuisances: Float[Tensor, "n q"]
) -> Float[Tensor, "labels labels"]:
    """G of the labels' code in the states of one place, float64; zero where the states do not tell labels apart."""
    clean = residual(states.double(), nuisances.to(states.device))
    spread = clean.square().mean(dim=0).sqrt()
    clean = clean * (MOST * spread.median() / spread.clamp_min(1e-300)).clamp_max(1)
    label = labels.label.to(clean.device)
    counts = label.bincount(minlength=labels.period).clamp_min(1)
    means = torch.zeros(labels.period, clean.shape[1], dtype=clean.dtype, device=clean.device)
    means.index_add_(0, label, clean).div_(counts[:, None])
    within = clean - means[label]
    means = means - means.mean(dim=0)
    if labels.quantity == "item":
        return (means @ means.T).cpu()
    covariance = within.T @ within / len(within)
    covariance.diagonal().add_(SHRINKAGE * float(covariance.diagonal().mean()) + 1e-300)
    return (means @ torch.linalg.solve(covariance, means.T)).cpu()
