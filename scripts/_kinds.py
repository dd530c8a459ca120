"""The kinds of jobs that can be swept: the configuration of each, what it computes in a cell, and its tables.

A cell is what the kind's script does alone, in this process; the probe's model stays loaded from one cell to the next.
A new kind is one more entry of KINDS.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from causal.run.config import CausalConfig
from llm_probe.run.config import ProbeConfig
from llm_probe.sweep.grid import SweepPoint, Kind
from sae.config import FeatureProbe
from toy.config import ToyConfig


@dataclass(frozen=True)
class OutcomeRow:
    """The outcome of training one network of `toy`."""

    seed: int
    """Seed of the network."""
    memorised_at: int | None
    """First evaluated step at which 99 % of the training rows were right; empty if there was none."""
    grokked_at: int | None
    """First evaluated step at which 99 % of the test rows were right; empty if there was none."""
    diverged_at: int | None
    """Step at which the loss was no longer a number; empty if it stayed one."""
    steps_trained: int
    """Number of training steps."""
    train_loss: float | None
    """Cross-entropy of the training rows at the last evaluation."""
    test_loss: float | None
    """Cross-entropy of the test rows at the last evaluation."""
    train_accuracy: float | None
    """Share of the training rows that are right at the last evaluation."""
    test_accuracy: float | None
    """Share of the test rows that are right at the last evaluation."""


_KEPT: dict[tuple[Any, ...], Any] = {}


def _loaded(config: ProbeConfig) -> Any:
    """The config's model, kept for the next cell where it and its random twin take less than a third of the memory."""
    from llm_probe.models.loading import load

    options = {name: getattr(config, name) for name in ("revision", "dtype", "device", "trust_remote_code")}
    key = (config.model, *options.values())
    if key in _KEPT:
        return _KEPT[key]
    _KEPT.clear()
    loaded = load(config.model, **options)
    weights = sum(weight.numel() * weight.element_size() for weight in loaded.model.parameters())
    if 6 * weights < _memory(loaded.device):
        _KEPT[key] = loaded
    return loaded


def _memory(device: Any) -> int:
    """Bytes of the device, or of this machine."""
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _probe(config: ProbeConfig, folder: Path) -> None:
    from llm_probe.run.probe import claims_for, domains_of, run

    config = replace(config, out=folder)
    claims = claims_for(config, domains_of(config))
    result = run(config, claims, lambda: _loaded(config), folder, _command("probe", config, folder))
    result.write(folder)


def _causal(config: CausalConfig, folder: Path) -> None:
    from causal.run.causal_run import run

    config = replace(config, out=folder)
    run(config, _command("causal", config, folder)).write(folder)


def _sae(config: FeatureProbe, folder: Path) -> None:
    from sae.circles.probe import run, write_results

    config = replace(config, out=folder)
    write_results(run(config, _command("sae", config, folder)), folder)


def _toy(config: ToyConfig, folder: Path) -> None:
    import pandas as pd

    from toy.run.files import write_atomic
    from toy.training.sweep import outcomes

    names = [one.name for one in fields(OutcomeRow)]
    # Without the seconds, which are not the network's.
    table = pd.DataFrame(outcomes(config, folder / "run", 1))[names]
    write_atomic(folder / "outcomes.csv", table.to_csv(index=False, float_format="%.6g"))


def _command(kind: str, config: Any, folder: Path) -> str:
    return shlex.join(SweepPoint(kind, config, {}).words(KINDS[kind], folder))


def _probe_tables() -> dict[str, type]:
    from llm_probe.run.table import TABLES

    return TABLES


def _causal_tables() -> dict[str, type]:
    from causal.run.tables import TABLES

    return TABLES


def _sae_tables() -> dict[str, type]:
    from sae.circles.table import TABLES

    return TABLES


KINDS: dict[str, Kind] = {
    "probe": Kind(ProbeConfig, "scripts/probe_llm.py", _probe, _probe_tables),
    "causal": Kind(CausalConfig, "scripts/run_causal.py", _causal, _causal_tables),
    "sae": Kind(FeatureProbe, "scripts/probe_sae.py", _sae, _sae_tables),
    "toy": Kind(ToyConfig, "scripts/train_toy.py", _toy, lambda: {"outcomes": OutcomeRow}, loads=()),
}
