"""Recorded answers: round trip, names that change with everything that matters, pace, bounds and damage."""

import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from core.errors import StoreError
from core.library import recordings
from core.library.recordings import (
    RecordedAnswer,
    find_answer,
    image_hash,
    in_turn,
    load_answers,
    save_answer,
    small_copy,
)
from core.records.answers import Answer, GenerationConfig, TokenEvent
from core.records.plan import ModelSpec, PruningPlan
from core.scenes.samples import draw_samples

SPEC = ModelSpec("tiny", "r1", "llava", 8, (), 8, (1,) * 8, "float32", "cpu")
PLAN = PruningPlan("tiny", 8, (2, 3), "mixed")
SAMPLE = draw_samples("test", 0, 1)[0]


def recorded(plan: PruningPlan | None = PLAN, **changes: object) -> RecordedAnswer:
    events = (TokenEvent(0, 5, "7", 0.1, (("7", 0.9), ("8", 0.1))), TokenEvent(0, 6, "", 0.25))
    answer = Answer("tiny", plan, SAMPLE.question, "7", 2, 0.1, 6.7, "end", events, warm=False, kv_bytes=64)
    made = RecordedAnswer(
        SPEC, answer, GenerationConfig(top=5), SAMPLE.sample_id, SAMPLE.answer, image_hash(SAMPLE.image)
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("plan", [PLAN, None])
def test_what_is_saved_is_read_again(tmp_path, plan):
    saved = recorded(plan, created="2026-11-23T10:00:00+00:00", version="0.1.0")
    path = save_answer(tmp_path / "answers", saved)
    assert path.name == f"{saved.answer_id}.json"
    assert load_answers(tmp_path / "answers") == (saved,)
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing half-written stays


def test_the_name_changes_with_everything_that_decides_the_answer_and_with_nothing_else():
    base = recorded()
    other = [
        recorded(None),
        recorded(PruningPlan("tiny", 8, (2, 4), "mixed")),
        recorded(model=replace(SPEC, revision="r2")),
        recorded(model=replace(SPEC, device="cuda")),
        recorded(model=replace(SPEC, dtype="bfloat16")),
        recorded(config=GenerationConfig(temperature=1.0, top=5)),
        recorded(image_hash="another"),
        recorded(answer=replace(base.answer, question="Why?")),
    ]
    assert len({r.answer_id for r in [base, *other]}) == len(other) + 1
    same = recorded(created="later", picture=b"x", answer=replace(base.answer, ttft_s=9.0))
    assert same.answer_id == base.answer_id


def test_damaged_and_foreign_files_are_left_out(tmp_path):
    path = save_answer(tmp_path, recorded())
    changed = json.loads(path.read_text())
    changed["answer"]["question"] = "Another one?"
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    (tmp_path / "torn.json").write_text(path.read_text()[:100])
    (tmp_path / "list.json").write_text("[1]")
    assert load_answers(tmp_path) == (recorded(),)
    with pytest.raises(StoreError, match="does not match its name"):
        RecordedAnswer.from_dict(changed)
    assert load_answers(tmp_path / "missing") == ()


def test_a_full_folder_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "MOST", 1)
    save_answer(tmp_path, recorded())
    save_answer(tmp_path, recorded())  # the same one again needs no room
    with pytest.raises(StoreError, match="1 answers are recorded already"):
        save_answer(tmp_path, recorded(None))


def test_the_newest_recording_of_the_same_question_and_picture_is_found():
    old, new = recorded(created="2026-01-01"), recorded(created="2026-02-01", model=replace(SPEC, revision="r2"))
    assert find_answer((old, new), "tiny", PLAN, SAMPLE) is new
    assert find_answer((old, new), "tiny", None, SAMPLE) is None
    assert find_answer((old, new), "tiny", PLAN, replace(SAMPLE, question="Why?")) is None
    assert find_answer((old, new), "tiny", PLAN, replace(SAMPLE, image=Image.new("RGB", (8, 8)))) is None


def test_tokens_come_again_in_their_order_and_at_their_pace():
    slow = replace(recorded().answer, events=(TokenEvent(0, 1, "a", 0.2), TokenEvent(0, 2, "b", 0.3)))
    shown = [(round(delay, 2), pane, event.text) for delay, pane, event in in_turn([recorded().answer, slow])]
    assert shown == [(0.1, 0, "7"), (0.1, 1, "a"), (0.05, 0, ""), (0.05, 1, "b")]


def test_a_kept_picture_is_small_and_carries_no_metadata():
    exif = Image.Exif()
    exif[0x010E] = "where it was taken"
    original = io.BytesIO()
    Image.new("RGB", (1200, 600), "red").save(original, "PNG", exif=exif)
    kept = recorded(picture=small_copy(Image.open(io.BytesIO(original.getvalue()))))
    assert b"where it was taken" not in kept.picture
    assert kept.image is not None and kept.image.size == (512, 256)
    assert recorded().image is None
