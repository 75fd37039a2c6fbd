"""A GGUF file as plain transformers parts: a Llama decoder in float32 and its tokenizer with a token for pictures."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from core.errors import ModelError
from core.vlm.loading import UNREADABLE
from core.vlm.smol.model import CHAT_TEMPLATE, IMAGE, UNUSED


def read_gguf(path: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """The decoder in a GGUF file, dequantised, and its tokenizer.

    Raises:
        ModelError: the file cannot be read, or holds no Llama model.
    """
    options: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True}
    try:
        loaded = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **options)
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **options)
    except UNREADABLE as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(f"cannot read {path.name}: {first}") from error
    config = loaded.config.to_dict()
    if config.get("model_type") != "llama":
        raise ModelError(f"{path.name} holds a model of type {config.get('model_type')}: smol's decoder is a llama")
    # what is loaded carries quantisation settings and would be saved with them; a fresh model does not
    for name in ("quantization_config", "_name_or_path", "architectures", "transformers_version"):
        config.pop(name, None)
    decoder = LlamaForCausalLM(LlamaConfig.from_dict(config))
    decoder.load_state_dict(loaded.state_dict())
    return decoder.eval().requires_grad_(False), with_image_token(tokenizer)


def with_image_token(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerFast:
    """The tokenizer with a reserved token that text never holds renamed to the image token; no row is added."""
    document = json.loads(tokenizer.backend_tokenizer.to_str())
    reserved = [t for t in document["added_tokens"] if t["content"] == UNUSED]
    if not reserved or UNUSED not in document["model"]["vocab"]:
        raise ModelError(f"the tokenizer has no reserved token {UNUSED} that could stand for a picture")
    reserved[0]["content"] = IMAGE
    reserved[0]["special"] = True
    vocab = document["model"]["vocab"]
    document["model"]["vocab"] = {IMAGE if text == UNUSED else text: number for text, number in vocab.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(document)),
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        unk_token=tokenizer.unk_token,
        pad_token=tokenizer.pad_token,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=8192,
        chat_template=CHAT_TEMPLATE,
    )
