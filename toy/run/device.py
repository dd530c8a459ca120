"""Where a computation runs: the device, what the process does with the memory that it frees, and with denormal numbers.

A training step frees and takes the same buffers of some megabytes again and again. By default glibc hands such blocks
back to the system at once, and every page of them is faulted in anew: 7,000 faults and a fifth of the time of a step of
the default toy. Two of its limits, raised once, end that; what is kept is what one step needs.

Under weight decay the weights of dead neurons and their moments shrink for ever, below 1.2e-38 into denormal numbers,
with which a processor multiplies some fifty times more slowly. So whatever trains sets them to zero.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from toy.run.errors import InputError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of the limits in malloc.h."""
WIDTH_A_THREAD = 256
"""Width of matrices at which one more thread saves time: at 128 it saves none, and on a machine with other work the two
wait for each other, four times as long as one takes."""
LARGEST_KEPT = 32 * 2**20
"""glibc admits no higher limit for one block."""


def chosen_device(device: str) -> torch.device:
    """auto means cuda, else mps, else cpu. Raises InputError if the device is not there."""
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(kind for kind, there in has.items() if there))
    if not has.get(device.partition(":")[0], False):
        raise InputError(f"device {device!r} is not there: choose from auto, {', '.join(k for k in has if has[k])}")
    return torch.device(device)


@contextmanager
def without_denormals() -> Iterator[None]:
    """Inside, denormal results and operands are zero, in this thread and those it starts, where the processor can.

    Around descent: a worker thread that exists already keeps its own mode. Nothing else should depend on it.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def threads_for(width: int) -> Iterator[None]:
    """Inside, no more threads than matrices of this width keep busy; OMP_NUM_THREADS, where it is set, decides."""
    before = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(before, max(1, width // WIDTH_A_THREAD)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> bool:
    """Raise glibc's limits for this process; whether that was possible (it is not outside glibc)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
