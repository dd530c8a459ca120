"""`--help` of every script is instant: none of them imports torch to print its options."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.root import ROOT

SCRIPTS = sorted(path for path in (ROOT / "scripts").rglob("[!_]*.py"))
SLOW = {"torch", "transformers", "sae_lens", "matplotlib", "datasets"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help_imports_nothing_slow(script: Path) -> None:
    command = [sys.executable, "-X", "importtime", str(script), "--help"]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    loaded = {name.split(".")[0] for name in re.findall(r"^import time:.*\| +(\S+)$", ended.stderr, flags=re.MULTILINE)}
    assert not loaded & SLOW
    assert ended.stdout.strip()
