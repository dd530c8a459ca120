"""The kinds of jobs that can be swept: the configuration of each, what it computes in a cell, and its tables.

A cell is what the kind's script does alone, in this process; the probe's model stays loaded from one cell to the next.
A new kind is one more entry of KINDS.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from causal.run.config import CausalConfig
from llm_probe.emergence.config import SeriesConfig
from llm_probe.emergence.table import TABLES as SERIES_TABLES
from llm_probe.run.config import ProbeConfig
from llm_probe.run.table import TABLES
from llm_probe.sweep.grid import Kind
from sae.circles.table import TABLES as SAE_TABLES
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
    from llm_probe.run.probe import load_probed

    names = ("model", "revision", "dtype", "device", "trust_remote_code", "weights")
    key = (*(getattr(config, name) for name in names), config.seed * (config.weights == "random"))
    if key in _KEPT:
        return _KEPT[key]
    _KEPT.clear()
    loaded = load_probed(config)
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


def _probe(config: ProbeConfig, folder: Path, command: str) -> None:
    from llm_probe.run.probe import plan_of, run

    config = replace(config, out=folder)
    run(plan_of(config, lambda: _loaded(config)), folder, command).write(folder)


def _series(config: SeriesConfig, folder: Path, command: str) -> None:
    from causal.algorithms.over_training import interventions
    from llm_probe.emergence.series import run

    run(config, folder, command, interventions(config.seed)).write(folder)


def _causal(config: CausalConfig, folder: Path, command: str) -> None:
    from causal.run.causal_run import run

    run(replace(config, out=folder), command).write(folder)


def _causal_tables() -> dict[str, type]:
    from causal.run.tables import TABLES  # loads torch

    return TABLES


def _sae(config: FeatureProbe, folder: Path, command: str) -> None:
    from sae.circles.probe import run

    run(replace(config, out=folder), command).write(folder)


def _toy(config: ToyConfig, folder: Path, command: str) -> None:
    import pandas as pd

    from toy.run.files import write_atomic
    from toy.training.sweep import outcomes

    names = [one.name for one in fields(OutcomeRow)]
    # Without the seconds, which are not the network's.
    table = pd.DataFrame(outcomes(config, folder / "run", 1))[names]
    write_atomic(folder / "outcomes.csv", table.to_csv(index=False, float_format="%.6g"))


KINDS: dict[str, Kind] = {
    "probe": Kind(ProbeConfig, "scripts/probe_llm.py", _probe, lambda: TABLES),
    "series": Kind(SeriesConfig, "scripts/probe_llm.py", _series, lambda: SERIES_TABLES),
    "causal": Kind(CausalConfig, "scripts/run_causal.py", _causal, _causal_tables),
    "sae": Kind(FeatureProbe, "scripts/probe_sae.py", _sae, lambda: SAE_TABLES),
    "toy": Kind(ToyConfig, "scripts/train_toy.py", _toy, lambda: {"outcomes": OutcomeRow}, loads=()),
}
