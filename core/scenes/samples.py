"""Samples: an image, a question and its gold answer, drawn reproducibly from a seed, in disjoint splits.

The split of a drawn sample is a function of its scene's content hash, so that train, calibration, validation and test
share no scene, whatever the seed. (Two scene records could draw the same picture, say shapes listed in another order;
tests/unit/test_samples.py finds no such pair across splits in thousands.)
"""

import hashlib
import random
from collections.abc import Sequence

from core.errors import SampleError, suggest
from core.records.samples import Sample
from core.scenes.questions import TASKS, Question, domain_tasks
from core.scenes.scenes import Scene, draw, random_scene

SPLITS = {"train": 85, "calibration": 5, "validation": 5, "test": 5}  # percent of all scenes
DOMAINS = ("math", "general")


def split_of(scene: Scene) -> str:
    percent = int(scene.content_hash[:8], 16) % 100
    for split, share in SPLITS.items():
        percent -= share
        if percent < 0:
            return split
    raise AssertionError("the shares of SPLITS add up to 100")


def random_split_scene(kind: str, split: str, rng: random.Random) -> Scene:
    """A random scene of one kind whose content hash falls into the split."""
    while True:
        scene = random_scene(kind, rng)
        if split_of(scene) == split:
            return scene


def draw_question(task_name: str, split: str, rng: random.Random) -> tuple[Scene, Question]:
    """A random scene of the split on which the task can be asked, and the question."""
    task = TASKS[task_name]
    while True:
        scene = random_split_scene(task.scene, split, rng)
        question = task.question(scene, rng)
        if question is not None:
            return scene, question


def draw_samples(split: str, seed: int, n: int, tasks: Sequence[str] | None = None) -> list[Sample]:
    """n samples of a split, with tasks in rotation so that each has its share.

    Sample i depends on (split, seed, i, task) only: a longer draw begins with the shorter one.

    Args:
        tasks: task names; by default every math and general task, domains alternating.
    """
    if tasks is None:
        tasks = alternate(*(domain_tasks(d) for d in DOMAINS))
    return [_draw_sample(split, seed, i, tasks[i % len(tasks)]) for i in range(n)]


def _draw_sample(split: str, seed: int, index: int, task_name: str) -> Sample:
    if split not in SPLITS:  # no scene would ever fall into it
        raise SampleError(f"unknown split '{split}': {suggest(split, SPLITS)}")
    if task_name not in TASKS:
        raise SampleError(f"unknown task '{task_name}': {suggest(task_name, TASKS)}")
    rng = random.Random(f"{split}/{seed}/{index}/{task_name}")
    scene, question = draw_question(task_name, split, rng)
    content = f"{scene.content_hash}|{question.text}|{question.answer}"
    return Sample(
        sample_id=hashlib.sha256(content.encode()).hexdigest()[:16],
        domain=TASKS[task_name].domain or "exercise",
        task=task_name,
        question=question.text,
        answer=question.answer,
        image=draw(scene),
        source=f"drawn:{split}/{seed}/{index}/{task_name}",
    )


def draw_from_source(source: str) -> Sample:
    """The drawn sample that a `source` string names, picture included.

    Raises:
        SampleError: the string names none (sources also come from imported files).
    """
    try:
        split, seed, index, task_name = source.removeprefix("drawn:").split("/")
        where = int(seed), int(index)
    except ValueError:
        raise SampleError(f"no drawn sample is called '{source}': give for example drawn:test/0/0/count") from None
    return _draw_sample(split, *where, task_name)


def alternate(*groups: Sequence[str]) -> list[str]:
    """Items of the groups alternating, shorter groups repeated until the longest ends (a balanced order of domains)."""
    length = max(len(g) for g in groups)
    return [g[i % len(g)] for i in range(length) for g in groups]
