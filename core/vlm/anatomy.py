"""The parts of a model and their FLOPs, from its configuration alone: no weight is read, none is allocated.

The model is built hollow: each parameter is one zero, expanded to its shape. The model's own forward runs on it, so
that no family (windows, pixel shuffles, routers) needs a rule here; only matrix products run on the meta device
instead, where torch's FlopCounterMode counts them.
"""

import copy
import inspect
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForImageTextToText, DynamicCache, PreTrainedModel

from core.errors import ModelError
from core.pruning.cost import LayerAnatomy, ModelAnatomy
from core.vlm.depth import layer_kinds
from core.vlm.loading import TINY, _resolve, decoder_layers, read_config, text_decoder
from core.vlm.view import pruned_view

PRODUCTS = frozenset(
    [
        F.linear,
        F.conv1d,
        F.conv2d,
        F.conv3d,
        F.scaled_dot_product_attention,
        torch.matmul,
        torch.mm,
        torch.bmm,
        torch.addmm,
        torch.baddbmm,
        torch.einsum,
        Tensor.matmul,
        Tensor.__matmul__,
        Tensor.mm,
        Tensor.bmm,
    ]
)
LENGTHS = (64, 128)  # tokens; multiples of the chunks that linear attention works in
GRIDS = (8, 16)  # patches along a side; multiples of the usual attention windows
MOST_TILES = 6  # that a picture of the tower's own size is cut into
# what model code raises when it gets a picture in another family's shape
MISMATCH = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError)


def read_anatomy(model_id: str = TINY, revision: str | None = None) -> ModelAnatomy:
    """The anatomy of a model by name, Hub id or local folder.

    Raises:
        ModelError: as `load_vlm`, or if the decoder cannot be run without weights.
    """
    folder, spec_id, revision = _resolve(model_id, revision)
    return compute_anatomy(read_config(folder, spec_id), spec_id, revision)


def compute_anatomy(config: Any, model_id: str = "", revision: str = "") -> ModelAnatomy:
    """The anatomy of the model that a configuration describes."""
    model = _hollow_model(config)
    decoder = text_decoder(model)
    try:
        layers, outside = _layers(model)
    except MISMATCH as error:
        raise ModelError(f"the cost of {config.model_type} cannot be counted: {error}") from error
    parameters = _parameters(model)
    head = model.get_output_embeddings()
    with _counting({}) as flops:
        F.linear(torch.zeros(1, head.weight.shape[1]), head.weight)
    return ModelAnatomy(
        model_id=model_id,
        revision=revision,
        layers=layers,
        vision_parameters=parameters["vision"],
        projector_parameters=parameters["projector"],
        embedding_parameters=parameters["embeddings"],
        norm_parameters=sum(p.numel() for p in decoder.parameters())
        - parameters["embeddings"]
        - sum(layer.parameters for layer in layers),
        head_parameters=parameters["head"],
        bytes_per_parameter=_dtype(config).itemsize,
        decoder_flops_per_token=outside,
        head_flops_per_token=flops["total"],
        **_vision(model),
    )


def _dtype(config: Any) -> torch.dtype:
    found = getattr(config, "dtype", None) or getattr(config.get_text_config(decoder=True), "dtype", None)
    found = getattr(torch, found) if isinstance(found, str) else found
    return found if isinstance(found, torch.dtype) else torch.float32


# ------------------------------------------------------------------------------------------------ parameters


def _parameters(model: PreTrainedModel) -> Counter[str]:
    """Parameters by part; tied ones count as embeddings, where they come first."""
    embeddings, decoder, head = model.get_input_embeddings(), text_decoder(model), model.get_output_embeddings()
    tower = _vision_tower(model)
    owners: dict[int, str] = {}
    # the first owner counts: the merger at the end of a tower projects, embeddings are in the decoder
    for name, modules in (
        ("projector", _mergers(tower)),
        ("embeddings", [embeddings]),
        ("decoder", [decoder]),
        ("head", [head]),
        ("vision", [tower]),
    ):
        for module in modules:
            for p in module.parameters():
                owners.setdefault(id(p), name)
    counts: Counter[str] = Counter()
    for p in model.parameters():
        counts[owners.get(id(p), "projector")] += p.numel()
    return counts


def _vision_tower(model: PreTrainedModel) -> nn.Module:
    tower = model.get_encoder(modality="image")
    if not isinstance(tower, nn.Module) or tower is model:
        raise ModelError(f"{model.config.model_type} has no vision tower of its own")
    return tower


def _mergers(tower: nn.Module) -> list[nn.Module]:
    """Modules inside a tower that already belong to the projector: Qwen-VL and GLM call them mergers."""
    return [child for name, child in tower.named_children() if "merger" in name]


# ------------------------------------------------------------------------------------------------ FLOPs


class _Unmultiplied(TorchFunctionMode):
    """Matrix products give zeros of the right shape; they run on the meta device only, where they are counted."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in PRODUCTS:
            return func(*args, **kwargs)
        args, kwargs = tree_map(lambda x: x.to("meta") if isinstance(x, Tensor) else x, (args, kwargs))
        return torch.zeros_like(func(*args, **kwargs), device="cpu")


def _hollow_model(config: Any) -> PreTrainedModel:
    """The model with its parameters' shapes and none of their memory."""
    with torch.device("meta"):
        # dtype: elementwise work is quickest in float32; experts: a loop, since the fused ones gather their weights
        model = AutoModelForImageTextToText.from_config(copy.deepcopy(config), dtype=torch.float32)
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")
    hollow: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, p in module._parameters.items():
            if p is not None:  # tied parameters stay tied
                zero = torch.zeros((), dtype=p.dtype).expand(p.shape)
                module._parameters[name] = hollow.setdefault(id(p), nn.Parameter(zero, requires_grad=False))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.zeros(buffer.shape, dtype=buffer.dtype)
    return model.eval()


@contextmanager
def _counting(parts: Mapping[str, nn.Module]) -> Iterator[Counter[str]]:
    """FLOPs of what runs inside the block: of each named part, and in `total`."""
    tally: Counter[str] = Counter()
    began: dict[str, int] = {}
    hooks = []
    with FlopCounterMode(display=False) as counter, _Unmultiplied(), torch.no_grad():

        def enter(name: str) -> None:
            began[name] = counter.get_total_flops()

        def leave(name: str) -> None:
            tally[name] += counter.get_total_flops() - began[name]

        for name, part in parts.items():
            hooks.append(part.register_forward_pre_hook(lambda *_, name=name: enter(name)))
            hooks.append(part.register_forward_hook(lambda *_, name=name: leave(name)))
        try:
            yield tally
        finally:
            for hook in hooks:
                hook.remove()
            tally["total"] = counter.get_total_flops()


def _fit(tokens: tuple[int, ...], flops: tuple[int, ...]) -> tuple[float, float]:
    """(per token, per pair) of FLOPs that grow as per_token·n + per_pair·n²; linear if there is one measurement."""
    rates = [f / n for f, n in zip(flops, tokens, strict=True)]
    if len(rates) == 1:
        return rates[0], 0.0
    per_pair = (rates[1] - rates[0]) / (tokens[1] - tokens[0])
    if per_pair <= 0:  # linear attention: more tokens share its fixed cost
        return rates[1], 0.0
    return rates[0] - per_pair * tokens[0], per_pair


def _layers(model: PreTrainedModel) -> tuple[tuple[LayerAnatomy, ...], float]:
    """Every decoder layer, and the decoder's FLOPs per token outside of them.

    Only one layer of each kind is run.
    """
    layers = decoder_layers(model)
    text = model.config.get_text_config(decoder=True)
    types = layer_kinds(text) or [""] * len(layers)
    kinds = [
        (type(layer), kind, tuple((name, p.shape) for name, p in layer.named_parameters()))
        for layer, kind in zip(layers, types, strict=True)
    ]
    first = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    view = pruned_view(model, set(range(len(layers))) - set(first))
    decoder = text_decoder(view)
    runs: list[Counter[str]] = []
    for n in LENGTHS:
        cache = DynamicCache(config=view.config.get_text_config(decoder=True))
        with _counting({str(i): layer for i, layer in enumerate(decoder_layers(view, least=1))}) as flops:
            decoder(inputs_embeds=torch.zeros(1, n, text.hidden_size), past_key_values=cache, use_cache=True)
        runs.append(flops)
    found = {}
    for i, index in enumerate(first):
        per_token, per_pair = _fit(LENGTHS, (runs[0][str(i)], runs[1][str(i)]))
        kept = cache.layers[i]
        states = [getattr(kept, name, None) for name in ("keys", "values")]
        found[kinds[index]] = LayerAnatomy(
            parameters=sum(p.numel() for p in layers[index].parameters()),
            flops_per_token=per_token,
            flops_per_pair=per_pair,
            kv_elements=sum(s.shape[1] * s.shape[-1] for s in states if isinstance(s, Tensor) and s.ndim == 4),
            window=int(getattr(kept, "sliding_window", None) or 0),
        )
    outside = runs[0]["total"] - sum(runs[0][str(i)] for i in range(len(first)))
    return tuple(found[kind] for kind in kinds), outside / LENGTHS[0]


def _vision(model: PreTrainedModel) -> dict[str, Any]:
    """FLOPs of the vision tower and the projector per image token."""
    tower = _vision_tower(model)
    parts = {"tower": tower} | {f"merger {i}": m for i, m in enumerate(_mergers(tower))}
    for pictures in _pictures(model):
        try:
            runs = [_run(model, picture, parts) for picture in pictures]
        except MISMATCH:
            continue
        tokens = tuple(n for n, _, _ in runs)
        per_token, per_pair = _fit(tokens, tuple(vision for _, vision, _ in runs))
        return {
            "tokens_per_image": tokens[0] if len(tokens) == 1 else 0,
            "vision_flops_per_token": per_token,
            "vision_flops_per_pair": per_pair,
            "projector_flops_per_token": runs[-1][2] / tokens[-1],
        }
    unknown = ("tokens_per_image", "vision_flops_per_token", "vision_flops_per_pair", "projector_flops_per_token")
    return {**dict.fromkeys(unknown, 0), "vision_counted": False}


def _run(model: PreTrainedModel, picture: dict[str, Tensor], parts: Mapping[str, nn.Module]) -> tuple[int, int, int]:
    """(image tokens, FLOPs of the tower, of the projector) of one picture."""
    with _counting(parts) as flops:
        out = model.get_image_features(**picture)
    features = getattr(out, "pooler_output", out)
    features = [features] if isinstance(features, Tensor) else features
    n = sum(f.numel() // f.shape[-1] for f in features)
    vision = flops["tower"] - sum(v for name, v in flops.items() if name.startswith("merger"))
    return n, vision, flops["total"] - vision


def _pictures(model: PreTrainedModel) -> Iterator[list[dict[str, Tensor]]]:
    """Inputs of `get_image_features` to try, by its signature; two sizes if the cost depends on the size."""
    asked = inspect.signature(model.get_image_features).parameters
    vision = model.config.vision_config
    patch = _side(getattr(vision, "patch_size", 14))
    channels = getattr(vision, "in_channels", None) or getattr(vision, "in_chans", None) or 3
    if "image_grid_thw" in asked:  # patches already flat: any size
        depth = channels * getattr(vision, "temporal_patch_size", 1) * patch**2
        yield [{"pixel_values": torch.ones(g * g, depth), "image_grid_thw": torch.tensor([[1, g, g]])} for g in GRIDS]
        return
    side = _side(getattr(vision, "image_size", GRIDS[1] * patch))
    if "image_sizes" not in asked:
        yield [{"pixel_values": torch.ones(1, 3, side, side)}]
        yield [{"pixel_values": torch.ones(1, 1, 3, side, side)}]
        return
    sizes = [g * patch for g in GRIDS]
    yield [{"pixel_values": torch.ones(1, 3, s, s), "image_sizes": torch.tensor([[s, s]])} for s in sizes]
    for n in range(1, MOST_TILES + 1):  # the tower's own size, in as many tiles as the model cuts it into
        yield [{"pixel_values": torch.ones(1, n, 3, side, side), "image_sizes": torch.tensor([[side, side]])}]


def _side(value: Any) -> int:
    return int(value[0] if isinstance(value, (list, tuple)) else value)
