"""Streaming generation: answers as streams of tokens, on the full model and on pruned views, several plans in step.

The decode loop is written out, over the model's own input preparation, so that requests can take turns in one thread
and a stop takes effect within one token. Greedy decoding equals `generate(do_sample=False)`.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import PreTrainedModel

from core.errors import PlanError
from core.records.answers import Answer, GenerationConfig, PaneDone, TokenEvent
from core.records.plan import PruningPlan
from core.vlm.encoding import end_token_ids
from core.vlm.in_step import InStep, cached_bytes, pays
from core.vlm.loading import VLM, decoder_layers
from core.vlm.prompt import Prefill, Prompt, prefills, prepare_prompt


def stream_answers(
    vlm: VLM,
    plans: Sequence[PruningPlan | None],
    prompt: Prompt,
    config: GenerationConfig | None = None,
    prefilled: list[Prefill] | None = None,
) -> Iterator[TokenEvent | PaneDone]:
    """Token events of one answer for each plan (None is the full model), in turn, and each finished Answer.

    To several questions at once, pane i is question i % B under plan i // B.

    The prompt's forward is shared along the trie, and each decoder layer then runs once a token for all plans that keep
    it; so the answers' times are those of all of them together. An answer that ends leaves the others to go on. Closing
    the iterator early stops the work within one token. Streams share nothing, so that any number may be interleaved.
    Plans that sample draw with the same random numbers, so that what differs is the plans' doing.

    Args:
        prefilled: the plans' forwards over the prompt, if they have been made; the list is emptied.
    Raises:
        PlanError: a plan of another depth.
    """
    config = config or GenerationConfig()
    for plan in plans:
        if plan is not None and plan.n_layers != vlm.spec.n_layers:
            raise PlanError(f"the plan is for {plan.n_layers} layers, {vlm.spec.model_id} has {vlm.spec.n_layers}")
    n, weights = len(prompt.questions), _Weights(vlm.model)
    panes = [_Pane(vlm, number, plans[number // n], prompt, config, weights) for number in range(len(plans) * n)]
    peak = _Peak(vlm.model)
    caches: dict[int, Sequence[Any]] = {}  # of each plan
    kept = [plan.kept if plan else tuple(range(vlm.spec.n_layers)) for plan in plans]
    given = ((number, prefilled.pop(0)) for number in range(len(plans))) if prefilled else None
    taken = given or prefills(vlm.model, kept, prompt)
    # no name may keep a cache that is taken apart below
    while (found := peak.during(next, taken, None)) is not None:
        number, logits = found[0], found[1].logits
        caches[number] = found[1].cache_layers
        for row, pane in enumerate(panes[number * n : (number + 1) * n]):
            yield pane.take(logits[row], peak.bytes)
            if pane.stopped:
                yield pane.done(sum(map(cached_bytes, caches[number])) // n)
    going = [i for i in range(len(plans)) if not all(pane.stopped for pane in panes[i * n : (i + 1) * n])]
    together = [going] if pays(vlm.model, len(going) * n) else [[i] for i in going]
    groups = []
    for numbers in together if going else []:
        steps = InStep(vlm.model, prompt, [kept[i] for i in numbers], [caches.pop(i) for i in numbers])
        groups.append((_left(steps, [pane for i in numbers for pane in panes[i * n : (i + 1) * n]]), steps))
    caches.clear()
    while groups:
        for group, steps in groups:
            logits = peak.during(steps.logits, [pane.ids[-1] for pane in group])
            for row, pane in enumerate(group):
                yield pane.take(logits[row], peak.bytes)
                if pane.stopped:
                    yield pane.done(steps.cache_bytes(row))
        groups = [(left, steps) for group, steps in groups if (left := _left(steps, group))]


def _left(steps: InStep, group: "list[_Pane]") -> "list[_Pane]":
    """The answers that go on, as the rows that stay."""
    rows = [row for row, pane in enumerate(group) if not pane.stopped]
    if 0 < len(rows) < len(group):
        steps.keep(rows)
    return [group[row] for row in rows]


def stream_answer(
    vlm: VLM,
    plan: PruningPlan | None,
    prompt: Prompt,
    config: GenerationConfig | None = None,
) -> Iterator[TokenEvent | Answer]:
    """Token events of one plan's answer, then the Answer itself; otherwise as `stream_answers`."""
    for event in stream_answers(vlm, [plan], prompt, config):
        yield event.answer if isinstance(event, PaneDone) else event


class _Pane:
    """One answer under way."""

    def __init__(
        self,
        vlm: VLM,
        number: int,
        plan: PruningPlan | None,
        prompt: Prompt,
        config: GenerationConfig,
        weights: "_Weights",
    ):
        self.number, self.plan, self.prompt, self.config, self.vlm = number, plan, prompt, config, vlm
        self._weights = weights
        self.ids: list[int] = []
        self.stopped = ""  # end | length
        self._began = time.perf_counter() - prompt.seconds
        self._ends = end_token_ids(vlm.model)
        self._generator = torch.Generator(vlm.device).manual_seed(config.seed)
        self._events: list[TokenEvent] = []
        # text is decoded from the last tokens on, behind those before them: alone, words may lose the space before them
        self._before: list[int] = []
        self._pending: list[int] = []
        self._peak = 0

    def take(self, logits: Tensor, peak: int | None) -> TokenEvent:
        """Choose the next token from its (V,) logits."""
        self._peak = max(self._peak, peak or 0)
        tokenizer = self.vlm.processor.tokenizer
        token = _choose(logits, self.config, self._generator)
        self.ids.append(token)
        if token in self._ends:
            self.stopped = "end"
        elif len(self.ids) == self.config.max_new_tokens:
            self.stopped = "length"
        self._pending.append(token)
        text = tokenizer.decode([*self._before, *self._pending], skip_special_tokens=True)
        before = tokenizer.decode(self._before, skip_special_tokens=True)
        # a character of several bytes is shown once it is whole
        new = "" if text.endswith("\ufffd") and self.stopped != "end" else text[len(before) :]
        if new:
            self._before, self._pending = self._pending, []
        top = _likeliest(tokenizer, logits, self.config.top) if self.config.top else ()
        self._events.append(TokenEvent(self.number, token, new, time.perf_counter() - self._began, top))
        return self._events[-1]

    def done(self, kv_bytes: int) -> PaneDone:
        events = self._events
        decoding = events[-1].elapsed_s - events[0].elapsed_s
        answer = Answer(
            model_id=self.vlm.spec.model_id,
            plan=self.plan,
            question=self.prompt.questions[self.number % len(self.prompt.questions)],
            text=self.vlm.processor.tokenizer.decode(self.ids, skip_special_tokens=True).strip(),
            tokens=len(self.ids),
            ttft_s=events[0].elapsed_s,
            tokens_per_s=(len(self.ids) - 1) / decoding if decoding > 0 else 0.0,
            stopped=self.stopped,
            events=tuple(events),
            warm=self.prompt.warm,
            weights_bytes=self._weights.without(self.plan.dropped if self.plan else ()),
            kv_bytes=kv_bytes,
            peak_memory_bytes=self._peak or None,
        )
        return PaneDone(self.number, answer)


class _Weights:
    """Bytes of parameters and buffers."""

    def __init__(self, model: PreTrainedModel):
        self._layers = [_weigh(layer) for layer in decoder_layers(model)]
        self._all = _weigh(model)

    def without(self, dropped: Sequence[int]) -> int:
        return self._all - sum(self._layers[index] for index in dropped)


def _weigh(module: nn.Module) -> int:
    return sum(t.nbytes for t in chain(module.parameters(), module.buffers()))


class _Peak:
    """The most memory that PyTorch had allocated on the model's GPUs during one piece of work: requests take turns."""

    def __init__(self, model: PreTrainedModel):
        self._gpus = {p.device for p in model.parameters() if p.is_cuda}
        self.bytes: int | None = None  # None on the CPU, where PyTorch does not count

    def during(self, work: Callable[..., Any], *args: Any) -> Any:
        for gpu in self._gpus:
            torch.cuda.reset_peak_memory_stats(gpu)
        done = work(*args)
        self.bytes = sum(torch.cuda.max_memory_allocated(gpu) for gpu in self._gpus) or None
        return done


def _likeliest(tokenizer: Any, logits: Tensor, n: int) -> tuple[tuple[str, float], ...]:
    """The model's own probabilities, whatever the temperature."""
    probabilities, ids = logits.softmax(-1).topk(min(n, logits.numel()))
    return tuple((tokenizer.decode([i]), p) for i, p in zip(ids.tolist(), probabilities.tolist(), strict=True))


def _choose(logits: Tensor, config: GenerationConfig, generator: torch.Generator) -> int:
    if config.temperature <= 0:
        return int(logits.argmax())
    probabilities = (logits / config.temperature).softmax(-1)
    falling, order = probabilities.sort(descending=True)
    # the smallest set of tokens whose probability reaches top_p; drawn from in the order of the vocabulary, since that
    # of the probabilities changes with their last digit
    probabilities[order[falling.cumsum(-1) - falling >= config.top_p]] = 0
    return int(torch.multinomial(probabilities, 1, generator=generator))


def answer(
    vlm: VLM, plan: PruningPlan | None, image: Image.Image | None, question: str, config: GenerationConfig | None = None
) -> Answer:
    """The whole answer at once."""
    *_, last = stream_answer(vlm, plan, prepare_prompt(vlm, image, question), config)
    assert isinstance(last, Answer)
    return last
