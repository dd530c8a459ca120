"""Memory that a training step frees stays with the process, on Linux with glibc.

A step frees and takes the same buffers of some megabytes again and again. By default glibc hands such blocks back
to the system at once, and every page of them is faulted in anew: 7,000 faults and a fifth of the time of a step of
the default toy. Two of its limits, raised once, end that; what is kept is what one step needs.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of the limits in malloc.h."""
LARGEST_KEPT = 32 * 2**20
"""glibc admits no higher limit for one block."""


def keep_freed_memory() -> bool:
    """Raise the limits for this process; whether that was possible (it is not outside glibc)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
