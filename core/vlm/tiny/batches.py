"""Training batches of the embedded VLM: several questions about one drawn image packed into one sequence."""

import random
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerFast

from core.scenes.questions import TASKS, Question
from core.scenes.samples import random_split_scene
from core.scenes.scenes import SCENE_KINDS, draw
from core.vlm.tiny.model import ASSISTANT, END, N_IMAGE_TOKENS, USER
from core.vlm.tiny.vision import label_tensor

IGNORED = -100  # label of a token without loss


class Packer:
    """Turns drawn scenes into packed sequences. Questions recur, so their token ids are remembered."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, text_length: int):
        self.tokenizer, self.text_length = tokenizer, text_length
        self.user, self.assistant, self.end = tokenizer.convert_tokens_to_ids([USER, ASSISTANT, END])
        self.known: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        if text not in self.known:
            if len(self.known) > 100_000:
                self.known.clear()
            self.known[text] = self.tokenizer.encode(text, add_special_tokens=False)
        return self.known[text]

    def pack(self, questions: list[Question]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Token ids, labels, positions and segment numbers, each (text_length,); segment 0 is padding."""
        tokens = np.zeros(self.text_length, np.int64)
        labels = np.full(self.text_length, IGNORED, np.int64)
        positions = np.zeros(self.text_length, np.int64)
        segments = np.zeros(self.text_length, np.int64)
        start = 0
        for number, q in enumerate(questions, 1):
            prompt = [self.user, *self.ids(q.text), self.assistant]
            answer = [*self.ids(q.answer), self.end]
            end = start + len(prompt) + len(answer)
            if end > self.text_length:
                break
            tokens[start:end] = prompt + answer
            # the label of a token is the next token: the last prompt token predicts the first answer token
            labels[start + len(prompt) - 1 : end - 1] = answer
            positions[start:end] = N_IMAGE_TOKENS + np.arange(end - start)
            segments[start:end] = number
            start = end
        return tokens, labels, positions, segments


class PackedScenes(IterableDataset):  # type: ignore[type-arg]
    """Endless training batches; batch i depends on (seed, i) and on the current task weights only."""

    def __init__(self, packer: Packer, batch_size: int, seed: int, start: int, weights: Tensor):
        self.packer, self.batch_size, self.seed, self.start, self.weights = packer, batch_size, seed, start, weights

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        step = self.start
        while True:
            rng = random.Random(f"train/{self.seed}/{step}")
            yield self.batch(rng)
            step += 1

    def batch(self, rng: random.Random) -> tuple[Tensor, ...]:
        names = list(TASKS)
        weight = dict(zip(names, self.weights.tolist(), strict=True))
        by_scene = {k: [n for n in names if TASKS[n].scene == k] for k in SCENE_KINDS}
        scene_weights = [sum(weight[n] for n in by_scene[k]) for k in SCENE_KINDS]
        rows = []
        for _ in range(self.batch_size):
            kind = rng.choices(list(SCENE_KINDS), scene_weights)[0]
            scene = random_split_scene(kind, "train", rng)
            questions: dict[str, Question] = {}
            tasks = [*by_scene[kind], "arithmetic"]
            for name in rng.choices(tasks, [weight[n] for n in tasks], k=16):
                q = TASKS[name].question(scene, rng)
                if q is not None:
                    questions.setdefault(q.text, q)
            rows.append(
                (np.asarray(draw(scene)), label_tensor(scene).numpy(), *self.packer.pack(list(questions.values())))
            )
        return _stack(rows)


class LabelledScenes(IterableDataset):  # type: ignore[type-arg]
    """Endless batches of images and patch labels for the vision warm-up."""

    def __init__(self, batch_size: int, seed: int):
        self.batch_size, self.seed = batch_size, seed

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        rng = random.Random(f"vision/{self.seed}")
        kinds = ("layout", "crowd", "bars", "lines", "lines", "clock")
        while True:
            scenes = [random_split_scene(rng.choice(kinds), "train", rng) for _ in range(self.batch_size)]
            yield _stack([(np.asarray(draw(s)), label_tensor(s).numpy()) for s in scenes])


def _stack(rows: Sequence[tuple[np.ndarray, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
