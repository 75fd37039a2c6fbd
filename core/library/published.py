"""Figures that papers publish, as reference scores: a series of their own, never mixed with what is measured.

What a source leaves open stays open: no model, layer count or configuration is filled in.
"""

import math
from dataclasses import replace

from core.records.references import ReferenceScore

DEPTH = 36  # decoder layers of Qwen3-VL-4B-Instruct and of Qwen3-VL-8B-Instruct
NOT_STATED = "not stated"

PAPER = "arXiv:2603.20275, as an index page of the paper lists it"
INTERLACE = "arXiv:2511.19676 and the authors' repository"
METHODS_MODEL = "Qwen/Qwen3-VL-8B-Instruct"  # the page says "Qwen3-VL-8B"; of the two published it is the one it prunes
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
    return [*scores, *_methods(), *_ablations()]


def _methods() -> list[ReferenceScore]:
    """The page's comparison of methods, headed "Qwen3-VL-8B, 25 % pruning"; 100 % is the fine-tuned dense model."""
    rows: list[tuple[str, int | None, float | None, float | None, str]] = [
        # criterion, percent of the layers, mean score, percent of the fine-tuned dense model, what else is stated
        ("dense", 0, 77.8, None, "The unpruned model as it is."),
        ("dense, fine-tuned", 0, 80.5, 100.0, "The unpruned model after the same fine-tuning."),
        ("interlace", 25, 71.6, 88.9, "Fine-tuned. Time to first token 1.18 times as fast."),
        ("sleb", 25, 48.6, 60.5, "Not fine-tuned. Time to first token 1.12 times as fast."),
        ("sleb, fine-tuned", 25, 46.0, 57.1, "After the same fine-tuning."),
        ("magnitude-2:4", None, None, 9.5, "Half of the weights are zero, no layer is dropped."),
        ("wanda-2:4", None, None, 8.9, "Half of the weights are zero, no layer is dropped."),
    ]
    scores = []
    for criterion, percent, score, retention, note in rows:
        stated = ((score, "score", note), (retention, "retention", f"{note} Against the fine-tuned unpruned model."))
        for value, measure, said in stated:
            if value is not None:
                metric = f"mean {measure}, comparison of methods"
                scores.append(_interlace(METHODS_MODEL, percent, value, criterion, metric, said, measure))
    return scores


def _ablations() -> list[ReferenceScore]:
    """Other choices of layers on that page, against INTERLACE itself: no shares of a full model."""
    note = "Percent of what INTERLACE keeps (100), not of the unpruned model; the page's own name of the variant."
    return [
        replace(
            _interlace(METHODS_MODEL, 25, value, f"interlace ablation: {name}", "ablations, INTERLACE = 100", note),
            n_drop=None,
        )
        for name, value in (("consecutive", 65.1), ("random", 85.1), ("OA", 94.9), ("TN", 98.7))
    ]


def _interlace(
    model_id: str, percent: int | None, value: float, criterion: str, metric: str, note: str, measure: str = "retention"
) -> ReferenceScore:
    return ReferenceScore(
        model_id=model_id,
        benchmark="average",
        domain="all",
        criterion=criterion,
        value=round(value / 100, 4),
        metric=f"published:{metric}",
        source=INTERLACE,
        origin="published",
        n_drop=None if percent is None else math.floor(percent * DEPTH / 100),
        percent=percent,
        measure=measure,
        note=note,
    )
