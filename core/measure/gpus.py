"""What the makers of GPUs state of them: peaks of arithmetic and of memory."""

from dataclasses import dataclass

from core.errors import RecipeError, suggest


@dataclass(frozen=True)
class Gpu:
    """What a GPU's maker states.

    Attributes:
        half_flops: per second, dense bfloat16 or float16 with float32 sums.
        float_flops: per second, float32 as torch multiplies it by default (no TF32).
        bandwidth: bytes per second of its memory.
    """

    name: str
    title: str
    half_flops: float
    float_flops: float
    bandwidth: float
    memory_bytes: int


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("H200", "NVIDIA H200 SXM", 989e12, 67e12, 4.8e12, 141 * 10**9),
        Gpu("H100", "NVIDIA H100 SXM", 989e12, 67e12, 3.35e12, 80 * 10**9),
        Gpu("A100", "NVIDIA A100 SXM 80 GB", 312e12, 19.5e12, 2.04e12, 80 * 10**9),
        Gpu("L40S", "NVIDIA L40S", 362e12, 91.6e12, 0.864e12, 48 * 10**9),
        Gpu("4090", "NVIDIA GeForce RTX 4090", 165e12, 82.6e12, 1.008e12, 24 * 10**9),
    )
}


def get_gpu(name: str) -> Gpu:
    """
    Raises:
        RecipeError: an unknown name.
    """
    found = GPUS.get(name.upper().removeprefix("RTX").strip(" -_"))
    if found is None:
        raise RecipeError(f"unknown GPU '{name}': {suggest(name.upper(), GPUS)}")
    return found
