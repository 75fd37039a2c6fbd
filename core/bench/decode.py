"""Bench of decoding: a view against the pruned checkpoint, our loop against `generate`, three panes at once."""

import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core.bench.timing import Case, Row, run_case
from core.data.samples import draw_samples

if TYPE_CHECKING:
    from core.vlm import VLM

QUESTIONS, FORCED_TOKENS, MOST_TOKENS = 8, 64, 32


def bench(vlm: "VLM", rounds: int) -> Iterator[Row]:
    """Three rows; times are of the same tokens, so that a ratio of times is one of tokens per second."""
    import torch
    from transformers import AutoModelForImageTextToText

    from core.pruning.plan import PruningPlan
    from core.runs.records import GenerationConfig
    from core.vlm.encoding import encode_prompts
    from core.vlm.engine import Engine, PaneDone
    from core.vlm.generation import prepare_prompt, stream_answer
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

    engine = Engine(lambda _model_id: vlm)
    panes = [None, *plans]

    def asked(groups: list[list[PruningPlan | None]]) -> list[list[tuple[int, ...]]]:
        """Tokens by question and pane."""
        found = []
        for s in samples:
            said = []
            for group in groups:
                ticket = engine.submit(vlm.spec.model_id, group, s.image, s.question, config)
                done = sorted((e for e in ticket.events() if isinstance(e, PaneDone)), key=lambda e: e.pane)
                said += [tuple(event.token_id for event in e.answer.events) for e in done]
            found.append(said)
        if vlm.device.type == "cuda":
            torch.cuda.synchronize(vlm.device)
        return found

    yield run_case(
        Case(
            "decode, three panes at once",
            lambda: asked([panes]),
            lambda: asked([[pane] for pane in panes]),
            lambda ours, reference: bool(ours == reference),
            "the same three one after another; ours takes turns token by token, and encodes the picture once",
            lambda ours, _reference: {"tokens": sum(len(t) for said in ours for t in said), "questions": QUESTIONS},
        ),
        rounds,
    )
