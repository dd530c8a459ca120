"""Buffers that are freed and taken again cost no page faults."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import resource, sys, torch
from toy.memory import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    print(-1)
    sys.exit()
def step():
    held = [torch.empty(size).fill_(1.0) for size in (2_000_000, 3_000_000, 4_000_000)]
for _ in range(20):  # until the heap has room for every order of them
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(kind: str) -> int:
    command = [sys.executable, "-c", PROGRAM, kind]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    return int(result.stdout)


@pytest.mark.skipif(not hasattr(resource, "RUSAGE_SELF"), reason="no page faults to count")
def test_freed_buffers_are_not_faulted_in_again() -> None:
    kept = _faults("kept")
    if kept < 0:
        pytest.skip("not glibc")
    assert kept < 0.1 * _faults("as it is")
