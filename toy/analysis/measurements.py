"""Every measurement of one network, as the JSON that a run directory keeps (`analysis.json`).

    analyse(model, config)      what the circuit is: keys by four rules, losses, spectra, neurons, ablations, Clock or
                                Pizza, attention, subgroups; and under `untrained` the same of fresh weights

A number never travels alone: the keys come with their rules, an ablation with its control, a description with that
of an untrained network. "keys" without a rule are those of the neurons (Nanda's). Frequencies count from 1; a list
over all frequencies begins with k = 1. What cannot be measured is null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from toy.analysis import ablation, circuits, clock_pizza, spectra
from toy.analysis import keys as key_rules
from toy.analysis.readout import Readout, grid, read_out
from toy.analysis.restricted import AnswerPlanes
from toy.config import ToyConfig
from toy.networks.model import Toy, build_untrained
from toy.networks.scores import TableScores, trained_on

RULE = "neurons"
"""The rule whose keys the losses and ablations use."""
RANKED_FOR_GROUPS = max(ablation.GROUPS)


def analyse(model: Toy, config: ToyConfig, *, seed: int = 0) -> dict[str, Any]:
    """All measurements; `seed` draws the controls, the triples of the gradients and the untrained network.

    Raises InputError if the network does not belong to the configuration.
    """
    readout = read_out(model, config)
    whole = TableScores.of(model, config)
    shares = spectra.grid_shares(readout.neurons)
    keys_by_rule = key_rules.all_rules(readout, shares)
    ranking = circuits.rank_neurons(readout, count=RANKED_FOR_GROUPS)
    train_rows = trained_on(config, grid(config.task, config.modulus)).view_as(readout.answer)
    result = {
        "task": config.task,
        "modulus": config.modulus,
        "circle_size": readout.size,
        "is_cyclic": readout.is_cyclic,
        "architecture": config.architecture,
        "n_layers": config.n_layers,
        "seed": seed,
        "key_rules": key_rules.RULES,
        "key_rule": RULE,
        "key_thresholds": thresholds(readout),
        **whole.summary(),
        "accuracy_by_c": whole.accuracy_by_c(),
        "mirror": whole.mirror_accuracy(),
        **logit_losses(readout, keys_by_rule, train_rows),
        **description(model, config, readout, shares, keys_by_rule, keys_by_rule[RULE], seed),
        **circuits.rank_neurons(readout),
        "subgroups": circuits.subgroups(readout.size, spectra.logit_shares(readout), keys_by_rule["logits"]),
        "frequency_ablation": ablation.frequency_ablation(
            model,
            config,
            readout,
            keys_by_rule[RULE],
            seed=seed,
            spared=[k for rule in keys_by_rule.values() for k in rule],
        ),
        "neuron_ablation": ablation.neuron_ablation(
            readout, [row["neuron"] for row in ranking["neuron_ranking"]], seed=seed
        ),
        "untrained": untrained(config, keys_by_rule[RULE], seed),
    }
    return finite(result)


def description(
    model: Toy,
    config: ToyConfig,
    readout: Readout,
    shares: Float[Tensor, "k m"],
    keys_by_rule: Mapping[str, Sequence[int]],
    keys: Sequence[int],
    seed: int,
) -> dict[str, Any]:
    """What is measured alike on a trained and on an untrained network; `keys` are those of the trained one."""
    logit_shares = spectra.logit_shares(readout)
    live = shares[:, shares.sum(dim=0) > 0]
    every_spectrum = {
        "embedding": spectra.matrix_shares(readout.embedding),
        "unembedding": spectra.matrix_shares(readout.unembedding.T),
        "w_l": spectra.matrix_shares(readout.W_L.T),
        "neurons": live.mean(dim=1) if live.shape[1] else torch.zeros(len(shares)),
        "logits": logit_shares,
        "logits_any_output": spectra.logit_shares_any_output(readout),
    }
    planes = AnswerPlanes.of(readout)
    return {
        **{f"key_frequencies_{rule}": list(frequencies) for rule, frequencies in keys_by_rule.items()},
        "logit_fve": float(logit_shares[torch.tensor(keys, dtype=torch.long) - 1].sum()),
        "logit_fve_planes": planes.share(keys),
        "logit_bias_share": planes.bias_share(),
        "full_loss": planes.full_loss(),
        "slice_accuracy": planes.accuracy(),
        **weights_summary(model, readout),
        "spectra": {name: spectrum.tolist() for name, spectrum in every_spectrum.items()},
        "logit_coefficients": spectra.logit_coefficients(readout).tolist(),
        **circuits.neurons(readout, shares),
        "gradient_symmetricity": clock_pizza.gradient_symmetricity(model, config, seed=seed),
        "distance_irrelevance": clock_pizza.distance_irrelevance(readout),
        "circularity": clock_pizza.circularity(readout.embedding),
        "attention_periodicity": circuits.attention_periodicity(readout),
    }


def weights_summary(model: Toy, readout: Readout) -> dict[str, float]:
    """Sparsity in the Fourier basis and size: {gini, gini_w_l, sum_squared_weights}."""
    return {
        "gini": spectra.gini(readout.embedding),
        "gini_w_l": spectra.gini(readout.W_L.T),
        "sum_squared_weights": sum(float(weight.detach().double().square().sum()) for weight in model.parameters()),
    }


def logit_losses(
    readout: Readout, keys_by_rule: Mapping[str, Sequence[int]], train_rows: Bool[Tensor, "n n"]
) -> dict[str, Any]:
    """Restricted and excluded loss for the keys of each rule, the excluded one also for each single key."""
    planes, shares = AnswerPlanes.of(readout), spectra.logit_shares(readout)
    rows = train_rows[readout.answer >= 0]
    by_keys = {
        rule: {
            "keys": list(keys),
            "logit_fve": float(shares[torch.tensor(keys, dtype=torch.long) - 1].sum()),
            "restricted_loss": planes.restricted_loss(keys),
            "excluded_loss": planes.excluded_loss(keys, rows),
        }
        for rule, keys in keys_by_rule.items()
    }
    return {
        "by_keys": by_keys,
        "restricted_loss": by_keys[RULE]["restricted_loss"],
        "excluded_loss": by_keys[RULE]["excluded_loss"],
        "excluded_loss_by_frequency": {str(k): planes.excluded_loss([k], rows) for k in keys_by_rule[RULE]},
    }


def thresholds(readout: Readout) -> dict[str, float]:
    """The share that a frequency of two columns must exceed to be key, where the rule has such a line."""
    widths = {"embedding": key_rules.effective_rank(readout.embedding), "w_l": key_rules.effective_rank(readout.W_L.T)}
    lines = {name: key_rules.share_threshold(readout.size, width) for name, width in widths.items()}
    return {**lines, "logits": key_rules.LOGIT_SHARE}


def untrained(config: ToyConfig, keys: Sequence[int], seed: int) -> dict[str, Any]:
    """The description of the same architecture with fresh weights."""
    model, fresh = build_untrained(config, seed)
    readout = read_out(model, fresh)
    shares = spectra.grid_shares(readout.neurons)
    keys_by_rule = key_rules.all_rules(readout, shares)
    return description(model, fresh, readout, shares, keys_by_rule, keys, seed)


def finite(value: Any) -> Any:
    """The same with null for every number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
