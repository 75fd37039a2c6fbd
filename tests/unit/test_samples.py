"""Samples: drawn the same everywhere, and never the same picture in two splits."""

import hashlib
import random
from collections import Counter

import pytest

from core.errors import SampleError
from core.records.samples import data_hash
from core.scenes.questions import TASKS, domain_tasks
from core.scenes.samples import DOMAINS, SPLITS, alternate, draw_from_source, draw_samples, random_split_scene, split_of
from core.scenes.scenes import SCENE_KINDS, draw, random_scene


def pixels(image) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def test_drawing_is_deterministic() -> None:
    first, again = draw_samples("test", 7, 20), draw_samples("test", 7, 20)
    assert first == again
    assert [pixels(s.image) for s in first] == [pixels(s.image) for s in again]
    assert data_hash(first) == data_hash(again) != data_hash(draw_samples("test", 8, 20))


@pytest.mark.parametrize("n", [0, 1, 7, 19])
def test_a_longer_draw_begins_with_the_shorter_one(n: int) -> None:
    longer = draw_samples("calibration", 3, 20)
    assert longer[:n] == draw_samples("calibration", 3, n)


def test_a_source_gives_its_sample_again() -> None:
    for sample in draw_samples("validation", 5, 16):
        again = draw_from_source(sample.source)
        assert again == sample and pixels(again.image) == pixels(sample.image)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "drawn:",
        "drawn:test/0/0",
        "drawn:test/x/0/count",
        "drawn:tset/0/0/count",
        "drawn:test/0/0/cuont",
        "hub:org/set/3",
        "a/b/c/d/e",
    ],
)
def test_a_source_that_names_nothing_is_refused(source: str) -> None:
    """Regression: an unknown split was searched for without end, and an unknown task was a KeyError."""
    with pytest.raises(SampleError):
        draw_from_source(source)


def test_an_unknown_split_or_task_is_refused() -> None:
    with pytest.raises(SampleError, match="unknown split 'tset': did you mean 'test'"):
        draw_samples("tset", 0, 1)
    with pytest.raises(SampleError, match="unknown task 'cuont': did you mean 'count'"):
        draw_samples("test", 0, 1, ["cuont"])


def test_no_picture_is_in_two_splits() -> None:
    """By pixels, not by the hash that the split is made from; clocks are the kind that repeats soonest."""
    seen: dict[str, str] = {}
    kinds = [*SCENE_KINDS, "clock"]
    n = 0
    for split in SPLITS:
        rng = random.Random(split)
        for i in range(2000 if split == "train" else 500):
            picture = pixels(draw(random_split_scene(kinds[i % len(kinds)], split, rng)))
            assert seen.setdefault(picture, split) == split
            n += 1
    assert n == 3500 and len(seen) > 3200


def test_no_sample_is_in_two_splits() -> None:
    ids = [{s.sample_id for s in draw_samples(split, 0, 200)} for split in SPLITS]
    assert len(set.union(*ids)) == sum(map(len, ids))


def test_splits_have_their_shares() -> None:
    """4,000 scenes at 85, 5, 5, 5 percent, give or take five standard deviations."""
    assert sum(SPLITS.values()) == 100
    rng = random.Random(0)
    counts = Counter(split_of(random_scene("crowd", rng)) for _ in range(4000))
    for split, percent in SPLITS.items():
        p = percent / 100
        assert abs(counts[split] - 4000 * p) < 5 * (4000 * p * (1 - p)) ** 0.5


def test_samples_lie_in_the_split_they_were_drawn_for() -> None:
    rng = random.Random(0)
    for split in SPLITS:
        assert all(split_of(random_split_scene(kind, split, rng)) == split for kind in SCENE_KINDS)


def test_domains_alternate_and_every_task_has_its_share() -> None:
    n = 2 * max(len(domain_tasks(d)) for d in DOMAINS)
    samples = draw_samples("test", 0, n)
    assert [s.domain for s in samples] == list(DOMAINS) * (n // 2)
    counts = Counter(s.task for s in samples)
    assert set(counts) == {t.name for t in TASKS.values() if t.domain}
    assert set(counts.values()) <= {1, 2}


def test_alternate_worked_by_hand() -> None:
    assert alternate(["a", "b", "c"], ["x", "y"]) == ["a", "x", "b", "y", "c", "x"]


def test_sample_ids_are_of_the_content() -> None:
    samples = draw_samples("test", 0, 40)
    by_id = {s.sample_id: (s.question, s.answer, pixels(s.image)) for s in samples}
    assert len(by_id) == len(set(by_id.values()))
    assert all(len(i) == 16 and int(i, 16) >= 0 for i in by_id)


def test_data_hash_depends_on_order() -> None:
    samples = draw_samples("test", 0, 4)
    assert data_hash(samples) != data_hash(samples[::-1])
