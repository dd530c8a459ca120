"""The jobs that can be swept: what each is configured by, does in a cell, and writes.

A cell is what the kind's script does alone, in this process: of the probe the model stays loaded from one cell to the
next. A new kind is one more entry of KINDS.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from causal.run.config import CausalConfig
from llm_probe.run.config import ProbeConfig
from llm_probe.sweep.grid import Cell, Kind
from sae.circles.request import FeatureProbe
from toy.config import ToyConfig


@dataclass(frozen=True)
class OutcomeRow:
    """What became of one network of `toy`."""

    seed: int
    """Its seed."""
    memorised_at: int | None
    """First look at which 99 % of the training rows were right; empty if none was."""
    grokked_at: int | None
    """The same of the test rows."""
    diverged_at: int | None
    """Step at which the loss was no longer a number; empty if it stayed one."""
    steps_trained: int
    """Updates."""
    train_loss: float | None
    """Cross-entropy of the training rows at the last look."""
    test_loss: float | None
    """Of the test rows."""
    train_accuracy: float | None
    """Share of training rows that are right at the last look."""
    test_accuracy: float | None
    """Of the test rows."""


_KEPT: dict[tuple[Any, ...], Any] = {}


def _loaded(config: ProbeConfig) -> Any:
    """The config's model, kept for the next cell where it and its random twin take less than a third of the memory."""
    from llm_probe.models.loading import load

    key = (config.model, config.revision, config.dtype, config.device, config.trust_remote_code)
    if key in _KEPT:
        return _KEPT[key]
    _KEPT.clear()
    name, revision, dtype, device, trusted = key
    loaded = load(name, revision=revision, dtype=dtype, device=device, trust_remote_code=trusted)
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
    from llm_probe.run.probe_run import claims_for, domains_of, run
    from llm_probe.run.store import Store
    from llm_probe.run.write import write_results

    config = replace(config, out=folder)
    claims = claims_for(config, domains_of(config))
    result = run(config, claims, lambda: _loaded(config), Store(folder), _command("probe", config, folder))
    write_results(result, folder)


def _causal(config: CausalConfig, folder: Path) -> None:
    from causal.run.causal_run import run, write_results

    config = replace(config, out=folder)
    write_results(run(config, _command("causal", config, folder)), folder)


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
    return shlex.join(Cell(kind, config, {}).words(KINDS[kind], folder))


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
