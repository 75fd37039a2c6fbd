"""The three parts in training: vision tower and connector, and a decoder with adapters beside its frozen weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPVisionModel, LlamaForCausalLM

from core.vlm.smol.language import answer_kl
from core.vlm.smol.lora import adapt, adapter_state, load_adapters
from core.vlm.smol.model import Connector, image_features
from core.vlm.smol.packing import IGNORED, Packed


class Learner(nn.Module):
    """Takes over `tower` and `decoder`: the one is trained, the other frozen and given adapters, in place."""

    def __init__(self, tower: CLIPVisionModel, decoder: LlamaForCausalLM, rank: int, alpha: float, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.tower = tower.requires_grad_(True)
        # additive masks as packing makes them; the fused kernels are no faster at this length
        decoder.set_attn_implementation("eager")
        self.decoder = decoder.requires_grad_(False)
        self.connector = Connector(tower.config.hidden_size, decoder.config.hidden_size)
        self.adapters = adapt(decoder, rank, alpha)

    def hidden(self, batch: Packed, image_token: int) -> Tensor:
        """(B, T, D) final states."""
        image = self.connector(image_features(self.tower, batch.pixels))
        embeds = self.decoder.model.embed_tokens(batch.tokens)
        where = batch.tokens == image_token
        embeds = embeds.masked_scatter(where[..., None], image.reshape(-1, image.shape[-1]))
        out = self.decoder.model(
            inputs_embeds=embeds, position_ids=batch.positions, attention_mask=batch.mask, use_cache=False
        )
        return torch.as_tensor(out.last_hidden_state)

    def answers(self, batch: Packed, image_token: int) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy over answer tokens, and (answers,) bool, which greedy answers are right to the end."""
        chosen = batch.labels != IGNORED
        logits = self.decoder.lm_head(self.hidden(batch, image_token)[chosen])
        gold, owner = batch.labels[chosen], batch.answers[chosen]
        wrong = torch.zeros(len(batch.tasks)).index_add_(0, owner, (logits.argmax(-1) != gold).float())
        return F.cross_entropy(logits, gold), wrong == 0

    def text_kl(self, start: int, ids: list[int]) -> Tensor:
        """KL from the pretrained decoder's distribution over the tokens of an answer without a picture.

        Args:
            start: tokens of the prompt in `ids`, which hold prompt and answer.
        """
        tokens = torch.tensor([ids[:-1]])
        with torch.no_grad(), self.plain():
            teacher = self._text_logits(tokens, start)
        return answer_kl(teacher, self._text_logits(tokens, start))

    def _text_logits(self, tokens: Tensor, start: int) -> Tensor:
        hidden = self.decoder.model(tokens, use_cache=False).last_hidden_state[0, start - 1 :]
        return torch.as_tensor(self.decoder.lm_head(hidden))

    @contextmanager
    def plain(self) -> Iterator[None]:
        """Without adapters: the pretrained decoder."""
        scales = {name: m.scale for name, m in self.adapters.items()}
        for m in self.adapters.values():
            m.scale = 0.0
        try:
            yield
        finally:
            for name, m in self.adapters.items():
                m.scale = scales[name]

    def state(self) -> dict[str, Tensor]:
        """Everything that training changes."""
        found = {f"tower.{k}": v for k, v in self.tower.state_dict().items() if v.is_floating_point()}
        found |= {f"connector.{k}": v for k, v in self.connector.state_dict().items()}
        return found | {f"adapters.{k}": v for k, v in adapter_state(self.adapters).items()}

    def load(self, state: dict[str, Tensor]) -> None:
        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v.float() for k, v in state.items() if k.startswith(prefix)}

        self.tower.load_state_dict(part("tower."), strict=False)  # position ids are no weights
        self.connector.load_state_dict(part("connector."))
        load_adapters(self.adapters, part("adapters."))
