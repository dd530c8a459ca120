"""The other side of a null: networks whose circles are known go through the probe, which must support every one.

    grokked toys   transformers trained on addition mod 29, of those that answer 99 % of the questions never shown
                   (`toy.training.train`); probed as `scripts/probe_llm.py --model <run directory>` does
    closed form    Gromov's network (`toy.networks.closed_form`), whose weights are written down, at four moduli

Gromov's network is an MLP: it has no residual stream, and the bridge for checkpoints (`toy_model`) refuses it. Here
its two layers stand for one block. With x_a = W_E[a] W_in[0], x_b = W_E[b] W_in[1] and x_= = b_in as the stream of
the three tokens, a block that sums what it can see, squares it and writes to the outputs,

    block(x)_t = (Σ_{s <= t} x_s)² W_out + b_out        (batch, position, p)

has the network's logits at "=", exactly: Σ_k cos w_k(a + b - c) of the keys k, and nothing else. The neurons before
W_out would be no clean control: cos w_k(a - b) is as strong in them as cos w_k(a + b).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from llm_probe.calibration.harness import PowerRow, power
from llm_probe.calibration.trials import Trial
from llm_probe.models.toy_model import BridgeConfig, number_tokenizer
from llm_probe.questions.toy_domain import toy_domain
from llm_probe.run.config import ProbeConfig
from llm_probe.run.probe import plan_of, probe
from llm_probe.run.probe import run as run_probe
from llm_probe.run.result import ProbeResult
from llm_probe.statistics.class_mean_null import white_noise
from toy.config import ToyConfig
from toy.networks.closed_form import gromov
from toy.networks.model import MLP, activate
from toy.run.errors import InputError
from toy.training.train import THRESHOLD, train

TOY = ToyConfig(
    modulus=29, train_fraction=0.6, d_model=32, d_mlp=128, steps=800, decay_start=250, decay_steps=150, log_every=50,
    checkpoint_every=1000, device="cpu",
)  # fmt: skip
"""Small and quick: some 4 ms an update for eight seeds together."""
CLOSED_MODULI = (17, 19, 23, 29)
KEYS = (2, 3, 5)
"""Frequencies of the closed form; with all of them its logits are no circles but a one-hot code."""
AMPLITUDE = 1.0
"""In standard deviations of a dimension: the known circles are all that these networks hold."""


def rows(seeds: int, folder: Path) -> list[PowerRow]:
    """One row a statistic for the grokked among `seeds` toys, and for the closed-form networks.

    Run directories and probed cells are kept under `folder`; the same call goes on from there.

    Raises:
        InputError: fewer than one seed, none of them grokked, or the folder cannot be written.
    """
    return power({
        ("grokked toy", AMPLITUDE): grokked_trials(seeds, folder / f"toys-{seeds}"),
        ("closed form", AMPLITUDE): [closed_form_trial(modulus) for modulus in CLOSED_MODULI],
    })  # fmt: skip


def grokked_trials(seeds: int, folder: Path, config: ToyConfig = TOY) -> list[Trial]:
    """Train the seeds 0, 1, … and probe those that grokked, by their last checkpoint's test accuracy.

    Raises:
        InputError: none of them grokked.
    """
    runs = train(replace(config, seed=0), folder, seeds=seeds).runs
    grokked = [run for run in runs if run.metrics()[-1]["test_accuracy"] >= THRESHOLD]
    if not grokked:
        raise InputError(f"none of {seeds} toys grokked in {config.steps} steps: give more seeds")
    trials = []
    for run in grokked:
        plan = plan_of(ProbeConfig(model=str(run.folder), device="cpu"))
        result = run_probe(plan, run.folder / "probe")
        trials.append(_trial(result, config.n_layers * config.d_model))
    return trials


def closed_form_trial(modulus: int) -> Trial:
    """Probe Gromov's network; its random twin is an untrained MLP of the same shape."""
    return _trial(probed_closed_form(modulus), modulus)


def probed_closed_form(modulus: int) -> ProbeResult:
    """The run behind `closed_form_trial`."""
    network, config = gromov(modulus, KEYS)
    model = GromovForCausalLM(OutputConfig(config), network).eval()
    return probe(model, number_tokenizer(modulus), [toy_domain(config)], behaviour=False)


def _trial(result: ProbeResult, searched: int) -> Trial:
    """The p-values of a run with one claim; `searched`: dimensions of all layers."""
    verdict = result.verdicts.iloc[0]
    trained = result.table[(result.table["weights"] == "trained") & result.table["p_fwer"].notna()]
    groups = {f"p_fwer ({kind}s)": trained.loc[trained["unit"] == kind, "p_fwer"] for kind in ("plane", "dimension")}
    p = {name: float(values.min()) for name, values in groups.items() if len(values)}
    published = white_noise(int(verdict["period"]), searched).above(float(verdict["class_mean_r2"]))
    return Trial(p | {"class-mean R² against noise": published}, str(verdict["verdict"]))


# ------------------------------------------------------------------------------------- an MLP that is read as a block


@dataclass
class OutputConfig(BridgeConfig):
    """A toy whose stream is its outputs."""

    @property
    def hidden_size(self) -> int:
        """The modulus."""
        return self.toy.modulus


class HiddenLayer(nn.Module):
    """Hidden layer and output map on the sum of what a token and those before it give."""

    def __init__(self, network: MLP) -> None:
        super().__init__()
        self.activation, self.W_out, self.b_out = network.activation, network.W_out, network.b_out

    def forward(self, x: Float[Tensor, "batch pos m"]) -> Float[Tensor, "batch pos p"]:
        return activate(x.cumsum(dim=1), self.activation) @ self.W_out + self.b_out


class GromovForCausalLM(nn.Module):
    """An MLP behind the face of a language model of one block, without a vocabulary head, because no logits are read.

    Made from a configuration alone its weights are drawn anew, from torch's own generator (`ToyForCausalLM`).
    """

    def __init__(self, config: OutputConfig, network: MLP | None = None) -> None:
        super().__init__()
        if network is None:
            network = MLP(replace(config.toy, seed=int(torch.randint(2**31, (1,)))))
        self.config, self.network = config, network
        self.blocks = nn.ModuleList([HiddenLayer(network)])

    def get_decoder(self) -> GromovForCausalLM:
        """Itself."""
        return self

    def get_input_embeddings(self) -> SimpleNamespace:
        """W_E by the name transformers gives it: `weight` (p, d_model)."""
        return SimpleNamespace(weight=self.network.W_E)

    def forward(self, input_ids: Int[Tensor, "batch pos"], **_: Any) -> SimpleNamespace:
        """`hidden_states`: what every token gives the neurons, and the outputs; places behind "=" give nothing."""
        network, length = self.network, input_ids.shape[1]
        parts = network.W_E @ network.W_in
        # "=" and the end of text are no operands: where they stand as one, there is nothing that the network knows.
        tables = torch.cat([parts, parts.new_zeros(len(parts), 2, parts.shape[2])], dim=1)
        given = [tables[place][input_ids[:, place]] for place in range(min(length, len(tables)))]
        given += [network.b_in.expand(len(input_ids), -1)] * (length > len(tables))
        given += [torch.zeros_like(given[0])] * (length - len(given))
        stream = torch.stack(given, dim=1)
        return SimpleNamespace(hidden_states=(stream, self.blocks[0](stream)))
