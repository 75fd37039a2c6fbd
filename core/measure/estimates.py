"""Expected GPU hours of a recipe: arithmetic on the cost model, each assumption stated. Nothing here knows torch.

It follows what a sweep does with freely written answers (core/vlm/free_form.py). An item goes through vision tower and
projector once and through each node of the plans' trie once; then the plans decode, as many in step as are asked for,
and several items at once where that leaves room. After that the gold answers are teacher-forced in batches, over the
trie. A layer's call takes as long as its products or its bytes do, and never less than Python needs to launch it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil, inf
from typing import Any

from core.errors import RecipeError
from core.measure.gpus import Gpu
from core.measure.sweep import free_chunk
from core.measure.workload import Work
from core.pruning.cost import ModelAnatomy, estimate_cost, fits
from core.pruning.trie import trie_layers
from core.records.plan import PruningPlan

MOST_BATCH = 64  # samples that are teacher-forced at a time on a GPU, at most
MOST_ANSWERS = 4096  # answers in step, at most


@dataclass(frozen=True)
class Assumptions:
    """What an estimate takes for granted; none of it was measured here.

    Attributes:
        compute, bandwidth: shares of a GPU's stated peaks that are reached.
        layer_s: seconds that Python needs to launch one decoder layer. The default is 39 ms a token over 32 layers: the
            25.5 tokens/s that the PyTorch team reports of a plain Llama-7B on an A100 (their post on gpt-fast).
        prompt_tokens: text of a question, chat template included.
        gold_tokens: of a gold answer.
        answer_tokens: mean length of an answer; 0: every answer runs to its benchmark's limit, as a pruned model's
            often does.
        answer_batch: answers that are written at once, those of all plans to an item and to as many items as there is
            room for (core/vlm/in_step.py); 0: as many as the GPU holds, which the estimate then states.
    """

    compute: float = 0.4
    bandwidth: float = 0.6
    layer_s: float = 0.0012
    prompt_tokens: int = 128
    gold_tokens: int = 8
    answer_tokens: int = 0
    answer_batch: int = 1

    def __post_init__(self) -> None:
        if not (0 < self.compute <= 1 and 0 < self.bandwidth <= 1 and 0 <= self.layer_s < inf):
            raise RecipeError(
                "shares of compute and bandwidth lie above 0 and up to 1, a layer's launch takes 0 ms or more"
            )
        if min(self.prompt_tokens, self.gold_tokens) < 1 or min(self.answer_tokens, self.answer_batch) < 0:
            raise RecipeError(
                "prompts and gold answers are of one token at least, answers and batches of no less than 0"
            )


@dataclass(frozen=True)
class Row:
    """What one benchmark takes. FLOPs and tokens are of all items and plans; `answer_tokens` is of one answer."""

    benchmark: str
    items: int
    prompt_tokens: int  # the picture's included
    answer_tokens: int
    prefill_flops: float
    decode_tokens: int
    prefill_hours: float
    decode_hours: float
    piece_items: int

    @property
    def hours(self) -> float:
        return self.prefill_hours + self.decode_hours


@dataclass(frozen=True)
class Estimate:
    """GPU hours of a sweep on one kind of GPU.

    Attributes:
        plans: distinct ones, the full model included.
        trie_nodes, layers: decoder layers that are called for all plans, with and without sharing.
        batch_size: samples that fit at a time, at most `MOST_BATCH`; 0 if the model does not fit at all.
        calibration_hours: of one pass of the full model over the calibration samples.
    """

    gpu: Gpu
    assumptions: Assumptions
    rows: tuple[Row, ...]
    plans: int
    trie_nodes: int
    layers: int
    batch_size: int
    calibration_hours: float

    @property
    def hours(self) -> float:
        return sum(row.hours for row in self.rows)

    def wall_hours(self, gpus: int) -> float:
        """Until the last of several GPUs is done: pieces of a few items go to whoever is free, in order."""
        busy = [0.0] * gpus
        for row in self.rows:
            for start in range(0, row.items, row.piece_items):
                busy.sort()
                busy[0] += row.hours * min(row.piece_items, row.items - start) / row.items
        return max(busy)

    def to_dict(self) -> dict[str, Any]:
        rows = [{**asdict(row), "hours": row.hours} for row in self.rows]
        return {**asdict(self), "rows": rows, "hours": self.hours}


def expected_hours(
    anatomy: ModelAnatomy,
    works: Sequence[Work],
    plans: Sequence[PruningPlan],
    gpu: Gpu,
    assumptions: Assumptions | None = None,
    calibration: Sequence[Work] = (),
) -> Estimate:
    """Hours of one GPU for all plans on all works; a model that does not fit is counted as if it did.

    Raises:
        PlanError: a plan of another depth.
    """
    return _Counting(anatomy, plans, gpu, assumptions or Assumptions(), [*works, *calibration]).estimate(
        works, calibration
    )


class _Counting:
    """One model, its plans and one GPU."""

    def __init__(
        self,
        anatomy: ModelAnatomy,
        plans: Sequence[PruningPlan],
        gpu: Gpu,
        assumptions: Assumptions,
        works: Sequence[Work],
    ):
        self.anatomy, self.gpu, self.given = anatomy, gpu, assumptions
        self.plans = list({p.kept: p for p in plans}.values())
        self.nodes = trie_layers(self.plans)
        peak = gpu.half_flops if anatomy.bytes_per_parameter <= 2 else gpu.float_flops
        self.rate = assumptions.compute * peak  # FLOPs per second
        self.batch = self._batch_size(works)
        if not assumptions.answer_batch:
            self.given = replace(assumptions, answer_batch=self._answers_that_fit(works))

    def estimate(self, works: Sequence[Work], calibration: Sequence[Work]) -> Estimate:
        layers = range(self.anatomy.n_layers)
        seconds = sum(
            w.items * (self._vision(w) / self.rate + self._layers_s(layers, self._prompt(w), self.batch))
            for w in calibration
        )
        return Estimate(
            gpu=self.gpu,
            assumptions=self.given,
            rows=tuple(self._row(w) for w in works),
            plans=len(self.plans),
            trie_nodes=len(self.nodes),
            layers=sum(len(p.kept) for p in self.plans),
            batch_size=self.batch,
            calibration_hours=seconds / 3600,
        )

    def _row(self, work: Work) -> Row:
        prompt = self._prompt(work)
        forced = prompt + self.given.gold_tokens
        answer = min(self.given.answer_tokens or work.max_new_tokens, work.max_new_tokens)
        # once to be answered and once to be teacher-forced, by all plans together
        heads = self.anatomy.head_flops_per_token * len(self.plans) * (1 + self.given.gold_tokens)
        outside = 2 * self._vision(work) + heads
        prefill = outside / self.rate + self._layers_s(self.nodes, prompt, self._in_step(work)[0])
        prefill += self._layers_s(self.nodes, forced, self.batch)
        flops = outside + sum(self._layer(i, tokens) for tokens in (prompt, forced) for i in self.nodes)
        steps = answer - 1  # the first token comes out of the prefill
        decode = steps * sum(self._step_s(plan, work, answer) for plan in self.plans) if steps else 0.0
        return Row(
            benchmark=work.benchmark,
            items=work.items,
            prompt_tokens=prompt,
            answer_tokens=answer,
            prefill_flops=work.items * flops,
            decode_tokens=work.items * len(self.plans) * steps,
            prefill_hours=work.items * prefill / 3600,
            decode_hours=work.items * decode / 3600,
            piece_items=free_chunk(work.max_new_tokens),
        )

    def _step_s(self, plan: PruningPlan, work: Work, answer: int) -> float:
        """Seconds of one decoding step of one plan: weights and cache are read, products are made, layers are launched.

        Plans in step read the weights and launch the layers once for all of them; every layer counts there, as it does
        where one of them is the full model.
        """
        a, width = self.anatomy, self.anatomy.bytes_per_parameter
        rows = self._in_step(work)[1]
        cost = estimate_cost(
            a,
            plan if rows == 1 else None,
            prompt_tokens=self.given.prompt_tokens,
            image_tokens=work.image_tokens,
            new_tokens=answer,
        )
        # of the embeddings one row is read, unless they are the head as well
        read = cost.bytes.decoder + cost.bytes.head - (width * a.embedding_parameters if a.head_parameters else 0)
        return max(
            (read / rows + cost.kv_bytes) / (self.given.bandwidth * self.gpu.bandwidth),
            cost.decode_flops_per_token.total / self.rate,
            self.given.layer_s * (len(plan.kept) if rows == 1 else a.n_layers) / rows,
        )

    def _in_step(self, work: Work) -> tuple[float, float]:
        """(Items at once, answers in step), both on average: a piece's items, and the plans, go in groups."""
        plans, piece = len(self.plans), free_chunk(work.max_new_tokens)
        most = min(max(1, self.given.answer_batch // plans), piece)
        items = piece / ceil(piece / most)
        return items, items * plans / ceil(plans / min(plans, self.given.answer_batch // most))

    def _answers_that_fit(self, works: Sequence[Work]) -> int:
        """As many as memory holds, in equal groups of the plans."""
        plans, most = len(self.plans), max(1, self._batch_size(works, MOST_ANSWERS))
        return most // plans * plans or ceil(plans / ceil(plans / most))

    def _prompt(self, work: Work) -> int:
        return self.given.prompt_tokens + work.image_tokens

    def _layers_s(self, layers: Sequence[int], tokens: int, batch: float = 1) -> float:
        """Seconds per sample of these layers' calls over a whole sequence."""
        launch = self.given.layer_s / max(batch, 1)
        return sum(max(self._layer(i, tokens) / self.rate, launch) for i in layers)

    def _layer(self, index: int, tokens: int) -> float:
        layer = self.anatomy.layers[index]
        return layer.flops_per_token * tokens + layer.flops_per_pair * tokens**2

    def _vision(self, work: Work) -> float:
        """FLOPs of vision tower and projector for one picture."""
        a, n = self.anatomy, work.image_tokens
        return (a.vision_flops_per_token + a.projector_flops_per_token) * n + a.vision_flops_per_pair * n**2

    def _batch_size(self, works: Sequence[Work], most: int = MOST_BATCH) -> int:
        image = max((w.image_tokens for w in works), default=0)
        longest = max((w.max_new_tokens for w in works), default=1)
        size = most
        while size and not fits(
            estimate_cost(
                self.anatomy,
                None,
                prompt_tokens=self.given.prompt_tokens,
                image_tokens=image,
                new_tokens=longest,
                batch=size,
            ),
            self.gpu.memory_bytes,
        ):
            size //= 2
        return size
