"""Which frequencies a network computes with: four rules, because published numbers use four and they can differ.

embedding, w_l   frequencies whose share of the matrix' centred power is more than a flat matrix gives. In a matrix
                 of independent normal entries the share of c basis rows is Beta(c d/2, (n-1-c) d/2). d is counted as
                 the participation ratio (Σ λ)² / Σ λ² of the squared singular values λ, so that a matrix whose columns
                 move together is not taken for more evidence than it is. The line is drawn where one of the K
                 frequencies exceeds it with probability 0.001: an untrained network has no key.
logits           more than 1 % of the logit variance along cos w_k(s - c), s the right answer.
neurons          Nanda's rule: each neuron belongs to the frequency that explains most of its variance; a frequency
                 is key if 1 % of the neurons (at least two) belong to it with more than half of their variance.
                 An untrained neuron is near f(a) + f(b) with f noise, whose share at a frequency is Beta(1, (n-3)/2)
                 and above half with probability 2^-((n-3)/2): 1 % at 16 tokens, nothing at 113. On short circles as
                 many neurons are asked for as chance gives once in a thousand networks.

n positions, K = floor(n/2), c = 2 columns a frequency (one at the Nyquist frequency of an even n). Frequencies count
from 1; lists begin with the strongest. Nanda et al. 2023 (2301.05217), §4.1 and §4.3.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from toy.analysis import spectra
from toy.analysis.readout import Readout

FAMILY_WISE = 1e-3
LOGIT_SHARE = 0.01
NEURON_SHARE = 0.5
NEURON_COUNT = 0.01

RULES = {
    "embedding": "share of the centred power of W_E above what a flat matrix of the same effective rank gives "
    f"(Beta quantile, family-wise {FAMILY_WISE:g})",
    "w_l": "share of the centred power of W_L = W_out W_U above what a flat matrix of the same effective rank gives "
    f"(Beta quantile, family-wise {FAMILY_WISE:g})",
    "logits": f"more than {LOGIT_SHARE:.0%} of the logit variance along cos w_k(s - c)",
    "neurons": f"explains most, and more than {NEURON_SHARE:.0%}, of the variance of at least {NEURON_COUNT:.0%} of "
    "the neurons (at least two, and on short circles more than noise neurons would be)",
}
"""What each rule says, printed beside its result."""


def of_matrix(rows: Float[Tensor, "n d"]) -> list[int]:
    """Keys of a matrix whose rows lie along the circle (the rules `embedding` and `w_l`)."""
    shares, width, n = spectra.matrix_shares(rows), effective_rank(rows), len(rows)
    above = [k for k, share in enumerate(shares.tolist(), start=1) if share > share_threshold(n, width, k)]
    return spectra.strongest(shares, above)


def share_threshold(n: int, width: float, frequency: int = 1) -> float:
    """The share that a frequency must exceed in a matrix of n rows and this effective rank.

    Infinite where the circle is too short to leave any room for noise.
    """
    from scipy import stats  # takes a second to import

    columns = 1 if 2 * frequency == n else 2
    if n - 1 <= columns or width == 0:
        return math.inf
    return float(stats.beta.isf(FAMILY_WISE / (n // 2), columns * width / 2, (n - 1 - columns) * width / 2))


def effective_rank(rows: Float[Tensor, "n d"]) -> float:
    """Participation ratio of the centred matrix: how many equally strong directions it amounts to; 0 if constant."""
    centred = rows.double() - rows.double().mean(dim=0)
    values = torch.linalg.svdvals(centred).square()
    if float(values.sum()) <= 1e-24 * float(rows.double().square().sum()):
        return 0.0
    return float(values.sum().square() / values.square().sum())


def of_logits(readout: Readout) -> list[int]:
    """Keys by the share of the logit variance."""
    shares = spectra.logit_shares(readout)
    return spectra.strongest(shares, [k for k, share in enumerate(shares.tolist(), start=1) if share > LOGIT_SHARE])


def of_neurons(shares: Float[Tensor, "k m"], n: int) -> list[int]:
    """Keys by Nanda's rule, from `spectra.grid_shares` of the neurons; the frequency of most neurons first."""
    belongs, needed = neurons_by_frequency(shares), neurons_needed(shares.shape[1], n)
    return sorted((k for k, count in belongs.items() if count >= needed), key=lambda k: -belongs[k])


def neurons_by_frequency(shares: Float[Tensor, "k m"]) -> dict[int, int]:
    """How many neurons have most, and more than half, of their variance at each frequency."""
    best = shares.max(dim=0)
    chosen = best.indices[best.values > NEURON_SHARE] + 1
    frequencies, counts = chosen.unique(return_counts=True)
    return dict(zip(frequencies.tolist(), counts.tolist(), strict=True))


def neurons_needed(m: int, n: int) -> int:
    """How many of m neurons must belong to a frequency of a circle of n."""
    from scipy import stats

    by_chance = min(1.0, (1 - NEURON_SHARE) ** ((n - 3) / 2))
    beyond_chance = int(stats.binom.isf(FAMILY_WISE / (n // 2), m, by_chance)) + 1
    return max(2, math.ceil(NEURON_COUNT * m), beyond_chance)


def all_rules(readout: Readout, neuron_shares: Float[Tensor, "k m"]) -> dict[str, list[int]]:
    """Each rule's keys, by the names of `RULES`."""
    return {
        "embedding": of_matrix(readout.embedding),
        "w_l": of_matrix(readout.W_L.T),
        "logits": of_logits(readout),
        "neurons": of_neurons(neuron_shares, readout.size),
    }
