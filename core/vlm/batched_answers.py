"""Free answers to several samples at once, plan by plan, by transformers' own `generate`.

For GPUs, where one sample alone leaves most of the machine idle.
Prompts are padded on the left, so that all answers begin at one place. What is shared between plans is given up for it:
each plan makes its own prefill (core/vlm/free_form.py shares it, and asks one sample at a time).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import GenerationConfig as Settings
from transformers import StoppingCriteria, StoppingCriteriaList

from core.data.samples import Sample
from core.errors import MemoryLimitError
from core.pruning.plan import PruningPlan
from core.vlm.encoding import encode_prompts, end_token_ids, sample_batches
from core.vlm.loading import VLM
from core.vlm.memory import out_of_memory
from core.vlm.view import pruned_view

Told = tuple[tuple[int, ...], str, str]  # token ids, text, end | length


def answer_batches(
    vlm: VLM,
    plans: Sequence[PruningPlan],
    samples: Sequence[Sample],
    max_new_tokens: int,
    batch_size: int,
    should_stop: Callable[[], bool],
) -> Iterator[tuple[list[int], list[list[Told]]]]:
    """(Rows of a batch's samples, what each plan told each of them), batch by batch; a stopped batch is left out.

    Args:
        batch_size: samples at a time, at most; halved whenever memory runs out.
        should_stop: asked before each token.
    Raises:
        MemoryLimitError: one sample at a time does not fit.
    """
    waiting = list(sample_batches(samples, batch_size))[::-1]
    while waiting and not should_stop():
        rows, told = waiting.pop(), None
        try:
            told = _told(vlm, plans, [samples[i] for i in rows], max_new_tokens, should_stop)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if len(rows) == 1:
                raise MemoryLimitError(
                    "not even one sample at a time can be answered: free some memory, or load the model in a smaller "
                    "dtype or on a larger device"
                ) from error
        if told is not None:
            if not should_stop():
                yield rows, told
            continue
        # here, not in the except clause: the error holds on to what the failed attempt had allocated
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = len(rows) // 2
        waiting += [rows[half:], rows[:half]]


def _told(
    vlm: VLM,
    plans: Sequence[PruningPlan],
    samples: Sequence[Sample],
    max_new_tokens: int,
    should_stop: Callable[[], bool],
) -> list[list[Told]]:
    inputs = encode_prompts(vlm, [s.question for s in samples], [s.image for s in samples], padding_side="left")
    tokenizer, ends = vlm.processor.tokenizer, end_token_ids(vlm.model)
    start, found = inputs["input_ids"].shape[1], []
    for plan in plans:
        view = pruned_view(vlm.model, plan.dropped)
        # the model's own settings may sample, or discourage what was said before; answers are greedy here
        view.generation_config = Settings(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=sorted(ends),
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        )
        with torch.inference_mode():
            out = view.generate(**inputs, stopping_criteria=StoppingCriteriaList([_Stop(should_stop)]))
        found.append([_cut(tokenizer, row, ends) for row in out[:, start:].tolist()])
        if should_stop():
            break
    return found


def _cut(tokenizer: Any, ids: list[int], ends: set[int]) -> Told:
    """An answer up to its end token; what `generate` fills up behind it is none of it."""
    last = next((i for i, token in enumerate(ids) if token in ends), None)
    ids = ids if last is None else ids[: last + 1]
    text = tokenizer.decode(ids, skip_special_tokens=True).strip()
    return tuple(ids), text, "length" if last is None else "end"


class _Stop(StoppingCriteria):
    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self.should_stop = should_stop

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self.should_stop(), device=input_ids.device)
