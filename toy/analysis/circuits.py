"""What single parts of the network do: neurons along a path, heads on the grid, frequencies of a composite circle.

neuron path        a runs round the circle with b fixed: peak = its largest power at one frequency, phase φ of
                   cos(w_k a - φ) there, purity = peak / power of all frequencies                   (seed 000)
neurons explained  share of the live neurons with more than 85 % of their variance on the grid at one frequency
                   (Nanda et al. §4.3); beside it the same for a frequency and its double, because squaring or
                   rectifying a cosine makes its double
attention          share of the variance of a head's attention from "=" to operand a at its best frequency
subgroups          cos w_k s on Z_n has n / gcd(k, n) different values: it sees s only modulo that order
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from toy.analysis import keys, spectra
from toy.analysis.readout import Readout
from toy.maths import fourier

EXPLAINED = 0.85
RANKED = 20


def neurons(readout: Readout, shares: Float[Tensor, "k m"]) -> dict[str, Any]:
    """Frequencies of the neurons, from `spectra.grid_shares` of them; frequency 0 marks a dead one."""
    live = shares.sum(dim=0) > 0
    best = shares.max(dim=0)
    explained = best.values[live] > EXPLAINED
    return {
        "n_neurons": shares.shape[1],
        "n_dead_neurons": int((~live).sum()),
        "n_neurons_explained": int(explained.sum()),
        "neurons_explained": _mean(explained),
        "neurons_explained_with_double": _mean(_with_double(shares, readout.size)[live] > EXPLAINED),
        "neuron_share_median": float(best.values[live].median()) if live.any() else None,
        "neuron_frequencies": torch.where(live, best.indices + 1, 0).tolist(),
        "neuron_shares": best.values.tolist(),
        "neurons_by_frequency": {str(k): count for k, count in keys.neurons_by_frequency(shares).items()},
    }


def rank_neurons(readout: Readout, fixed: int = 0, count: int = RANKED) -> dict[str, Any]:
    """The neurons of largest peak power along a = 0 … n-1 with b at position `fixed`, and the median purity of all."""
    path = readout.neurons[:, fixed].double()
    power = fourier.power(path)
    peak, total = power.max(dim=0), power.sum(dim=0)
    live = spectra.is_live(total)
    purity = peak.values / total.clamp_min(1e-300)
    order = peak.values.argsort(descending=True)[: min(count, int(live.sum()))]
    ranking = [
        {
            "neuron": neuron,
            "frequency": (frequency := int(peak.indices[neuron]) + 1),
            "peak_power": float(peak.values[neuron]),
            "phase": float(fourier.phase(path[:, neuron : neuron + 1], frequency)),
            "purity": float(purity[neuron]),
        }
        for neuron in order.tolist()
    ]
    return {"neuron_ranking": ranking, "neuron_purity_median": float(purity[live].median()) if live.any() else None}


def attention_periodicity(readout: Readout) -> list[dict[str, Any]] | None:
    """Per head of the first block the frequency that explains its attention to operand a best; None without heads."""
    if readout.attention is None:
        return None
    shares = spectra.grid_shares(readout.attention[..., 0])
    best = shares.max(dim=0)
    return [
        {"head": head, "frequency": int(best.indices[head]) + 1, "share": float(best.values[head])}
        for head in range(shares.shape[1])
    ]


def subgroups(n: int, logit_shares: Float[Tensor, " k"], key_frequencies: list[int]) -> list[dict[str, Any]]:
    """Frequencies by the order n / gcd(k, n) of their character, with the logit variance of each order."""
    by_order: dict[int, list[int]] = {}
    for k in fourier.frequencies(n):
        by_order.setdefault(n // math.gcd(k, n), []).append(k)
    return [
        {
            "order": order,
            "frequencies": frequencies,
            "logit_share": float(logit_shares[torch.tensor(frequencies) - 1].sum()),
            "keys": [k for k in key_frequencies if k in frequencies],
        }
        for order, frequencies in sorted(by_order.items())
    ]


def _with_double(shares: Float[Tensor, "k m"], n: int) -> Float[Tensor, " m"]:
    """The best share of a frequency together with its double, which on Z_n is 2k or n - 2k."""
    double = [min(2 * k % n, n - 2 * k % n) for k in fourier.frequencies(n)]
    together = [shares[k - 1] + (shares[d - 1] if d not in (0, k) else 0) for k, d in enumerate(double, start=1)]
    return torch.stack(together).amax(dim=0)


def _mean(mask: Tensor) -> float | None:
    return float(mask.double().mean()) if len(mask) else None
