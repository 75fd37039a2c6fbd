"""Recorded answers: what a model said under a plan, token by token with its times, to be shown again at their pace.

One file per answer, named after everything that decides what is said; so the same question to the same model is kept
once. Answers that ship with the project lie in one file of lines (`python -m core record` makes it). The picture is
named by its hash only: a drawn one is drawn again from its item, a user's own is kept as a small copy if they say so.
No torch.
"""

import base64
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from core.benchmarks.images import open_image
from core.errors import StoreError, StrataError
from core.records.answers import Answer, GenerationConfig, TokenEvent
from core.records.plan import ModelSpec, PruningPlan
from core.records.samples import Sample

ANSWERING = GenerationConfig(max_new_tokens=48, top=5)  # how answers are asked for that are shown or recorded: greedy
MOST = 2000  # answers that one folder takes
SIDE = 512  # pixels of the small copy of a picture


@dataclass(frozen=True)
class RecordedAnswer:
    """One answer with its provenance.

    Attributes:
        model: as it was loaded when it answered: revision, dtype and device.
        item_id: of the sample that was asked; "upload" for a user's own picture.
        image_hash: sha256 of the picture's size and RGB bytes; "" without a picture.
        picture: a small PNG of a user's own picture, if they let it be kept.
    """

    model: ModelSpec
    answer: Answer = field(repr=False)
    config: GenerationConfig
    item_id: str
    gold: str
    image_hash: str
    picture: bytes = field(default=b"", repr=False)
    created: str = ""  # ISO date and time, UTC
    version: str = ""  # of Strata

    @property
    def answer_id(self) -> str:
        """Content key: everything that decides what is answered."""
        plan = self.answer.plan.plan_id if self.answer.plan else ""
        model = (self.model.model_id, self.model.revision, self.model.dtype, self.model.device)
        content = [*model, plan, self.answer.question, self.image_hash, asdict(self.config)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def image(self) -> Image.Image | None:
        return open_image(self.picture) if self.picture else None

    def to_dict(self) -> dict[str, Any]:
        answer = {k: v for k, v in vars(self.answer).items() if k not in ("plan", "events", "model_id")}
        return {
            "answer_id": self.answer_id,
            "model": self.model.to_dict(),
            "plan": self.answer.plan.to_dict() if self.answer.plan else None,
            "answer": answer,
            "events": [[e.token_id, e.text, round(e.elapsed_s, 4), e.top] for e in self.answer.events],
            "config": asdict(self.config),
            "item_id": self.item_id,
            "gold": self.gold,
            "image_hash": self.image_hash,
            "picture": base64.b64encode(self.picture).decode(),
            "created": self.created,
            "version": self.version,
        }

    @classmethod
    def from_dict(cls, data: Any) -> "RecordedAnswer":
        """
        Raises:
            StoreError: not a recorded answer, or one that was changed since it was named.
        """
        try:
            events = tuple(
                TokenEvent(0, int(token), str(text), float(elapsed), tuple((str(t), float(p)) for t, p in top))
                for token, text, elapsed, top in data["events"]
            )
            model = ModelSpec.from_dict(data["model"])
            plan = PruningPlan.from_dict(data["plan"]) if data["plan"] else None
            found = cls(
                model=model,
                answer=Answer(**data["answer"], model_id=model.model_id, plan=plan, events=events),
                config=GenerationConfig(**data["config"]),
                picture=base64.b64decode(data["picture"], validate=True),
                **{k: str(data[k]) for k in ("item_id", "gold", "image_hash", "created", "version")},
            )
        except (KeyError, TypeError, ValueError, AttributeError, StrataError) as error:
            raise StoreError(f"not a recorded answer: {error}") from error
        if found.answer_id != data.get("answer_id"):
            raise StoreError("a recorded answer does not match its name: record it again")
        return found


def image_hash(image: Image.Image | None) -> str:
    if image is None:
        return ""
    content = f"{image.width}x{image.height}".encode() + image.convert("RGB").tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def small_copy(image: Image.Image) -> bytes:
    """A PNG of at most `SIDE` pixels a side, without the original's metadata."""
    copy = image.convert("RGB")
    copy.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    Image.frombytes("RGB", copy.size, copy.tobytes()).save(out, "PNG")
    return out.getvalue()


def save_answer(folder: Path, recorded: RecordedAnswer) -> Path:
    """Keep an answer; one that is there already is replaced.

    Raises:
        StoreError: the folder is full, or cannot be written.
    """
    target = folder / f"{recorded.answer_id}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not target.exists() and sum(1 for _ in folder.glob("*.json")) >= MOST:
            raise StoreError(f"{MOST} answers are recorded already: remove some from {folder.name}/")
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".part", delete=False, encoding="utf-8") as part:
            json.dump(recorded.to_dict(), part, ensure_ascii=False)
        os.replace(part.name, target)
    except OSError as error:
        raise StoreError(f"the answer cannot be recorded: {error.strerror}") from error
    return target


def load_answers(folder: Path) -> tuple[RecordedAnswer, ...]:
    """Every answer of a folder, oldest first; files that are none are left out."""
    return tuple(sorted(_readable(folder), key=lambda r: (r.created, r.answer_id)))


def save_lines(path: Path, answers: Iterable[RecordedAnswer]) -> None:
    """Write answers to one file, a line each.

    Raises:
        StoreError: it cannot be written.
    """
    lines = [json.dumps(r.to_dict(), ensure_ascii=False, separators=(",", ":")) + "\n" for r in answers]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_text("".join(lines), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; give another place with --out") from error


def _readable(folder: Path) -> Iterator[RecordedAnswer]:
    for path in (*folder.glob("*.json"), *folder.glob("*.answers.jsonl")):
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        for text in content.splitlines() if path.suffix == ".jsonl" else [content]:
            with suppress(ValueError, StoreError):
                yield RecordedAnswer.from_dict(json.loads(text))


def find_answer(
    answers: Iterable[RecordedAnswer], model_id: str, plan: PruningPlan | None, sample: Sample
) -> RecordedAnswer | None:
    """The newest recording of a model's answer to a sample under a plan (None: the full model)."""
    asked = (model_id, plan.plan_id if plan else "", sample.question, image_hash(sample.image))
    found = None
    for r in answers:
        dropped = r.answer.plan.plan_id if r.answer.plan else ""
        if (r.model.model_id, dropped, r.answer.question, r.image_hash) == asked:
            found = r
    return found


def in_turn(answers: Iterable[Answer]) -> Iterator[tuple[float, int, TokenEvent]]:
    """The tokens of several answers in the order of their times: (seconds since the last one, pane, token)."""
    events = [(e.elapsed_s, pane, e) for pane, answer in enumerate(answers) for e in answer.events]
    before = 0.0
    for elapsed, pane, event in sorted(events, key=lambda e: e[:2]):
        yield elapsed - before, pane, event
        before = elapsed
