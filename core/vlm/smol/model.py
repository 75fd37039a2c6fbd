"""The `smol` model: the embedded model's vision tower, a projector, and a really pretrained decoder of 30 layers.

Everything is a plain transformers class, so the folder that is fetched loads with AutoProcessor and
AutoModelForImageTextToText. In training, the projector's input and output are scaled, since the tower's features are
58 times as large as the decoder's embeddings; `folded` puts the scales into the weights.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import (
    CLIPVisionModel,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerBase,
)

from core.vlm.tiny.model import N_IMAGE_TOKENS

FEATURE_SCALE = 7.9  # standard deviation of the tower's features
EMBEDDING_SCALE = 0.136  # standard deviation of the decoder's embeddings
IMAGE, UNUSED = "<image>", "<empty_output>"  # the image token takes the place of one that text never holds
# Questions about a picture are asked without the system message: 22 tokens fewer, and each starts with the picture.
# Text is asked as the pretrained decoder was trained to be.
CHAT_TEMPLATE = (
    "{%- set ns = namespace(pictures=false) -%}"
    "{%- for m in messages if m.content is not string -%}"
    "{%- for c in m.content if c.type == 'image' -%}{%- set ns.pictures = true -%}{%- endfor -%}"
    "{%- endfor -%}"
    "{%- if not ns.pictures and messages[0].role != 'system' -%}"
    "{{- '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' -}}"
    "{%- endif -%}"
    "{%- for m in messages -%}"
    "{{- '<|im_start|>' + m.role + '\n' -}}"
    "{%- if m.content is string -%}{{- m.content -}}"
    "{%- else -%}"
    "{%- for c in m.content if c.type == 'image' -%}<image>{%- endfor -%}"
    "{%- for c in m.content if c.type == 'text' -%}{{- c.text -}}{%- endfor -%}"
    "{%- endif -%}"
    "{{- '<|im_end|>\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)


class Connector(nn.Module):
    """Two linear layers from the tower's features to image tokens, with inputs and outputs of standard deviation 1."""

    def __init__(self, width: int, decoder_width: int):
        super().__init__()
        self.linear_1 = nn.Linear(width, decoder_width)
        self.linear_2 = nn.Linear(decoder_width, decoder_width)

    def forward(self, features: Tensor) -> Tensor:
        hidden = nn.functional.gelu(self.linear_1(features / FEATURE_SCALE))
        return self.linear_2(hidden) * EMBEDDING_SCALE

    def folded(self) -> dict[str, Tensor]:
        """The same map as the weights of LLaVA's projector."""
        return {
            "linear_1.weight": self.linear_1.weight.detach() / FEATURE_SCALE,
            "linear_1.bias": self.linear_1.bias.detach(),
            "linear_2.weight": self.linear_2.weight.detach() * EMBEDDING_SCALE,
            "linear_2.bias": self.linear_2.bias.detach() * EMBEDDING_SCALE,
        }


def load_tower(tiny: Path) -> CLIPVisionModel:
    """The embedded model's trained vision tower, in float32."""
    model = LlavaForConditionalGeneration.from_pretrained(tiny, dtype=torch.float32, local_files_only=True)
    return model.model.vision_tower


def image_features(tower: nn.Module, pixels: Tensor) -> Tensor:
    """(B, 25, 128) features of (B, 80, 80, 3) uint8 pictures; the class token is left out."""
    x = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0
    return torch.as_tensor(tower(x).last_hidden_state[:, 1:])


def join(
    tower: CLIPVisionModel, decoder: LlamaForCausalLM, projector: dict[str, Tensor], tokenizer: PreTrainedTokenizerBase
) -> LlavaForConditionalGeneration:
    """One model of three parts, in float32."""
    text = decoder.config.to_dict()
    text.pop("quantization_config", None)
    config = LlavaConfig(
        vision_config=tower.config.to_dict(),
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=N_IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        projector_hidden_act="gelu",
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.model.multi_modal_projector.load_state_dict(projector)
    model.model.language_model.load_state_dict(decoder.model.state_dict())
    model.tie_weights()
    generation = model.generation_config
    generation.eos_token_id, generation.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    generation.bos_token_id = tokenizer.bos_token_id
    return model
