"""Answers: asked live under several plans at once, recorded, and found again."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from core import __version__, settings
from core.library.recordings import (
    ANSWERING,
    RecordedAnswer,
    find_answer,
    image_hash,
    load_answers,
    save_answer,
    small_copy,
)
from core.records.answers import Answer
from core.records.plan import ModelSpec, PruningPlan
from core.records.samples import Sample
from dashboard.services import models

if TYPE_CHECKING:
    from core.vlm.engine import Ticket


def ask(model_id: str, plans: Sequence[PruningPlan | None], sample: Sample) -> "Ticket":
    """Put a question to several plans (None: the full model); they answer side by side, token by token."""
    bounds = models.limits()
    bounds.check_question(sample.question)
    config = replace(ANSWERING, max_new_tokens=min(ANSWERING.max_new_tokens, bounds.new_tokens))
    spent, wanted = st.session_state.get("tokens_asked", 0), len(plans) * config.max_new_tokens
    bounds.check_tokens(spent, wanted)
    ticket = models.engine().submit(model_id, plans, sample.image, sample.question, config)
    st.session_state["tokens_asked"] = spent + wanted
    return ticket


def compare_on(model_id: str, plans: Sequence[PruningPlan], sample: Sample, answer: str) -> "Ticket":
    """Measure how far plans move the model on an answer to the sample's question."""
    return models.engine().compare(model_id, plans, replace(sample, answer=answer))


def answering_model(model_id: str) -> ModelSpec:
    """The model as it answers live: revision, dtype and device of what is loaded."""
    loaded = models.engine().spec if models.live(model_id) else None
    return loaded if loaded and loaded.model_id == model_id else models.spec(model_id)


def answers_folder() -> Path:
    """Where the user's recorded answers are."""
    return settings.data_dir() / "answers"


def _as_recorded(
    model_id: str, answers: Sequence[Answer], sample: Sample, keep_picture: bool = False
) -> list[RecordedAnswer]:
    picture = small_copy(sample.image) if keep_picture and sample.image is not None else b""
    return [
        RecordedAnswer(
            model=answering_model(model_id),
            answer=answer,
            config=ANSWERING,
            item_id=sample.sample_id,
            gold=sample.answer,
            image_hash=image_hash(sample.image),
            picture=picture,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
        )
        for answer in answers
    ]


def answers_json(model_id: str, answers: Sequence[Answer], sample: Sample) -> str:
    """Answers as a file: the same form in which they are recorded, without the picture."""
    return to_json([r.to_dict() for r in _as_recorded(model_id, answers, sample)])


def record_answers(
    model_id: str, answers: Sequence[Answer], sample: Sample, keep_picture: bool = False
) -> list[RecordedAnswer]:
    """Keep answers with their tokens and times in the user's folder; a user's own picture only if they say so."""
    models.limits().check_work("recording answers")
    records = _as_recorded(model_id, answers, sample, keep_picture)
    for recorded in records:
        save_answer(answers_folder(), recorded)
    return records


def recorded_answers() -> tuple[RecordedAnswer, ...]:
    """Every recorded answer: those that ship with the project, then the user's own."""
    folders = (settings.RECORDED_DIR, answers_folder())
    return tuple(
        r for folder in folders for r in _load_answers(str(folder), folder.stat().st_mtime_ns if folder.exists() else 0)
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def _load_answers(folder: str, mtime: int) -> tuple[RecordedAnswer, ...]:
    return load_answers(Path(folder))


def recorded_answer(model_id: str, plan: PruningPlan | None, sample: Sample) -> RecordedAnswer | None:
    """What a model was recorded to answer to a sample under a plan (None: the full model)."""
    return find_answer(recorded_answers(), model_id, plan, sample)


def to_json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)
