"""What a configuration states per layer: cut to the kept layers, or refused if layers cannot be dropped one by one.

Covers every way in which the families of transformers state depth: values listed per layer, lists of layer indices,
overrides by layer (`per_layer_config`), and rules that count layers from the first.
"""

import re
from typing import Any

from huggingface_hub.errors import StrictDataclassError

from core.errors import ModelError, PlanError

# lists of layer indices; every other list as long as the decoder holds one value for each layer
LAYER_INDICES = frozenset(
    ["full_attn_idxs", "kv_source_layers", "local_layer_ids", "mlp_only_layers", "moe_layers", "rope_scaling_layers"]
)
# layer types whose cache does not count tokens
UNCOUNTED = frozenset(["conv", "linear_attention", "mamba", "mamba2", "mlp", "moe", "recurrent"])
KINDS = ("layer_types", "layers_block_type", "block_types")  # attributes that name the type of each layer
# names of modules by layer, as lists of what is not quantised hold them; those of towers have layers of their own
NAMED = re.compile(r"(?<![\w])((?:layers|h|blocks)\.)(\d+)(?![\d])")
TOWERS = re.compile(r"vis(?:ion|ual)|image|audio|tower|encoder|resampler|perceiver|projector|merger|mtp", re.IGNORECASE)
PATTERN = re.compile(r"(?:layers|h|blocks)(?:\\\.|\.)(?:\\d|[\[(]|\d+[|)])|(?:layers|h|blocks)\\\.\d")
# what ties layers to their neighbours or to their place, when it is set
TIED = {
    "cross_attention_layers": "feeds images through cross-attention",
    "cross_layer_interval": "feeds images through cross-attention",
    "num_kv_shared_layers": "lets its last layers reuse the keys and values of earlier ones",
    "hidden_size_per_layer_input": "gives each layer a slice of one embedding table",
    "n_layers_per_attn_res_block": "runs residuals over blocks of layers",
    "ple_layer_ids": "adds n-gram embeddings hashed by layer",
}


def check_separable(config: Any) -> None:
    """Raise a ModelError that names the attribute if this model's layers cannot be dropped one by one."""
    text = config.get_text_config(decoder=True)
    stated = vars(text)
    found = next(((name, why) for name, why in TIED.items() if stated.get(name)), None)
    if "shared" in (stated.get("indexer_types") or ()):
        found = "indexer_types", "lets layers reuse the token selection of the layer before"
    sources = stated.get("kv_source_layers")
    if sources and list(sources) != list(range(len(sources))):
        found = "kv_source_layers", TIED["num_kv_shared_layers"]
    n_layers = getattr(text, "num_hidden_layers", None)
    for name, value in stated.items() if n_layers else ():
        known = name in LAYER_INDICES or name.startswith("mtp") or not value  # mtp: layers next to the decoder
        if "layer" in name and _lists(name, value) and len(value) != n_layers and not known:
            found = found or (name, "lists layers in a way that is not known here")
    if found:
        name, why = found
        raise ModelError(f"{text.model_type} {why} ({name} in its config): its layers cannot be dropped one by one")


def cut_depth(text: Any, kept: list[int]) -> None:
    """Cut a text decoder's configuration, in place, to the kept layers.

    Raises:
        PlanError: the configuration cannot describe what would be left.
    """
    n_layers = text.num_hidden_layers
    overrides = text.to_dict()["per_layer_config"] if text.is_heterogeneous else None
    _state_sparse_layers(text, n_layers)
    text.num_hidden_layers = len(kept)
    cut = {
        name: _cut(name, value, kept)
        for name, value in vars(text).items()
        if _lists(name, value) and (len(value) == n_layers or name in LAYER_INDICES) and not name.startswith("mtp")
    }
    for name, value in cut.items():
        setattr(text, name, value)
    if vars(text).get("first_k_dense_replace"):
        text.first_k_dense_replace = sum(i < text.first_k_dense_replace for i in kept)
    if overrides is not None:
        by_layer = {int(i): values for i, values in overrides.items()}
        text.per_layer_config = {p: by_layer[i] for p, i in enumerate(kept) if i in by_layer}
    kinds = layer_kinds(text) if any(name in cut for name in KINDS) else None
    if kinds and UNCOUNTED.issuperset(kinds):
        raise PlanError("a hybrid decoder must keep at least one attention layer: its cache counts tokens there")
    if overrides or any(value.count(value[0]) < len(value) if value else True for value in cut.values()):
        _check_reload(text, cut)


def layer_kinds(text: Any) -> list[str] | None:
    """The type of each layer, by whatever name a configuration has for that; None where it has none."""
    found = next((kinds for name in KINDS if (kinds := getattr(text, name, None))), None)
    return list(found) if isinstance(found, (list, tuple)) else None


def renumber_names(value: Any, kept: list[int]) -> Any:
    """Names of the decoder's modules within lists and mappings, with the numbers of the kept layers; others go.

    Checkpoints name by layer what they did not quantise, outside of the text's configuration.

    Raises:
        PlanError: layers are named by a pattern, which cannot be renumbered.
    """
    if isinstance(value, str):
        return _renumbered(value, kept)
    if isinstance(value, dict):
        names = {key: _renumbered(key, kept) if isinstance(key, str) else key for key in value}
        found = {key: renumber_names(v, kept) for key, v in value.items() if names[key] is not None}
        return {names[key]: new for key, new in found.items() if new is not None or value[key] is None}
    if isinstance(value, (list, tuple)):
        new = [renumber_names(v, kept) for v in value]
        return type(value)(n for n, old in zip(new, value, strict=True) if n is not None or old is None)
    return value


def _renumbered(name: str, kept: list[int]) -> str | None:
    """A module's name with the layer's new number; None: the layer is not kept."""
    if TOWERS.search(name):
        return name
    if PATTERN.search(name):
        raise PlanError(
            f"the configuration names layers by a pattern ({name[:60]}), which cannot be renumbered: take a checkpoint "
            "that is not quantised"
        )
    found = NAMED.search(name)
    if found is None:
        return name
    layer = int(found[2])
    return name[: found.start(2)] + str(kept.index(layer)) + name[found.end(2) :] if layer in kept else None


def cut_lists(attributes: dict[str, Any], kept: list[int], n_layers: int) -> dict[str, Any]:
    """The attributes of a decoder module that list something per layer, cut."""
    return {
        name: _cut(name, value, kept)
        for name, value in attributes.items()
        if _lists(name, value) and len(value) == n_layers
    }


def _lists(name: str, value: Any) -> bool:
    return isinstance(value, (list, tuple)) and not name.startswith("_")


def _cut(name: str, value: Any, kept: list[int]) -> Any:
    if name in LAYER_INDICES:
        position = {layer: p for p, layer in enumerate(kept)}
        return type(value)(position[i] for i in value if i in position)
    return type(value)(value[i] for i in kept)


def _state_sparse_layers(text: Any, n_layers: int) -> None:
    """Turn "every n-th layer has experts" into a list of the layers that have none, which can be renumbered."""
    step = vars(text).get("decoder_sparse_step") or 1
    if step > 1:
        dense = {i for i in range(n_layers) if (i + 1) % step}
        text.mlp_only_layers = sorted(dense | set(text.mlp_only_layers or ()))
        text.decoder_sparse_step = 1


def _check_reload(text: Any, cut: dict[str, Any]) -> None:
    """Refuse a cut that the configuration changes when it is read (the last layer must attend to everything, say)."""
    try:
        again = type(text)(**text.to_dict())
    except (ValueError, StrictDataclassError) as error:
        raise PlanError(f"{text.model_type} cannot keep these layers only: {' '.join(str(error).split())}") from error
    for name, value in cut.items():
        if getattr(again, name) != value:
            raise PlanError(
                f"{text.model_type} cannot keep these layers only: on reload, its config would change {name}"
            )
