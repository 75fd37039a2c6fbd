"""Figures that papers publish, as reference scores: a series of their own, never mixed with what is measured.

What a source leaves open stays open: no model, layer count or configuration is filled in.
"""

import math

from core.records.references import ReferenceScore

DEPTH = 36  # decoder layers of Qwen3-VL-4B-Instruct and of Qwen3-VL-8B-Instruct
NOT_STATED = "not stated"

PAPER = "arXiv:2603.20275, as an index page of the paper lists it"
INTERLACE = "arXiv:2511.19676 and the authors' repository"
RETENTION = {  # percent of the layers dropped -> percent of the full model's score, averaged over benchmarks
    "Qwen/Qwen3-VL-8B-Instruct": {10: 94.0, 15: 92.1, 20: 86.9, 25: 86.1},
    "Qwen/Qwen3-VL-4B-Instruct": {10: 93.9, 15: 91.9, 20: 88.0, 25: 81.7},
}


def published_scores() -> tuple[ReferenceScore, ...]:
    """Every published figure that is known here."""
    return (*_math_aware_paper(), *_interlace_paper())


def _math_aware_paper() -> list[ReferenceScore]:
    """Figures by benchmark; two of them are given for a benchmark where two configurations were scored."""
    figures = [
        ("realworldqa", "general", 67.45),
        ("realworldqa", "general", 72.29),
        ("vstar", "general", 82.72),
        ("vstar", "general", 76.96),
        ("numinamath", "math", 55.5),
        ("snapask", "math", 35.83),
        ("llava_onevision", "general", 66.16),
    ]
    seen: dict[str, int] = {}
    scores = []
    for benchmark, domain, percent in figures:
        seen[benchmark] = seen.get(benchmark, 0) + 1
        several = sum(b == benchmark for b, _, _ in figures) > 1
        scores.append(
            ReferenceScore(
                model_id=NOT_STATED,
                benchmark=benchmark,
                domain=domain,
                criterion="published",
                value=round(percent / 100, 4),
                metric="published:score" + (f", figure {seen[benchmark]}" if several else ""),
                source=PAPER,
                origin="published",
                note="Which model, how many dropped layers and which criterion this figure belongs to is not known "
                "here: only the benchmark's name.",
            )
        )
    return scores


def _interlace_paper() -> list[ReferenceScore]:
    """Retention after pruning and fine-tuning. The method drops floor(percent x 36 / 100) layers."""
    scores = [
        _interlace(
            model_id,
            percent,
            retention,
            "interlace",
            "mean retention over 12 benchmarks",
            f"{percent} % of {DEPTH} decoder layers, rounded down. Measured after fine-tuning on 1 % of FineVision, "
            "against the unpruned model: a plan that is only pruned is not comparable.",
        )
        for model_id, row in RETENTION.items()
        for percent, retention in row.items()
    ]
    # the paper's summary: the model is not named there, and 100 % is the unpruned model fine-tuned on the same data
    against = "Against the unpruned model after the same fine-tuning; which model it is, is not stated in the table."
    table = "mean retention, comparison of methods"
    scores.append(
        _interlace(NOT_STATED, 25, 88.9, "interlace", table, f"{against} Time to first token 1.18 times as fast.")
    )
    scores.append(
        _interlace(
            NOT_STATED, 25, 60.5, "sleb", table, f"{against} Not fine-tuned. Time to first token 1.12 times as fast."
        )
    )
    scores.append(
        _interlace(
            NOT_STATED, None, 8.9, "wanda-2:4", table, f"{against} Half of the weights are zero, no layer is dropped."
        )
    )
    return scores


def _interlace(
    model_id: str, percent: int | None, retention: float, criterion: str, metric: str, note: str
) -> ReferenceScore:
    known = percent is not None and model_id != NOT_STATED
    return ReferenceScore(
        model_id=model_id,
        benchmark="average",
        domain="all",
        criterion=criterion,
        value=round(retention / 100, 4),
        metric=f"published:{metric}",
        source=INTERLACE,
        origin="published",
        n_drop=math.floor((percent or 0) * DEPTH / 100) if known else None,
        percent=percent,
        measure="retention",
        note=note,
    )
