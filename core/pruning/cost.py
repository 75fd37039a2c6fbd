"""What a plan costs before anything is loaded: parameters, bytes, cache and FLOPs, split into the parts of the model.

Arithmetic on a `ModelAnatomy`, which core.vlm.anatomy takes from a configuration. Nothing here knows torch.

FLOPs are those of matrix products, 2·m·n·k each, attention included, as torch's FlopCounterMode counts them: every pair
of tokens counts, even those that a causal mask hides.
"""

from dataclasses import asdict, dataclass
from typing import Any

from core.errors import PlanError
from core.records.plan import PruningPlan

HEADROOM = 1.2  # activations, logits and the allocator's slack, as a multiple of weights and cache


@dataclass(frozen=True)
class LayerAnatomy:
    """One decoder layer."""

    parameters: int
    flops_per_token: float
    flops_per_pair: float  # of a query and a key; 0 in layers without softmax attention
    kv_elements: int  # cached numbers per token; 0 where the state does not grow
    window: int = 0  # tokens that the cache keeps at most; 0: all


@dataclass(frozen=True)
class ModelAnatomy:
    """The parts of a model and what each of them costs.

    Attributes:
        tokens_per_image: image tokens of one picture; 0 where they grow with its size.
        vision_flops_per_token, vision_flops_per_pair: per image token, and per pair of image tokens of one picture.
        decoder_flops_per_token: of the decoder outside its layers (rotary positions).
        vision_counted: False if the vision tower could not be run without weights; its FLOPs are then unknown, not 0.
    """

    model_id: str
    revision: str
    layers: tuple[LayerAnatomy, ...]
    vision_parameters: int
    projector_parameters: int
    embedding_parameters: int
    norm_parameters: int  # of the decoder outside its layers and embeddings
    head_parameters: int  # 0 if tied to the embeddings
    bytes_per_parameter: int
    tokens_per_image: int
    vision_flops_per_token: float
    vision_flops_per_pair: float
    projector_flops_per_token: float
    decoder_flops_per_token: float
    head_flops_per_token: float
    vision_counted: bool = True

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ModelAnatomy":
        return cls(**{**data, "layers": tuple(LayerAnatomy(**layer) for layer in data["layers"])})


@dataclass(frozen=True)
class Parts:
    """One quantity by part of the model. The decoder includes the embeddings."""

    vision: int
    projector: int
    decoder: int
    head: int

    @property
    def total(self) -> int:
        return self.vision + self.projector + self.decoder + self.head

    @property
    def floor(self) -> int:
        """What no plan can remove: everything but the decoder."""
        return self.total - self.decoder

    def to_dict(self) -> dict[str, int]:
        return {**asdict(self), "total": self.total}


@dataclass(frozen=True)
class Cost:
    """What one request costs under a plan.

    Attributes:
        kv_bytes_per_token: of one sequence, while no sliding window is full.
        kv_bytes: of the whole batch at the end of the answer.
        prefill_flops: of the whole batch, up to the first new token.
        decode_flops_per_token: of one sequence, the mean over the answer's tokens after the first.
    """

    parameters: Parts
    bytes: Parts
    kv_bytes_per_token: int
    kv_bytes: int
    prefill_flops: Parts
    decode_flops_per_token: Parts

    def to_dict(self) -> dict[str, Any]:
        return {
            "parameters": self.parameters.to_dict(),
            "bytes": self.bytes.to_dict(),
            "kv_bytes_per_token": self.kv_bytes_per_token,
            "kv_bytes": self.kv_bytes,
            "prefill_flops": self.prefill_flops.to_dict(),
            "decode_flops_per_token": self.decode_flops_per_token.to_dict(),
        }


def estimate_cost(
    anatomy: ModelAnatomy,
    plan: PruningPlan | None,
    *,
    prompt_tokens: int,
    image_tokens: int,
    new_tokens: int,
    batch: int = 1,
) -> Cost:
    """The cost of answering under a plan (None: the full model).

    Args:
        prompt_tokens: tokens of text before the answer, not counting the image's.
        image_tokens: of one picture, as the decoder sees them.
        new_tokens: length of the answer; at least one decoding step is counted.
    Raises:
        PlanError: the plan is for another depth, or a number of tokens is negative.
    """
    if plan is not None and plan.n_layers != anatomy.n_layers:
        raise PlanError(f"the plan is for {plan.n_layers} layers, {anatomy.model_id} has {anatomy.n_layers}")
    if min(prompt_tokens, image_tokens, new_tokens) < 0 or prompt_tokens + image_tokens < 1 or batch < 1:
        raise PlanError("a request needs at least one token of prompt or image, and a batch of at least 1")
    kept = anatomy.layers if plan is None else tuple(anatomy.layers[i] for i in plan.kept)
    parameters = Parts(
        anatomy.vision_parameters,
        anatomy.projector_parameters,
        anatomy.embedding_parameters + sum(layer.parameters for layer in kept) + anatomy.norm_parameters,
        anatomy.head_parameters,
    )
    width = anatomy.bytes_per_parameter
    before = prompt_tokens + image_tokens
    vision = anatomy.vision_flops_per_token * image_tokens + anatomy.vision_flops_per_pair * image_tokens**2
    prefill = Parts(
        round(batch * vision),
        round(batch * anatomy.projector_flops_per_token * image_tokens),
        round(
            batch * sum(layer.flops_per_token * before + layer.flops_per_pair * before**2 for layer in kept)
            + batch * anatomy.decoder_flops_per_token * before
        ),
        round(batch * anatomy.head_flops_per_token),  # only the last position is turned into logits
    )
    steps = max(new_tokens - 1, 1)  # the first new token comes out of the prefill
    decode = sum(
        layer.flops_per_token + layer.flops_per_pair * _mean_context(before, steps, layer.window) for layer in kept
    )
    return Cost(
        parameters=parameters,
        bytes=Parts(
            *(width * n for n in (parameters.vision, parameters.projector, parameters.decoder, parameters.head))
        ),
        kv_bytes_per_token=width * sum(layer.kv_elements for layer in kept),
        kv_bytes=batch * width * sum(layer.kv_elements * _seen(before + new_tokens, layer.window) for layer in kept),
        prefill_flops=prefill,
        decode_flops_per_token=Parts(
            0, 0, round(decode + anatomy.decoder_flops_per_token), round(anatomy.head_flops_per_token)
        ),
    )


def fits(cost: Cost, memory_bytes: int) -> bool:
    """Whether weights and cache fit into this memory, with room for activations."""
    return HEADROOM * (cost.bytes.total + cost.kv_bytes) <= memory_bytes


def _seen(context: int, window: int) -> int:
    return min(context, window) if window else context


def _mean_context(before: int, steps: int, window: int) -> float:
    """Mean number of keys that a decoding step attends to, its own included, over `steps` steps after the prefill."""
    if not window or before + steps <= window:
        return before + (steps + 1) / 2
    return sum(_seen(before + i, window) for i in range(1, steps + 1)) / steps
