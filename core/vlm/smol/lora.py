"""Low-rank adapters on a decoder's linear modules: trained beside frozen weights, then added to them.

Written out rather than taken from a package, since it is little and since the product of an adapted module is one
autograd step here: no full-sized intermediate is kept, and no gradient of a frozen weight is ever computed.
"""

from typing import Any

import torch
from torch import Tensor, nn

RANK = 8
ALPHA = 16.0  # an adapter adds ALPHA / rank times B A
PARTS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class _AdaptedProduct(torch.autograd.Function):
    """x W' + scale x A' B', with gradients for x, A and B."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        low = flat @ a.t()  # (N, rank)
        out = flat @ weight.t()
        out.addmm_(low, b.t(), alpha=scale)
        ctx.save_for_backward(flat, low, weight, a, b)
        ctx.scale = scale
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        flat, low, weight, a, b = ctx.saved_tensors
        grad = grads[0].reshape(-1, weight.shape[0])
        d_low = (grad @ b).mul_(ctx.scale)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = grad @ weight
            d_x.addmm_(d_low, a)
            d_x = d_x.view(*grads[0].shape[:-1], -1)
        return d_x, None, d_low.t() @ flat, (grad.t() @ low).mul_(ctx.scale), None


class Adapted(nn.Module):
    """A linear module without bias, frozen, and its adapter. B starts at zero: at first nothing changes."""

    def __init__(self, linear: nn.Linear, rank: int = RANK, alpha: float = ALPHA):
        super().__init__()
        if linear.bias is not None:
            raise ValueError("only linear modules without a bias are adapted")
        self.linear: nn.Linear = linear.requires_grad_(False)
        self.a: nn.Parameter = nn.Parameter(torch.randn(rank, linear.in_features) / linear.in_features**0.5)
        self.b: nn.Parameter = nn.Parameter(torch.zeros(linear.out_features, rank))
        self.scale: float = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(_AdaptedProduct.apply(x, self.linear.weight, self.a, self.b, self.scale))


def adapt(decoder: nn.Module, rank: int = RANK, alpha: float = ALPHA) -> dict[str, Adapted]:
    """Put an adapter on every attention and MLP matrix of a decoder, in place; the adapters by module name."""
    found: dict[str, Adapted] = {}
    for name, module in list(decoder.named_modules()):
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in PARTS:
            found[name] = Adapted(module, rank, alpha)
            parent, _, leaf = name.rpartition(".")
            setattr(decoder.get_submodule(parent), leaf, found[name])
    return found


def adapter_state(adapters: dict[str, Adapted]) -> dict[str, Tensor]:
    """The tensors that training changes, as "<module>.a" (rank, in) and "<module>.b" (out, rank)."""
    return {f"{name}.{part}": getattr(m, part).detach() for name, m in adapters.items() for part in ("a", "b")}


def load_adapters(adapters: dict[str, Adapted], state: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, module in adapters.items():
            module.a.copy_(state[f"{name}.a"])
            module.b.copy_(state[f"{name}.b"])


@torch.no_grad()
def merge(decoder: nn.Module, state: dict[str, Tensor], alpha: float = ALPHA) -> None:
    """Add adapters to the weights that they were trained beside, in place."""
    for key in state:
        name, _, part = key.rpartition(".")
        if part == "a":
            a, b = state[key].float(), state[f"{name}.b"].float()
            weight = decoder.get_submodule(name).weight
            weight.copy_(weight.float() + (alpha / len(a)) * (b @ a))  # type: ignore[operator]
