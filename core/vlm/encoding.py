"""Samples as model inputs: the prompt from the model's chat template, the gold answer behind it, padding on the right;
prompts that are to be answered are padded on the left.

Answers are tokenized apart from the prompt, so that their tokens are the ones that decoding would have to produce.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel

from core.errors import SampleError
from core.records.samples import Sample
from core.vlm.loading import VLM, image_token_id

MAX_QUESTION = 40_000  # characters; benchmarks ask with hints and options, and some with whole documents


@dataclass(frozen=True)
class Batch:
    """Inputs of one forward pass and where its kinds of tokens are.

    Attributes:
        inputs: keyword arguments of the model's forward.
        image, prompt, answer: (B, T) bool; prompt holds the text before the answer, answer includes the end token.
    """

    inputs: dict[str, Tensor]
    image: Tensor
    prompt: Tensor
    answer: Tensor

    @property
    def last(self) -> Tensor:
        """(B, T) bool, the last token before the answer (of the prompt's text, or of the image if that comes last)."""
        before = self.image | self.prompt
        position = torch.arange(before.shape[1], device=before.device)
        return before & (position == (before * position).amax(1, keepdim=True))


def prompt_text(vlm: VLM, question: str, with_image: bool = True) -> str:
    """The question as the model's chat template asks it, up to where the answer starts."""
    if not question.strip():
        raise SampleError("the question is empty: type one, for example 'How many shapes are there?'")
    if len(question) > MAX_QUESTION:
        raise SampleError(f"the question has {len(question)} characters; at most {MAX_QUESTION} are taken")
    image: list[dict[str, str]] = [{"type": "image"}] if with_image else []
    messages = [{"role": "user", "content": [*image, {"type": "text", "text": question}]}]
    return str(vlm.processor.apply_chat_template(messages, add_generation_prompt=True))


def encode_prompts(
    vlm: VLM, questions: Sequence[str], images: Sequence[Image.Image | None], padding_side: str = "right"
) -> dict[str, Tensor]:
    """Model inputs of prompts without answers; either all or none have an image."""
    texts = [prompt_text(vlm, q, i is not None) for q, i in zip(questions, images, strict=True)]
    kwargs: dict[str, Any] = {"text": texts, "return_tensors": "pt", "padding": True, "padding_side": padding_side}
    if images[0] is not None:
        kwargs["images"] = [[i] for i in images]
    encoded = vlm.processor(**kwargs)
    return {k: v.to(vlm.device) for k, v in encoded.items() if isinstance(v, Tensor)}


def encode_samples(vlm: VLM, samples: Sequence[Sample]) -> Batch:
    """Prompts with their gold answers and an end token, padded on the right."""
    inputs = encode_prompts(vlm, [s.question for s in samples], [s.image for s in samples])
    tokenizer = vlm.processor.tokenizer
    ends = end_token_ids(vlm.model)
    end = tokenizer.eos_token_id if tokenizer.eos_token_id in ends or not ends else min(ends)
    answers = [[*tokenizer.encode(s.answer, add_special_tokens=False), end] for s in samples]
    lengths = inputs["attention_mask"].sum(1).tolist()
    total = max(n + len(a) for n, a in zip(lengths, answers, strict=True))
    ids = inputs["input_ids"]
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id

    def widened(tensor: Tensor, fill: int) -> Tensor:
        wide = torch.full((len(samples), total), fill, dtype=tensor.dtype, device=tensor.device)
        for row, n in enumerate(lengths):
            wide[row, :n] = tensor[row, :n]
        return wide

    # every input that runs along the tokens (token types, say) grows with them
    wide = {k: widened(v, pad if k == "input_ids" else 0) if v.shape == ids.shape else v for k, v in inputs.items()}
    answer = torch.zeros_like(wide["input_ids"], dtype=torch.bool)
    for row, (n, a) in enumerate(zip(lengths, answers, strict=True)):
        wide["input_ids"][row, n : n + len(a)] = torch.tensor(a, device=ids.device)
        wide["attention_mask"][row, n : n + len(a)] = 1
        answer[row, n : n + len(a)] = True
    image = (wide["input_ids"] == image_token_id(vlm.model)) & ~answer
    return Batch(wide, image, wide["attention_mask"].bool() & ~image & ~answer, answer)


def end_token_ids(model: PreTrainedModel) -> set[int]:
    """Tokens that end an answer, from the model's generation config."""
    value = model.generation_config.eos_token_id if model.generation_config else None
    return set(value) if isinstance(value, list) else set() if value is None else {int(value)}


def sample_batches(samples: Sequence[Sample], size: int) -> Iterator[list[int]]:
    """Indices of samples in batches of at most `size`, samples with and without an image apart."""
    for with_image in (True, False):
        rows = [i for i, s in enumerate(samples) if (s.image is not None) == with_image]
        for start in range(0, len(rows), size):
            yield rows[start : start + size]
