"""Which device computes."""

from __future__ import annotations

import torch

from toy.run.errors import InputError


def chosen_device(device: str) -> torch.device:
    """auto means cuda, else mps, else cpu.

    Raises:
        InputError: the device is not there.
    """
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(kind for kind, there in has.items() if there))
    if not has.get(device.partition(":")[0], False):
        raise InputError(f"device {device!r} is not there: choose from auto, {', '.join(k for k in has if has[k])}")
    return torch.device(device)
