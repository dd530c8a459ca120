"""The buffers of a training step are not faulted in again at every step."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from tests.root import ROOT

PROGRAM = """
import resource, sys, torch
from toy.training import train
from toy.config import ToyConfig
torch.set_num_threads(1)
if sys.argv[1] == "as it is":
    train.keep_freed_memory = lambda: False
elif not train.keep_freed_memory():
    sys.exit(print(-1))
training = train.Training(ToyConfig(), [0])
for _ in range(5):
    training.update()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    training.update()
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
