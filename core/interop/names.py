"""What the harnesses call tasks and metrics beyond our benchmarks' own (`Benchmark.harness`), and their units.

Units are looked up by harness, task and metric: `gpt_eval_score` is a fraction of MathVerse and a percentage of
MMBench, and a pruned model's 0.9 may be either. What is not listed has no known unit.
"""

from dataclasses import dataclass

from core.benchmarks import Benchmark, list_benchmarks


@dataclass(frozen=True)
class Metric:
    """How a harness writes a metric.

    Attributes:
        unit: fraction | percent | unknown.
        how: rows: the mean of rows that are right or wrong; graded: the mean of rows that may be half right; circular:
            the share of questions of which every copy is right; part: the mean over some rows only; whole: something
            else about all rows, such as F1; ratio: not a score; unknown.
    """

    unit: str
    how: str = "rows"


UNKNOWN = Metric("unknown", "unknown")
FRACTION = Metric("fraction")
PERCENT = Metric("percent")

HOW = {"textvqa": "graded", "mmbench": "circular"}  # the main metrics of all other benchmarks are means of their rows
# what lmms-eval writes beside a benchmark's main metric, and metrics of tasks that are none of our benchmarks
MORE: dict[str, dict[str, Metric]] = {
    "chartqa": dict.fromkeys(("relaxed_human_split", "relaxed_augmented_split"), Metric("fraction", "part")),
    "vstar_bench": dict.fromkeys(
        ("vstar_direct_attributes_acc", "vstar_relative_position_acc"), Metric("percent", "part")
    ),
    "pope": {
        **dict.fromkeys(("pope_precision", "pope_recall", "pope_f1_score"), Metric("fraction", "whole")),
        "pope_yes_ratio": Metric("fraction", "ratio"),
    },
    "scienceqa": {"exact_match": FRACTION},
    "gsm8k": {"exact_match": FRACTION},
    "mathvision_testmini": {"mathvision_standard_eval": PERCENT},
}
# the same questions under another name: other prompts, another judge
ALSO = {
    "mathvista_testmini_cot": "mathvista",
    "mathvista_testmini_solution": "mathvista",
    "mmbench_en_dev": "mmbench",
}
MATH_TASKS = frozenset({"gsm8k", "GSM8K-V", "mathvision_testmini", "MathVision_MINI"})  # and no benchmark of ours

# kind -> (column that names the row, the row that counts ("": each), metrics)
VLMEVALKIT_KINDS: dict[str, tuple[str, str, dict[str, Metric]]] = {
    "choices": ("split", "", {"Overall": FRACTION}),
    "circular": ("split", "", {"Overall": Metric("fraction", "circular")}),
    "yes_no": (
        "split",
        "Overall",
        {"acc": PERCENT, **dict.fromkeys(("Overall", "precision", "recall"), Metric("percent", "whole"))},
    ),
    "chartqa": (
        "",
        "",
        {"Overall": PERCENT, **dict.fromkeys(("test_human", "test_augmented"), Metric("percent", "part"))},
    ),
    "vqa": ("", "", {"Overall": Metric("percent", "graded")}),
    "mathvista": ("Task&Skill", "Overall", {"acc": PERCENT}),
    "mathvision": ("Subject", "Overall", {"acc": PERCENT}),
    "mathverse": ("split", "Overall", {"Overall": PERCENT}),
    "": ("", "", {}),
}

# data set -> (kind, class that VLMEvalKit's configuration names)
VLMEVALKIT: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("ScienceQA_TEST", "ScienceQA_VAL", "RealWorldQA", "VStarBench", "AI2D_TEST", "AI2D_TEST_NO_MASK", "MMStar"),
        ("choices", "ImageMCQDataset"),
    ),
    **dict.fromkeys(
        ("MMBench_DEV_EN", "MMBench_DEV_EN_V11", "MMBench", "MMBench_V11"), ("circular", "ImageMCQDataset")
    ),
    "MMMU_DEV_VAL": ("choices", "MMMUDataset"),
    "ChartQA_TEST": ("chartqa", "ImageVQADataset"),
    **dict.fromkeys(("TextVQA_VAL", "DocVQA_VAL"), ("vqa", "ImageVQADataset")),
    "POPE": ("yes_no", "ImageYORNDataset"),
    "MathVista_MINI": ("mathvista", "MathVista"),
    **dict.fromkeys(("MathVision", "MathVision_MINI"), ("mathvision", "MathVision")),
    "MathVerse_MINI": ("mathverse", "MathVerse"),
    "GSM8K-V": ("", "GSM8KVDataset"),
}


def judged_elsewhere() -> dict[str, Benchmark]:
    """Our benchmarks that a harness has, by key."""
    return {b.key: b for b in list_benchmarks() if b.harness.task}


def benchmark_of(task: str) -> tuple[str, str]:
    """Our name and domain of a harness's task: its own name where it is none of ours, and "other" where nothing says.

    A smaller or another split of the same set is not the same benchmark.
    """
    for key, found in judged_elsewhere().items():
        if task in (found.harness.task, found.harness.vlmevalkit) or ALSO.get(task) == key:
            return key, found.domain
    return task, "math" if task in MATH_TASKS else "general" if task in {*MORE, *VLMEVALKIT} else "other"


def lmms_metric(task: str, metric: str, adapter: str = "") -> Metric:
    """The unit of a metric of lmms-eval; files that Strata wrote hold fractions."""
    if adapter == "strata":
        return FRACTION
    ours = judged_elsewhere().get(benchmark_of(task)[0])
    if ours is not None and metric == ours.harness.metric:
        return Metric("percent" if ours.harness.percent else "fraction", HOW.get(ours.key, "rows"))
    return MORE.get(task, {}).get(metric, UNKNOWN)
