"""What lies in each patch of a drawn picture, in words of the decoder's own vocabulary: what its eyes are aligned to.

The projector is first trained, without the decoder, to put each image token where the words for its patch are in the
decoder's embedding space. The frozen decoder then reads a picture as words, and has less left to learn. A mark counts
for the patch of its centre, top or tip; text counts by the decoder's own tokens, each where it starts.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from core.scenes.scenes import CELL, SIZE, Bar, Scene, Shape, TextLine
from core.vlm.tiny.model import N_IMAGE_TOKENS, PATCH

BLANK = " blank"  # where nothing lies
SIDE = 0.5  # weight of what is true of a mark beside what it is
ROWS, COLUMNS = (" top", " middle", " bottom"), (" left", " center", " right")
SMALL = (" zero", " one", " two", " three", " four", " five", " six")
NUMBERS = (*SMALL, " seven", " eight", " nine", " ten", " eleven", " twelve")
TENS = ("", " ten", " twenty", " thirty", " forty", " fifty")

Words = list[tuple[str, float]]  # token texts and weights


def patch_words(scene: Scene, tokenizer: PreTrainedTokenizerBase) -> dict[int, Words]:
    """Words by patch; patches in which no mark counts are left out."""
    found: dict[int, Words] = {}

    def put(x: float, y: float, words: Words) -> None:
        column, row = (min(max(int(v // PATCH), 0), SIZE // PATCH - 1) for v in (x, y))
        found.setdefault(row * (SIZE // PATCH) + column, []).extend(words)

    for m in scene.marks:
        if isinstance(m, Shape):
            words = [(f" {m.color}", 1.0), (f" {m.shape}", 1.0)]
            if scene.kind == "layout":
                words += [(ROWS[m.cell[0]], SIDE), (COLUMNS[m.cell[1]], SIDE)]
                words += [(" smallest", SIDE)] if m.radius <= 5 else [(" largest", SIDE)] if m.radius >= 12 else []
            put(m.x, m.y, words)
        elif isinstance(m, TextLine):
            start = 0
            for token in pieces(m, tokenizer):
                put(m.x + CELL * start + CELL / 2, m.y, [(token, 1.0), (f" {m.color}", SIDE)])
                start += len(token.strip())
        elif isinstance(m, Bar):
            put(m.x + m.width / 2, 75 - 7 * m.value, [(f" {m.color}", 1.0), (str(m.value), 1.0)])
        else:
            ten, one = divmod(m.minute, 10)
            minute = [(TENS[ten], 1.0)] if ten else [(NUMBERS[0], 1.0)]
            minute += [(NUMBERS[5], 1.0)] if one else []
            for angle, length, words in (
                (30 * m.hour + m.minute / 2, 0.48, [(NUMBERS[m.hour], 1.0), (" hour", SIDE)]),
                (6 * m.minute, 0.8, [*minute, (" minute", SIDE)]),
            ):
                a, d = math.radians(angle), length * m.radius
                put(m.x + d * math.sin(a), m.y - d * math.cos(a), words)
    return found


def pieces(line: TextLine, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """A written line as the tokens that an answer would have: letters as the vocabulary groups them, signs spaced."""
    if line.kind in ("word", "letters"):
        ids = tokenizer.encode(line.text, add_special_tokens=False)
        return [tokenizer.decode([i]) for i in ids]
    return [ch if ch.isdigit() else f" {ch}" for ch in line.text]


class WordTargets:
    """Where image tokens belong in the embedding space: what a patch's words have beside the common part of all
    embeddings, averaged and made as long as one word's."""

    def __init__(self, embeddings: Tensor, tokenizer: PreTrainedTokenizerBase):
        """embeddings: (V, D) of the decoder."""
        self.embeddings, self.tokenizer = embeddings.detach().float(), tokenizer
        self.common = self.embeddings.mean(0)  # two thirds of an embedding's length are common to all
        self.token = lru_cache(4096)(self._token)

    def _token(self, text: str) -> int:
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        return int(ids[0])

    def __call__(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """(25, D) targets and (25,) bool, which patches hold something."""
        blank = self.embeddings[self.token(BLANK)]
        targets, held = blank.repeat(N_IMAGE_TOKENS, 1), torch.zeros(N_IMAGE_TOKENS, dtype=torch.bool)
        for patch, words in patch_words(scene, self.tokenizer).items():
            found = self.embeddings[torch.tensor([self.token(text) for text, _ in words])]
            apart = found - self.common
            mean = torch.tensor([w for _, w in words]) @ apart
            targets[patch] = self.common + mean * (apart.norm(dim=1).mean() / mean.norm())
            held[patch] = True
        return targets, held
