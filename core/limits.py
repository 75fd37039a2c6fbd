"""What one visitor may ask of a public instance: one record of bounds, from the environment. No torch, no Streamlit.

Every bound is enforced where the work is started (the engine, and the one object that pages talk to); pages only say
beforehand what would be refused.
"""

import math
import os
import re
from dataclasses import dataclass, fields, replace
from typing import NoReturn

from core import settings
from core.errors import LimitError, suggest

TINY = "tiny"
REVISION = re.compile(r"[0-9a-f]{40}")
# what no environment can raise: uploads are opened within core.benchmarks.images.MAX_BYTES, and pages ask for no more
MOST = {"upload_bytes": 5 * 2**20, "new_tokens": 48}
LEAST = {"question_chars": 1, "new_tokens": 1}  # less would refuse every question
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True)
class Limits:
    """Bounds of this instance. The defaults are those of a laptop or a team server, `DEMO` those of a public one.

    Attributes:
        models: pairs of a Hub id and the 40 hexadecimal digits of the only revision that is loaded; None: any model.
        work: may visitors start jobs, measure, import, record and export?
        upload_bytes: of one uploaded picture.
        question_chars: of one question.
        new_tokens: of one answer.
        session_tokens: that one session may ask for, all answers together; 0: any number.
        answer_s: seconds of one question's answers, from its first turn to its last.
        queue: questions that wait for a turn; more are told that the machine is busy.
        idle_s: seconds without a question after which the model is unloaded; 0: never.
    """

    models: tuple[tuple[str, str], ...] | None = None
    work: bool = True
    upload_bytes: int = MOST["upload_bytes"]
    question_chars: int = 4000  # items of benchmarks come with their hints and options
    new_tokens: int = MOST["new_tokens"]
    session_tokens: int = 0
    answer_s: float = 600.0
    queue: int = 64
    idle_s: float = 0.0

    def __post_init__(self) -> None:
        for name, revision in self.models or ():
            if not NAME.fullmatch(name) or ".." in name or not REVISION.fullmatch(revision):
                raise LimitError(
                    f"STRATA_MODELS holds '{name[:80]}@{revision[:48]}': give Hub ids, each with the 40 hexadecimal "
                    "digits of one revision (org/name@0123…), separated by commas"
                )
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                least, most = LEAST.get(field.name, 0), MOST.get(field.name, math.inf)
                if not (math.isfinite(value) and least <= value <= most):
                    upper = f", {most} at most" if field.name in MOST else ""
                    raise LimitError(f"STRATA_{field.name.upper()} is {value}: give {least:g} or more{upper}")

    @property
    def upload_mb(self) -> str:
        """`upload_bytes` as pages and messages state it."""
        return f"{self.upload_bytes / 2**20:.2g} MB"

    @property
    def model_ids(self) -> tuple[str, ...] | None:
        """What may be asked: the embedded model always, then the listed ones; None: any model."""
        return None if self.models is None else (TINY, *(name for name, _ in self.models))

    def revision(self, model_id: str) -> str | None:
        """The only revision of a model that is loaded; None: the embedded one's own, or whatever is asked for.

        Raises:
            LimitError: a model that is not on the list.
        """
        if self.models is None or model_id == TINY:
            return None
        pinned = dict(self.models).get(model_id)
        if pinned is None:
            known = self.model_ids or ()
            raise LimitError(f"'{model_id[:80]}' is not offered here: {suggest(model_id[:80], known)}")
        return pinned

    def check_question(self, question: str, upload_bytes: int = 0) -> None:
        """
        Raises:
            LimitError: the question or the picture is too large.
        """
        if len(question) > self.question_chars:
            raise LimitError(
                f"the question has {len(question)} characters, {self.question_chars} at most are taken: shorten it"
            )
        if upload_bytes > self.upload_bytes:
            raise LimitError(
                f"the picture has {upload_bytes / 2**20:.1f} MB, {self.upload_mb} at most are taken: give a smaller one"
            )

    def check_tokens(self, spent: int, wanted: int) -> None:
        """
        Raises:
            LimitError: a session that has spent so many tokens asks for more than are left.
        """
        if self.session_tokens and spent + wanted > self.session_tokens:
            raise LimitError(
                f"this session has used {spent} of its {self.session_tokens} tokens, and these answers may take "
                f"{wanted}: run Strata on your own machine for more (make run)"
            )

    def check_work(self, what: str) -> None:
        """
        Raises:
            LimitError: visitors may not start work here.
        """
        if not self.work:
            refuse(what)


def refuse(what: str) -> NoReturn:
    raise LimitError(f"{what} is switched off on this public instance: run Strata on your own machine (make run)")


DEMO = Limits(
    models=(),
    work=False,
    upload_bytes=2 * 2**20,
    question_chars=200,
    session_tokens=6000,
    answer_s=60.0,
    queue=16,
    idle_s=900.0,
)


def load_limits() -> Limits:
    """The bounds of this instance: `DEMO` in demo mode, else the defaults; single ones from the environment.

    `STRATA_MODELS="org/name@<40 hex>,…"`, and for each other field a variable of its name: `STRATA_ANSWER_S=30`.

    Raises:
        LimitError: a variable that cannot be read.
    """
    limits = DEMO if settings.demo() else Limits()
    for field in fields(Limits):
        text = os.environ.get(variable := f"STRATA_{field.name.upper()}")
        if not text or field.name == "work":  # visitors of a public instance never start work
            continue
        if field.name == "models":
            pairs = (entry.strip().partition("@") for entry in text.split(",") if entry.strip())
            limits = replace(limits, models=tuple((name, revision) for name, _, revision in pairs))
            continue
        try:
            limits = replace(limits, **{field.name: type(getattr(limits, field.name))(text)})
        except ValueError:
            raise LimitError(f"{variable} is '{text[:40]}': give a number") from None
    return limits
