"""The embedded VLM: a LLaVA-shaped model of a few million parameters, its tokenizer and its processor.

Everything is a plain transformers class, so the saved folder loads with AutoProcessor and AutoModelForImageTextToText.
"""

import random
from collections.abc import Iterator

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen3Config,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from core.scenes.questions import TASKS
from core.scenes.samples import random_split_scene
from core.scenes.scenes import SCENE_KINDS, SIZE

PAD, IMAGE, USER, ASSISTANT, END = "<pad>", "<image>", "<|user|>", "<|assistant|>", "<|end|>"
PATCH = 16
N_IMAGE_TOKENS = (SIZE // PATCH) ** 2
VOCAB_SIZE = 768
# One image before the first user turn, so that every question about it sees the same prefix.
CHAT_TEMPLATE = (
    "{%- for m in messages -%}"
    "{%- if m.content is not string -%}"
    "{%- for c in m.content if c.type == 'image' -%}<image>{%- endfor -%}"
    "{%- endif -%}"
    "{{- '<|user|>' if m.role == 'user' else '<|assistant|>' -}}"
    "{%- if m.content is string -%}{{- m.content -}}"
    "{%- else -%}{%- for c in m.content if c.type == 'text' -%}{{- c.text -}}{%- endfor -%}{%- endif -%}"
    "{%- if m.role == 'assistant' -%}<|end|>{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)


def _corpus(seed: int, n: int) -> Iterator[str]:
    """Question texts of the train split, and answers in lower case, so that words in capitals stay single letters."""
    rng = random.Random(seed)
    for _ in range(n):
        for task in TASKS.values():
            scene = random_split_scene(
                rng.choice(list(SCENE_KINDS)) if task.scene == "any" else task.scene, "train", rng
            )
            question = task.question(scene, rng)
            if question is not None:
                yield question.text
                if not question.answer.isupper():
                    yield question.answer


def build_tokenizer(seed: int = 0) -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on drawn questions: any text encodes, digits and letters of written words stay single."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" [+\-×=] |, |\d| ?[A-Z]?[a-z]+| ?[^\s\w]+|[A-Z]|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[PAD, IMAGE, USER, ASSISTANT, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(seed, 400), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[IMAGE, USER, ASSISTANT],
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=1024,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def build_processor(
    tokenizer: PreTrainedTokenizerFast, size: int = SIZE, patch_size: int = PATCH, chat_template: str = CHAT_TEMPLATE
) -> LlavaProcessor:
    """Square pictures of `size` pixels without a centre crop: an upload keeps all of its picture."""
    image_processor = CLIPImageProcessorPil(
        size={"height": size, "width": size},
        do_center_crop=False,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the class token, which "default" leaves out
        chat_template=chat_template,
        image_token=IMAGE,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, n_layers: int = 16, seed: int = 0) -> LlavaForConditionalGeneration:
    """The untrained model: 3 vision layers, n_layers decoder layers, width 128, tied embeddings."""
    torch.manual_seed(seed)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=SIZE,
            patch_size=PATCH,
            projection_dim=128,
        ),
        text_config=Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=320,
            num_hidden_layers=n_layers,
            num_attention_heads=4,
            num_key_value_heads=4,
            head_dim=32,
            max_position_embeddings=1024,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=N_IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        projector_hidden_act="gelu",
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlavaForConditionalGeneration(config)
    generation = model.generation_config
    generation.eos_token_id, generation.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    generation.bos_token_id = None
    return model
