"""The device of the tensors: by default CUDA, or else Apple's MPS, or else the CPU.

An n-gram model has no tensors: it is asked on the CPU, and nothing here imports torch for it.

>>> describe_device("cpu")
'cpu (2 threads)'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqlm.errors import UsageError
from seqlm.machine.threads import give_to_torch, num_threads

if TYPE_CHECKING:
    import torch


def choose_device(name: str | None = None) -> torch.device:
    """The device `name`, or the best there is for None and "auto".

    Errors: UsageError if this machine has no such device.
    """
    import torch

    if name in (None, "auto"):
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(str(name))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(
            f"no device {name!r} here; `device` takes cpu, cuda, cuda:N or mps"
        ) from None
    return device


def describe_device(device: torch.device | str) -> str:
    """The device for people: 'cuda (NVIDIA H200)', 'cpu (2 threads)'."""
    if str(device).startswith("cuda"):
        import torch

        return f"{device} ({torch.cuda.get_device_name(device)})"
    if str(device) == "cpu":
        threads = num_threads()
        return f"cpu ({threads} thread{'s' if threads > 1 else ''})"
    return str(device)


def set_up_device(name: str | None = None, float64: bool = False) -> torch.device:
    """The device to compute on, one with `float64` where that is needed; prepares torch for it.

    Errors: UsageError where the named device is not there.
    """
    import torch

    give_to_torch()
    torch.backends.cudnn.allow_tf32 = False  # so that a GPU computes what a CPU computes
    torch.sparse.check_sparse_tensor_invariants.disable()  # PyTorch 2.11 warns where none is chosen
    torch.set_flush_denormal(True)  # numbers below 1e-38 would take a hundred times as long
    device = choose_device(name)
    return torch.device("cpu") if float64 and device.type == "mps" else device
