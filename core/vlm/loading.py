"""Loading a vision-language model, and finding out what pruning must know about it, without a table of models."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import CacheNotFound, constants, scan_cache_dir, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    StrictDataclassError,
)
from huggingface_hub.utils import validate_repo_id
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, GenerationMixin, PreTrainedModel

from core import settings
from core.errors import ModelError, first_line
from core.records.plan import ModelSpec, model_name
from core.vlm.depth import check_separable
from core.vlm.placement import BALANCED, choose_place, loaded_dtype
from core.vlm.processing import load_processor

TINY = "tiny"
SMOL = "smol"
HASHED_WHOLE = 64 * 2**20  # bytes; of larger weight files only the head is hashed
WANTED_FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
# what transformers raises for unusable files
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ImportError,
    RuntimeError,
    StrictDataclassError,
    SafetensorError,
)


@dataclass(frozen=True)
class VLM:
    """A loaded model with its processor. It is shared, so nothing may change it (views share its weights)."""

    model: PreTrainedModel
    processor: Any
    spec: ModelSpec
    folder: Path | None = None  # where the weights were read from; None for models built in memory

    def __repr__(self) -> str:
        s = self.spec
        about = f"{s.family}, {s.n_layers} decoder layers, {s.n_parameters:,} parameters, {s.dtype} on {s.device}"
        return f"VLM({s.model_id!r} at {s.revision[:10]}: {about})"

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        return input_device(self.model)


def load_vlm(model_id: str = TINY, revision: str | None = None, device: str = "auto", dtype: str = "auto") -> VLM:
    """Load an image-text-to-text model by name, Hub id or local folder.

    Args:
        model_id: "tiny" (embedded), "smol" (fetched), a Hub id "org/name", optionally with "@revision", or a path that
            starts with "/", "." or "~".
        device: "auto" is the CPU without a GPU, else the first GPU that holds the whole model, else "balanced": layers
            spread over all GPUs and the CPU by accelerate (its device_map). Or a device by name.
        dtype: "auto" is float32 on CPU and the checkpoint's own elsewhere.
    Raises:
        ModelError: with one line that says what is wrong and what to do.
    """
    folder, spec_id, revision = _resolve(model_id, revision)
    config = read_config(folder, spec_id)
    if not list(folder.glob("*.safetensors")):
        raise ModelError(f"{model_id} has no safetensors weights: only safe checkpoints are loaded")
    place = choose_place(device, folder, dtype)
    options: dict[str, Any] = {"device_map": BALANCED} if place == BALANCED else {}
    safe: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    with _readable(f"cannot load {model_id}"):
        model = AutoModelForImageTextToText.from_pretrained(
            folder, config=config, dtype=loaded_dtype(dtype, place), use_safetensors=True, **options, **safe
        )
        if not options:
            model.to(place)
    spec = describe(model, spec_id, revision)
    with _readable(f"cannot load the processor of {model_id}"):
        processor = load_processor(folder)
    model.eval().requires_grad_(False)
    return VLM(model, processor, spec, folder)


def read_spec(model_id: str = TINY, revision: str | None = None) -> ModelSpec:
    """A model's spec from its configuration alone: built on the meta device, no weight is read."""
    return load_outline(model_id, revision).spec


def load_outline(model_id: str = TINY, revision: str | None = None) -> VLM:
    """A model on the meta device, without weights or a processor: enough to describe it, or to copy its files."""
    return _outline(*_resolve(model_id, revision))


def _outline(folder: Path, model_id: str, revision: str) -> VLM:
    config = read_config(folder, model_id)
    with _readable(f"cannot build {model_id}"), torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    return VLM(model, None, describe(model, model_id, revision), folder)


def describe(model: PreTrainedModel, model_id: str, revision: str) -> ModelSpec:
    layers = decoder_layers(model)
    return ModelSpec(
        model_id=model_id,
        revision=revision,
        family=str(model.config.model_type),
        n_layers=len(layers),
        structural=structural_layers(model),
        n_parameters=sum(p.numel() for p in model.parameters()),
        layer_parameters=tuple(sum(p.numel() for p in layer.parameters()) for layer in layers),
        dtype=str(model.dtype).removeprefix("torch."),
        device=_device_names(model),
        attention=str(model.config.get_text_config(decoder=True)._attn_implementation),
    )


def input_device(model: PreTrainedModel) -> torch.device:
    """The device of the input embeddings."""
    embeddings = model.get_input_embeddings()
    # between forwards, offloaded weights are on the meta device; accelerate's hook has the device of their use
    place = getattr(getattr(embeddings, "_hf_hook", None), "execution_device", None)
    return torch.device(embeddings.weight.device if place is None else place)


def _device_names(model: PreTrainedModel) -> str:
    """The device, or for a dispatched model all places of its weights: "cuda:0+cuda:1+cpu"."""
    places = dict.fromkeys(getattr(model, "hf_device_map", {"": input_device(model)}).values())
    return "+".join(p if p == "disk" else str(torch.device(p)) for p in places)


def text_decoder(model: PreTrainedModel) -> nn.Module:
    """The module with the decoder's layers; some families wrap it more deeply than `get_decoder` unwraps."""
    decoder: Any = model.get_decoder()
    while not isinstance(getattr(decoder, "layers", None), nn.ModuleList):
        inner = getattr(decoder, "model", None) or getattr(decoder, "decoder", None)
        if inner is None or inner is decoder:
            raise ModelError(f"{model.config.model_type} has no decoder layer list that could be pruned")
        decoder = inner
    return decoder


def decoder_layers(model: PreTrainedModel, least: int = 2) -> nn.ModuleList:
    """The text decoder's layers, in order; a ModelError if there are fewer than `least` or they cannot be dropped."""
    check_separable(model.config)
    layers = text_decoder(model).layers
    assert isinstance(layers, nn.ModuleList)
    if len(layers) < least:
        raise ModelError(f"{model.config.model_type} has a decoder of {len(layers)} layer: there is nothing to drop")
    if any(hasattr(layer, "cross_attn") or hasattr(layer, "encoder_attn") for layer in layers):
        raise ModelError(
            f"{model.config.model_type} feeds images through cross-attention: its layers cannot be dropped"
        )
    return layers


def structural_layers(model: PreTrainedModel) -> tuple[int, ...]:
    """Layers that no plan may drop: all up to the last one where visual features are added (DeepStack).

    Features are added by list position, so dropping an earlier layer would move them.
    """
    config = model.config
    vision = getattr(config, "vision_config", None)
    places = [len(getattr(vision, "deepstack_visual_indexes", None) or ())]
    if hasattr(config, "deepstack_layer_map"):  # Granite 4 Vision names the decoder layers
        pairs = config.deepstack_layer_map or ()
        places += [layer + 1 for layer in (*(layer for _, layer in pairs), *config.spatial_target_layers)]
    return tuple(range(min(max(places), len(decoder_layers(model)))))


def image_token_id(model: PreTrainedModel) -> int:
    for name in ("image_token_id", "image_token_index"):
        value = getattr(model.config, name, None)
        if value is not None:
            return int(value)
    raise ModelError(f"{model.config.model_type} does not say which token stands for an image")


# ------------------------------------------------------------------------------------------------ where it is


def _resolve(model_id: str, revision: str | None) -> tuple[Path, str, str]:
    """(folder, id, revision) of a model; downloads a Hub model that is not in the cache."""
    if model_id == TINY:
        if not (settings.TINY_DIR / "config.json").exists():
            raise ModelError("the embedded model is missing: run python -m core tiny train")
        return settings.TINY_DIR, TINY, folder_revision(settings.TINY_DIR)
    if model_id == SMOL:
        if not (settings.smol_dir() / "config.json").exists():
            raise ModelError("smol is not on this machine yet: run python -m core models fetch smol (93 MB)")
        return settings.smol_dir(), SMOL, folder_revision(settings.smol_dir())
    if model_id.startswith(("/", ".", "~")):
        folder = Path(model_id).expanduser()
        if not (folder / "config.json").is_file():
            raise ModelError(f"no model in '{model_id}': the folder must hold a config.json")
        return folder, model_name(model_id), folder_revision(folder)
    name, _, at = model_id.partition("@")
    try:
        validate_repo_id(name)
    except HFValidationError:
        name = ""
    if name.count("/") != 1:
        raise ModelError(
            f"unknown model '{model_id}': give 'tiny', 'smol', a Hub id (Qwen/Qwen3-VL-4B-Instruct) or a folder "
            "(./model)"
        )
    try:
        # from_pretrained("org/name") would prefer a local folder of that name; the snapshot's path does not
        folder = Path(snapshot_download(name, revision=revision or at or None, allow_patterns=WANTED_FILES))
    except RepositoryNotFoundError:
        raise ModelError(
            f"the Hub has no model '{name}', or it is private: check the name, or log in with hf auth login"
        ) from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        if constants.HF_HUB_OFFLINE:
            raise ModelError(
                f"HF_HUB_OFFLINE is set and the Hub's cache on this machine lacks '{model_id}': run hf download {name} "
                "with it unset, and copy its cache here if this machine has no network; or give a local folder"
            ) from None
        raise ModelError(
            f"cannot fetch '{name}' from the Hub: {first_line(error)[:200]}; go online once, or give a local folder"
        ) from error
    return folder, name, folder.name


def folder_revision(folder: Path) -> str:
    """Content hash of a local model: its configuration and weights (of files above 64 MiB: name, size and head)."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name}/{size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(size if size <= HASHED_WHOLE else 2**20))
    return digest.hexdigest()[:16]


def read_config(folder: Path, model_id: str) -> Any:
    """The configuration in a folder; a ModelError if its kind of model cannot be pruned."""
    with _readable(f"{model_id} is not a model that transformers knows"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{model_id} is an encoder-decoder; only decoder-only vision-language models can be pruned here"
        )
    if type(config) not in AutoModelForImageTextToText._model_mapping:
        raise ModelError(f"{model_id} ({config.model_type}) does not take images: give a vision-language model")
    if not issubclass(AutoModelForImageTextToText._model_mapping[type(config)], GenerationMixin):
        raise ModelError(
            f"{model_id} ({config.model_type}) does not answer token by token: its layers cannot be pruned"
        )
    check_separable(config)
    return config


@contextmanager
def _readable(otherwise: str) -> Iterator[None]:
    """Turn transformers' errors about unusable files into one line."""
    try:
        yield
    except UNREADABLE as error:
        why = "it needs code from its own repository, which is never run here"
        raise ModelError(
            f"{otherwise}: {why if 'trust_remote_code' in str(error) else first_line(error)[:200]}"
        ) from error


def quiet_transformers() -> None:
    """No progress bars and no warnings from transformers: the caller shows its own."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


# ------------------------------------------------------------------------------------------------ what is known here


def known_models() -> tuple[list[ModelSpec], dict[str, str]]:
    """Specs of the embedded and the fetched model and of those in the Hub cache; and why others are not supported."""
    found = [_resolve(TINY, None)]
    with suppress(ModelError):
        found.append(_resolve(SMOL, None))
    with suppress(CacheNotFound):
        for repo in sorted(scan_cache_dir().repos, key=lambda r: r.repo_id):
            if repo.repo_type == "model" and repo.revisions:
                newest = max(repo.revisions, key=lambda r: r.last_modified)
                found.append((newest.snapshot_path, repo.repo_id, newest.commit_hash))
    specs, skipped = [], {}
    for folder, name, revision in found:
        try:
            specs.append(_outline(folder, name, revision).spec)
        except ModelError as error:
            skipped[name] = str(error)
    return specs, skipped
