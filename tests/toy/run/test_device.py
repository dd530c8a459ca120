"""The buffers of a training step are not faulted in again at every step; threads are as many as pay."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
import torch

from tests.root import ROOT
from toy.run.device import threads_for

PROGRAM = """
import resource, torch
from toy.training import train
from toy.config import ToyConfig
torch.set_num_threads(1)
keep, train.keep_freed_memory = train.keep_freed_memory, lambda: False
training = train.Training(ToyConfig(), [0])
def faults():
    for _ in range(5):
        training.update()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        training.update()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(), faults() if keep() else -1)
"""


@pytest.mark.skipif(not hasattr(resource, "RUSAGE_SELF"), reason="no page faults to count")
def test_freed_buffers_are_not_faulted_in_again() -> None:
    command = [sys.executable, "-c", PROGRAM]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)
    as_it_is, kept = map(int, result.stdout.split())
    if kept < 0:
        pytest.skip("not glibc")
    assert kept < 0.1 * as_it_is


def test_threads_are_as_many_as_the_width_keeps_busy_and_the_users_own_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        seen = []
        for width in (128, 576, 4096):
            with threads_for(width):
                seen.append(torch.get_num_threads())
            assert torch.get_num_threads() == 3
        assert seen == [1, 2, 3]
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        with threads_for(128):
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
