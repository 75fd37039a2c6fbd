"""Packed rows of training: pictures, several questions about each, and the mask that keeps the questions apart.

A question sees its picture and itself only, and its positions go on after the picture, so that it is the same to the
model as if it stood alone; but the picture's tokens are computed once for all its questions. A row that is not full
takes another picture.
"""

import random
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from core.scenes.questions import TASKS, Question
from core.scenes.samples import random_split_scene
from core.scenes.scenes import SCENE_KINDS, Bar, Scene, Shape, TextLine, draw
from core.vlm.smol.model import IMAGE
from core.vlm.tiny.model import N_IMAGE_TOKENS

# Pictures for a task's weight: a row of shapes answers ten different questions, a crowd one "How many?".
PICTURES = {"layout": 0.6, "crowd": 2.0, "bars": 0.7, "lines": 1.2, "clock": 1.3}
IGNORED = -100  # label of a token without loss
CAPTION = "caption"  # an exercise of its own: nearly all of its tokens teach
LEAST = 70  # tokens left in a row for which another picture is drawn
LEAST_TEXT = 30  # tokens left after a picture for which it is taken
# other wordings of the same question about the same picture teach little
ANSWERED_ONCE = {"count", "clock", "clock_hand", "read_word", "read_expression", "spell"}
ANSWERED_ONCE |= {"expression_1", "expression_2"}
PLACES = (("top left", "top", "top right"), ("left", "center", "right"), ("bottom left", "bottom", "bottom right"))


@dataclass(frozen=True)
class Packed:
    """B rows of T tokens with P pictures in all.

    Attributes:
        pixels: (P, 80, 80, 3) uint8, in the order of their tokens.
        tokens, labels, positions: (B, T); the label of a token is the next token, where that is part of an answer.
        mask: (B, 1, T, T) float32, 0 where a token sees another, else -1e9.
        answers: (B, T) which answer a label belongs to, counted from 0 over all rows; `tasks` names their tasks.
    """

    pixels: Tensor
    tokens: Tensor
    labels: Tensor
    positions: Tensor
    mask: Tensor
    answers: Tensor
    tasks: tuple[str, ...]


Row = list[tuple[Scene, list[Question]]]  # pictures and the questions about each


@dataclass
class _Columns:
    """A row in the making: what `Packed` has, and which picture and question each token belongs to."""

    tokens: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def add(self, tokens: list[int], labels: list[int], position: int, picture: int, segment: int, answer: int) -> None:
        n = len(tokens)
        self.tokens += tokens
        self.labels += labels
        self.positions += range(position, position + n)
        self.pictures += [picture] * n
        self.segments += [segment] * n
        self.answers += [answer] * n


def caption(scene: Scene) -> str:
    """What a scene shows, mark by mark in reading order; empty for clocks."""
    parts = []
    for m in sorted(scene.marks, key=lambda m: m.cell if isinstance(m, Shape) else (getattr(m, "y", 0), m.x)):
        if isinstance(m, Shape):
            parts.append(f"{m.name} {PLACES[m.cell[0]][m.cell[1]]}" if scene.kind == "layout" else m.name)
        elif isinstance(m, Bar):
            parts.append(f"{m.color} {m.value}")
        elif isinstance(m, TextLine):
            parts.append(f"{m.color} {m.text}")
    return ", ".join(parts)


class Packer:
    """Draws scenes and questions and packs them. Questions recur, so their token ids are remembered."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, length: int):
        self.tokenizer, self.length, self.known = tokenizer, length, dict[str, list[int]]()
        self.image = int(tokenizer.convert_tokens_to_ids(IMAGE))
        self.head = self.ids("<|im_start|>user\n")
        self.turn = self.ids("<|im_end|>\n<|im_start|>assistant\n")
        self.end = self.ids("<|im_end|>")

    def ids(self, text: str) -> list[int]:
        if text not in self.known:
            if len(self.known) > 100_000:
                self.known.clear()
            self.known[text] = list(self.tokenizer.encode(text, add_special_tokens=False))
        return self.known[text]

    def rows(self, rows: list[Row]) -> Packed:
        """Rows as one batch, padded on the right; questions that do not fit are left out."""
        pixels: list[np.ndarray] = []
        tasks: list[str] = []
        columns = [self._columns(row, pixels, tasks) for row in rows]
        longest = max(len(c.tokens) for c in columns)

        def stacked(name: str, fill: int) -> Tensor:
            found: list[list[int]] = [getattr(c, name) for c in columns]
            return torch.tensor([values + [fill] * (longest - len(values)) for values in found])

        picture, segment = stacked("pictures", -1), stacked("segments", -1)
        seen = (picture[:, :, None] == picture[:, None, :]) & (
            (segment[:, None, :] == 0) | (segment[:, :, None] == segment[:, None, :])
        )
        seen &= torch.ones(longest, longest, dtype=torch.bool).tril()
        return Packed(
            pixels=torch.from_numpy(np.stack(pixels)),
            tokens=stacked("tokens", self.end[0]),
            labels=stacked("labels", IGNORED),
            positions=stacked("positions", 0),
            mask=torch.zeros(seen.shape).masked_fill_(~seen, -1e9)[:, None],
            answers=stacked("answers", -1),
            tasks=tuple(tasks),
        )

    def _columns(self, row: Row, pixels: list[np.ndarray], tasks: list[str]) -> "_Columns":
        """One row; its pictures and tasks are added to the batch's."""
        found = _Columns()
        before = [*self.head, *[self.image] * N_IMAGE_TOKENS]
        for scene, questions in row:
            if len(found.tokens) + len(before) + LEAST_TEXT > self.length:
                break
            pixels.append(np.asarray(draw(scene)).copy())
            found.add(before, [IGNORED] * len(before), 0, len(pixels), 0, -1)
            for segment, q in enumerate(questions, 1):
                prompt, answer = [*self.ids(q.text), *self.turn], [*self.ids(q.answer), *self.end]
                if len(found.tokens) + len(prompt) + len(answer) > self.length:
                    continue
                labels = [IGNORED] * (len(prompt) - 1) + answer + [IGNORED]
                found.add(prompt + answer, labels, len(before), len(pixels), segment, len(tasks))
                tasks.append(q.task)
        return found

    def draw_row(self, rng: random.Random, weights: dict[str, float], captions: float) -> Row:
        """Pictures of the train split with questions for one row; tasks by weight.

        Args:
            captions: share of pictures that are also described.
        """
        by_scene = {k: [n for n, t in TASKS.items() if t.scene == k] for k in SCENE_KINDS}
        scene_weights = [PICTURES[k] * sum(weights[n] for n in by_scene[k]) for k in SCENE_KINDS]
        row: Row = []
        used = 0
        while self.length - used >= LEAST:
            kind = rng.choices(list(SCENE_KINDS), scene_weights)[0]
            scene = random_split_scene(kind, "train", rng)
            found: dict[object, Question] = {}
            if kind != "clock" and rng.random() < captions:
                found[CAPTION] = Question(CAPTION, "Describe the picture.", caption(scene))
            tasks = [*by_scene[kind], "arithmetic"]
            limit = {"clock": 3, "lines": 2 + 2 * len(scene.marks)}.get(kind, 12)
            for name in rng.choices(tasks, [weights[n] for n in tasks], k=16):
                q = TASKS[name].question(scene, rng)
                if q is not None and len(found) < limit:
                    found.setdefault((name, q.answer) if name in ANSWERED_ONCE else q.text, q)
            questions = list(found.values())
            row.append((scene, questions))
            used += len(self.head) + N_IMAGE_TOKENS
            used += sum(len(self.ids(q.text)) + len(self.turn) + len(self.ids(q.answer)) + 1 for q in questions)
        return row
