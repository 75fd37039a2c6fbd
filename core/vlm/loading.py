"""Loading a vision-language model, and finding what pruning needs to know about it, without a per-model table."""

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import CacheNotFound, scan_cache_dir, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, PreTrainedModel

from core import settings
from core.errors import ModelError
from core.pruning.plan import ModelSpec

TINY = "tiny"
HASHED_WHOLE = 64 * 2**20  # bytes; of larger weight files only the head is hashed
WANTED_FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]


@dataclass(frozen=True)
class VLM:
    """A loaded model with its processor. Shared by everyone: nothing may change it (views share its weights)."""

    model: PreTrainedModel
    processor: Any
    spec: ModelSpec
    folder: Path | None = None  # where the weights were read from; None for models built in memory

    @property
    def device(self) -> torch.device:
        return torch.device(self.model.device)


def load_vlm(model_id: str = TINY, revision: str | None = None, device: str = "auto", dtype: str = "auto") -> VLM:
    """Load an image-text-to-text model by name, Hub id or local folder.

    Args:
        model_id: "tiny" (embedded), a Hub id "org/name", optionally with "@revision", or a path that starts with
            "/", "." or "~".
        device: "auto" takes CUDA when there is one.
        dtype: "auto" is float32 on CPU and the checkpoint's own elsewhere.
    Raises:
        ModelError: with one line that says what is wrong and what to do.
    """
    folder, spec_id, revision = _resolve(model_id, revision)
    where = _device(device)
    config = _config(folder, spec_id)
    wanted: Any = (torch.float32 if where.type == "cpu" else "auto") if dtype == "auto" else _dtype(dtype)
    if not list(folder.glob("*.safetensors")):
        raise ModelError(f"{model_id} has no safetensors weights: only safe checkpoints are loaded")
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            folder, config=config, dtype=wanted, use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"cannot load {model_id}: {_first_line(error)}") from error
    model = model.to(where).eval()
    model.requires_grad_(False)
    return VLM(model, processor, describe(model, spec_id, revision), folder)


def read_spec(model_id: str = TINY, revision: str | None = None) -> ModelSpec:
    """What a model is, from its configuration alone: built on the meta device, no weight is read."""
    return load_outline(model_id, revision).spec


def load_outline(model_id: str = TINY, revision: str | None = None) -> VLM:
    """A model on the meta device, without weights or a processor: enough to describe it, or to copy its files."""
    folder, spec_id, revision = _resolve(model_id, revision)
    config = _config(folder, spec_id)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    return VLM(model, None, describe(model, spec_id, revision), folder)


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
        device=str(model.device),
    )


def decoder_layers(model: PreTrainedModel, least: int = 2) -> nn.ModuleList:
    """The text decoder's layers, in order; a ModelError if there are fewer than `least` or they cannot be dropped."""
    layers = getattr(model.get_decoder(), "layers", None)
    if not isinstance(layers, nn.ModuleList) or len(layers) < least:
        raise ModelError(f"{model.config.model_type} has no decoder layer list that could be pruned")
    if any(hasattr(layer, "cross_attn") or hasattr(layer, "encoder_attn") for layer in layers):
        raise ModelError(
            f"{model.config.model_type} feeds images through cross-attention; dropping its layers is not supported"
        )
    return layers


def structural_layers(model: PreTrainedModel) -> tuple[int, ...]:
    """Layers that no plan may drop: DeepStack adds visual features behind the first few list positions."""
    vision = getattr(model.config, "vision_config", None)
    return tuple(range(len(getattr(vision, "deepstack_visual_indexes", None) or ())))


def image_token_id(model: PreTrainedModel) -> int:
    for name in ("image_token_id", "image_token_index"):
        value = getattr(model.config, name, None)
        if value is not None:
            return int(value)
    raise ModelError(f"{model.config.model_type} does not say which token stands for an image")


# ------------------------------------------------------------------------------------------------ where it is


def _resolve(model_id: str, revision: str | None) -> tuple[Path, str, str]:
    """(folder, id, revision) of a model; downloads a Hub model that is not there yet."""
    if model_id == TINY:
        if not (settings.TINY_DIR / "config.json").exists():
            raise ModelError("the embedded model is missing: run python -m core tiny train")
        return settings.TINY_DIR, TINY, folder_revision(settings.TINY_DIR)
    if model_id.startswith(("/", ".", "~")):
        folder = Path(model_id).expanduser()
        if not (folder / "config.json").is_file():
            raise ModelError(f"no model in '{model_id}': the folder must hold a config.json")
        return folder, str(folder), folder_revision(folder)
    name, _, at = model_id.partition("@")
    try:
        validate_repo_id(name)
    except HFValidationError:
        name = ""
    if name.count("/") != 1:
        raise ModelError(
            f"unknown model '{model_id}': give 'tiny', a Hub id (Qwen/Qwen3-VL-4B-Instruct) or a folder (./model)"
        )
    try:
        # from_pretrained("org/name") would prefer a local folder of that name; the snapshot's path is safe from that
        folder = Path(snapshot_download(name, revision=revision or at or None, allow_patterns=WANTED_FILES))
    except RepositoryNotFoundError:
        raise ModelError(
            f"the Hub has no model '{name}', or it is private: check the name, or log in with hf auth login"
        ) from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelError(
            f"cannot fetch '{name}' from the Hub: {_first_line(error)}; go online once, or give a local folder"
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


def _config(folder: Path, model_id: str) -> Any:
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"{model_id} is not a model that transformers knows: {_first_line(error)}") from error
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{model_id} is an encoder-decoder; only decoder-only vision-language models can be pruned here"
        )
    if type(config) not in AutoModelForImageTextToText._model_mapping:
        raise ModelError(f"{model_id} ({config.model_type}) does not take images: give a vision-language model")
    return config


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        where = torch.device(name)
    except RuntimeError:
        raise ModelError(f"unknown device '{name}': give auto, cpu, cuda or cuda:0") from None
    if where.type == "cuda" and not torch.cuda.is_available():
        raise ModelError("no CUDA device here: give --device cpu")
    return where


def _dtype(name: str) -> torch.dtype:
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in known:
        raise ModelError(f"unknown dtype '{name}': give auto, {', '.join(known)}")
    return known[name]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def quiet_transformers() -> None:
    """No progress bars and no warnings from transformers: the caller shows its own."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


# ------------------------------------------------------------------------------------------------ what is known here


def known_models() -> tuple[list[ModelSpec], dict[str, str]]:
    """Specs of the embedded model and of the models in the local Hub cache; and why others there are not supported."""
    specs, skipped = [], {}
    names = [TINY]
    with contextlib.suppress(CacheNotFound):
        names += sorted(r.repo_id for r in scan_cache_dir().repos if r.repo_type == "model")
    for name in names:
        try:
            specs.append(read_spec(name))
        except ModelError as error:
            skipped[name] = str(error)
    return specs, skipped


def memory_bytes() -> int:
    """Memory that a model could take: free on the first GPU, or available on this machine."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
