"""Answers: how one is decoded, its tokens as they stream, and the finished text. No torch."""

from dataclasses import dataclass, field
from typing import Any

from core.errors import SampleError
from core.records.plan import PruningPlan


@dataclass(frozen=True)
class ItemAnswer:
    """What was written freely for one item, and how it was judged.

    Attributes:
        rule: of the metric, as a reader sees it.
        failure: "" if it is right, else its kind (`core.scoring.judging.failure_kind`).
        value: the metric's, 0 to 1.
    """

    text: str
    rule: str
    failure: str
    value: float


@dataclass(frozen=True)
class GenerationConfig:
    """How an answer is decoded; greedy unless a temperature is set.

    Attributes:
        top_p: sample from the fewest tokens whose probabilities add up to this (Holtzman et al., arXiv:1904.09751).
        top: how many of the likeliest tokens of each step are kept with the answer; does not change what is chosen.
    Raises:
        SampleError: a setting that makes no sense.
    """

    max_new_tokens: int = 48
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    top: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise SampleError(f"at most {self.max_new_tokens} new tokens is no answer: give 1 or more")
        if not 0 <= self.temperature < float("inf"):
            raise SampleError(f"temperature {self.temperature}: give 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise SampleError(f"top-p {self.top_p}: give a probability above 0, at most 1")
        if self.top < 0:
            raise SampleError(f"the {self.top} likeliest tokens: give 0 (none) or more")


@dataclass(frozen=True)
class TokenEvent:
    """One token of a streamed answer. `text` is what this token adds to the answer (may be empty in mid-character)."""

    pane: int  # which of the request's plans
    token_id: int
    text: str
    elapsed_s: float  # since work on the request began
    top: tuple[tuple[str, float], ...] = ()  # (token text, probability), likeliest first; see GenerationConfig.top


@dataclass(frozen=True)
class Answer:
    """A finished answer.

    Attributes:
        plan: None for the full model.
        tokens: generated, the end token included.
        ttft_s: from the request to the first token: input preparation, vision tower and prefill (shared work counts).
        tokens_per_s: after the first token. A request's answers are decoded together: both times are for all of them.
        stopped: end | length | cancelled.
        warm: the model had generated in this process before. The first answer is slower: memory and kernels are set up.
        weights_bytes: of the parameters and buffers that the plan keeps; it shares them with the full model.
        kv_bytes: of the answer's own cache at its end.
        peak_memory_bytes: on CUDA, the most memory that PyTorch had allocated on the model's GPUs during a forward
            pass of this answer, with everything else there (the full model, answers decoded at the same time).
            None on the CPU, where PyTorch does not count and resident memory is not this answer's alone.
    """

    model_id: str
    plan: PruningPlan | None
    question: str
    text: str
    tokens: int
    ttft_s: float
    tokens_per_s: float
    stopped: str
    events: tuple[TokenEvent, ...] = field(default=(), repr=False)
    warm: bool = True
    weights_bytes: int = 0
    kv_bytes: int = 0
    peak_memory_bytes: int | None = None

    def top(self, step: int) -> tuple[tuple[str, float], ...]:
        """The likeliest tokens at a step, if they were kept; none after the end."""
        return self.events[step].top if step < len(self.events) else ()

    def to_dict(self) -> dict[str, Any]:
        steps = [
            {"token_id": e.token_id, "text": e.text, "top": [list(t) for t in e.top]} for e in self.events if e.top
        ]
        return {
            "model": self.model_id,
            "plan": self.plan.to_dict() if self.plan else None,
            "question": self.question,
            "answer": self.text,
            "tokens": self.tokens,
            "ttft_s": round(self.ttft_s, 4),
            "tokens_per_s": round(self.tokens_per_s, 2),
            "stopped": self.stopped,
            "warm": self.warm,
            "weights_bytes": self.weights_bytes,
            "kv_bytes": self.kv_bytes,
            "peak_memory_bytes": self.peak_memory_bytes,
            **({"steps": steps} if steps else {}),
        }


@dataclass(frozen=True)
class PaneDone:
    """The finished answer of one pane."""

    pane: int
    answer: Answer


def first_divergence(a: Answer, b: Answer) -> int | None:
    """The first step at which two answers' tokens differ (`Answer.top` has both sides there); None if they are equal.

    If one is a prefix of the other, that is the step after its last token.
    """
    x, y = ([e.token_id for e in answer.events] for answer in (a, b))
    differing = (step for step, (i, j) in enumerate(zip(x, y, strict=False)) if i != j)
    return next(differing, None if len(x) == len(y) else min(len(x), len(y)))
