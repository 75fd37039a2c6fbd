"""Bench of decoding: a view against the pruned checkpoint, our loop against `generate`, three panes at once."""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.bench.timing import Case, Row, run_case
from core.scenes.samples import draw_samples

if TYPE_CHECKING:
    from core.records.answers import TokenEvent
    from core.records.plan import PruningPlan
    from core.records.samples import Sample
    from core.vlm import VLM

QUESTIONS, FORCED_TOKENS, MOST_TOKENS = 8, 64, 32
NEAR_TIE = 0.1  # difference of two logits


def bench(vlm: "VLM", rounds: int) -> Iterator[Row]:
    """Four rows; times are of the same tokens, so that a ratio of times is one of tokens per second."""
    import torch
    from transformers import AutoModelForImageTextToText

    from core.records.answers import GenerationConfig
    from core.records.plan import PruningPlan
    from core.vlm.encoding import encode_prompts
    from core.vlm.generation import stream_answer
    from core.vlm.prompt import prepare_prompt
    from core.vlm.view import pruned_view

    n, first = vlm.spec.n_layers, max(1, len(vlm.spec.structural))
    plans = [PruningPlan(vlm.spec.model_id, n, tuple(range(first, n - 1, step))) for step in (3, 4)]
    samples = draw_samples("test", 0, QUESTIONS)
    inputs = encode_prompts(vlm, [samples[0].question], [samples[0].image])
    config = GenerationConfig(max_new_tokens=MOST_TOKENS)
    with tempfile.TemporaryDirectory() as folder:
        view = pruned_view(vlm.model, plans[0].dropped)
        view.save_pretrained(folder)
        pruned = AutoModelForImageTextToText.from_pretrained(folder, dtype=vlm.model.dtype).to(vlm.device).eval()

        def forced(model: Any) -> Any:
            lengths = {"min_new_tokens": FORCED_TOKENS, "max_new_tokens": FORCED_TOKENS}
            return model.generate(**inputs, **lengths, do_sample=False)[0].tolist()

        yield run_case(
            Case(
                "decode, a view",
                lambda: forced(view),
                lambda: forced(pruned),
                lambda ours, reference: bool(ours == reference),
                "the pruned checkpoint, reloaded; both under generate",
                lambda _ours, _reference: {"tokens": FORCED_TOKENS},
            ),
            rounds,
        )

        def streamed() -> list[list[int]]:
            prompts = (prepare_prompt(vlm, s.image, s.question) for s in samples)
            answers = ([*stream_answer(vlm, plans[0], prompt, config)][-1] for prompt in prompts)
            return [[event.token_id for event in answer.events] for answer in answers]  # type: ignore[union-attr]

        def generated() -> list[list[int]]:
            answers = []
            for s in samples:
                tokens = encode_prompts(vlm, [s.question], [s.image])
                out = pruned.generate(**tokens, max_new_tokens=MOST_TOKENS, do_sample=False)
                answers.append(out[0, tokens["input_ids"].shape[1] :].tolist())
            return answers

        yield run_case(
            Case(
                "decode, our loop",
                streamed,
                generated,
                lambda ours, reference: bool(ours == reference),
                "generate on the pruned checkpoint, answers at their own length",
                lambda ours, _reference: {"tokens": sum(map(len, ours)), "questions": QUESTIONS},
            ),
            rounds,
        )

    endless = pruned_view(vlm.model, ())
    endless.generation_config.eos_token_id = None
    for lengths, model, most in (
        ("answers at their own length", vlm.model, MOST_TOKENS),
        (f"{FORCED_TOKENS} tokens each", endless, FORCED_TOKENS),
    ):
        asked = _asker(replace(vlm, model=model), samples, [None, *plans], most)
        yield run_case(
            Case(
                f"decode, three panes at once, {lengths}",
                lambda asked=asked: asked(together=True),  # type: ignore[misc]
                lambda asked=asked: asked(together=False),  # type: ignore[misc]
                lambda ours, reference: _same(ours, reference, exact=vlm.model.dtype == torch.float32),
                "the same three one after another; ours runs each layer once a token for all that keep it",
                lambda ours, _reference: {"tokens": sum(map(len, ours)), "questions": QUESTIONS},
            ),
            rounds,
        )


def _asker(
    vlm: "VLM", samples: Sequence["Sample"], panes: Sequence["PruningPlan | None"], most: int
) -> Callable[..., list[tuple["TokenEvent", ...]]]:
    """A function that puts every question to all panes, in one request or one after another, and returns the tokens."""
    from core.records.answers import GenerationConfig, PaneDone
    from core.vlm.engine import Engine

    engine, config = Engine(lambda _model_id: vlm), GenerationConfig(max_new_tokens=most, top=2)

    def asked(together: bool) -> list[tuple["TokenEvent", ...]]:
        said: list[tuple[TokenEvent, ...]] = []
        for sample in samples:
            for group in [panes] if together else [[pane] for pane in panes]:
                ticket = engine.submit(vlm.spec.model_id, group, sample.image, sample.question, config)
                done = sorted((e for e in ticket.events() if isinstance(e, PaneDone)), key=lambda e: e.pane)
                said += [e.answer.events for e in done]
        return said

    return asked


def _same(ours: Sequence[Sequence["TokenEvent"]], reference: Sequence[Sequence["TokenEvent"]], exact: bool) -> bool:
    """Whether answers are of the same tokens; in half precision, up to a near tie.

    A batch rounds as one row does in float32 only: two tokens whose logits are that close may change places.
    """
    for mine, theirs in zip(ours, reference, strict=True):
        parted = next(((a, b) for a, b in zip(mine, theirs, strict=False) if a.token_id != b.token_id), None)
        if parted is None and len(mine) == len(theirs):
            continue
        if exact or parted is None or math.log(parted[1].top[0][1] / parted[1].top[1][1]) > NEAR_TIE:
            return False
    return True
