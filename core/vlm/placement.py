"""Where a model's weights go: one device, or several through accelerate; and what this machine has room for."""

import contextlib
import importlib.util
import math
import os
from pathlib import Path

import torch

from core.errors import ExportError, ModelError
from core.pruning.cost import HEADROOM
from core.records.plan import ModelSpec
from core.vlm.shards import read_shards

BALANCED = "balanced"  # accelerate's name for layers spread over all GPUs and, behind them, the CPU
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
GIB = 2**30


def choose_place(name: str, folder: Path, dtype: str) -> str:
    """The device that loading goes to, for --device: "cpu", "cuda:0", "balanced".

    "auto" is the CPU without a GPU; else the first GPU that holds the whole model; else all of them and the CPU.

    Raises:
        ModelError: no such device, no room, or accelerate is missing.
    """
    if name not in ("auto", BALANCED):
        return str(parse_device(name))
    if name == "auto":
        if not torch.cuda.is_available():
            return "cpu"  # whether it fits or not: what the system could free is hard to know
        weights = checkpoint_bytes(folder, loaded_dtype(dtype, "cuda"))
        place = roomy_place(weights)
        if place is None:
            raise ModelError(
                f"the weights take {weights / GIB:.1f} GiB, GPUs and CPU have {memory_bytes() / GIB:.1f} GiB free: "
                "free some memory, or take a smaller model"
            )
        if place != BALANCED:
            return place
    if importlib.util.find_spec("accelerate") is None:
        raise ModelError(
            "to spread a model over several devices, accelerate is needed: pip install -r requirements-gpu.txt; "
            "or give --device cpu"
        )
    return BALANCED


def roomy_place(weights: int) -> str | None:
    """Where weights of so many bytes fit on this machine, with room for activations; None if nowhere."""
    needed = HEADROOM * weights
    if not torch.cuda.is_available():
        return "cpu" if needed <= memory_bytes() else None
    first = next((f"cuda:{i}" for i, free in enumerate(_gpu_bytes()) if needed <= free), None)
    return first or (BALANCED if needed <= memory_bytes() else None)


def memory_bytes() -> int:
    """Memory that a model could take: free on all GPUs, and available to this machine's processes."""
    return sum(_gpu_bytes()) + _ram_bytes()


def loaded_bytes(spec: ModelSpec) -> int:
    """Bytes of a model's weights as this machine would load them."""
    dtype = loaded_dtype("auto", "auto")
    return spec.n_parameters * (dtype if isinstance(dtype, torch.dtype) else getattr(torch, spec.dtype)).itemsize


def checkpoint_bytes(folder: Path, dtype: torch.dtype | str) -> int:
    """Bytes of a checkpoint's weights once loaded as `dtype` ("auto": as they are)."""
    try:
        tensors = [entry for shard in read_shards(folder) for entry in shard.tensors.values()]
    except ExportError as error:
        raise ModelError(str(error)) from error
    if isinstance(dtype, torch.dtype):
        return dtype.itemsize * sum(math.prod(t["shape"]) for t in tensors)
    return sum(t["data_offsets"][1] - t["data_offsets"][0] for t in tensors)


def loaded_dtype(name: str, place: str) -> torch.dtype | str:
    """The dtype of weights at a place: "auto" is float32 on the CPU, and the checkpoint's own ("auto") on a GPU."""
    if name == "auto":
        return torch.float32 if place == "cpu" or not torch.cuda.is_available() else "auto"
    if name not in DTYPES:
        raise ModelError(f"unknown dtype '{name}': give auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def parse_device(name: str) -> torch.device:
    """One device that is there.

    Raises:
        ModelError: unknown to torch, or absent.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ModelError(f"unknown device '{name}': give auto, cpu, cuda, cuda:0 or {BALANCED}") from None
    try:
        torch.empty(1, device=device).item()  # fails on the meta device, too
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ModelError(f"no device '{name}' here: give --device cpu") from None
    return device


def _gpu_bytes() -> list[int]:
    if not torch.cuda.is_available():
        return []
    return [int(torch.cuda.mem_get_info(i)[0]) for i in range(torch.cuda.device_count())]


def _ram_bytes() -> int:
    with contextlib.suppress(OSError, StopIteration):  # Linux: with what the file cache would give back
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("MemAvailable:")))
    return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
