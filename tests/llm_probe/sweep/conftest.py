"""Sweeps of a job that takes a moment (`trivial.py`)."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llm_probe.sweep.folder import Sweep, plan
from llm_probe.sweep.grid import Grid

SCRIPT = Path(__file__).with_name("trivial.py")


@pytest.fixture(scope="session")
def trivial() -> ModuleType:
    """The trivial kind's module."""
    spec = importlib.util.spec_from_file_location("trivial", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["trivial"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def planned(trivial: ModuleType, tmp_path: Path) -> Callable[..., Sweep]:
    """Plan a sweep of the trivial kind: fixed fields, and axes as keywords."""

    def make(fixed: dict[str, Any] | None = None, folder: Path = tmp_path / "sweep", **axes: list[Any]) -> Sweep:
        kind = trivial.KINDS["trivial"]
        cells = Grid("trivial", fixed or {}, axes).cells(kind, 10_000)
        return plan(folder, "trivial", kind, cells, "a test")

    return make
