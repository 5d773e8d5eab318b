"""Where tensors live: CUDA, else Apple's MPS, else the CPU, unless told otherwise."""

from __future__ import annotations

import torch

from seqlm.errors import UsageError


def choose_device(name: str | None = None) -> torch.device:
    """The device asked for, or the best there is. Errors: UsageError where it is not there."""
    if name in (None, "auto"):
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(str(name))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(
            f"no device {name!r} here; --device takes cpu, cuda, cuda:N or mps"
        ) from None
    return device


def describe(device: torch.device) -> str:
    """For people: 'cuda (NVIDIA H200)', 'cpu (2 threads)'."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads)"
    return str(device)
