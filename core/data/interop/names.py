"""What the harnesses call their tasks and metrics, in which unit they write them, and what we call the benchmark.

Units are looked up by harness, task and metric: `gpt_eval_score` is a fraction of MathVerse and a percentage of
MMBench, and a pruned model's 0.9 may be either. What is not listed has no known unit.
"""

from dataclasses import dataclass


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
EXACT = {"exact_match": FRACTION}
POPE = {
    "pope_accuracy": FRACTION,
    **dict.fromkeys(("pope_precision", "pope_recall", "pope_f1_score"), Metric("fraction", "whole")),
    "pope_yes_ratio": Metric("fraction", "ratio"),
}
CHARTQA = {
    "relaxed_overall": FRACTION,
    **dict.fromkeys(("relaxed_human_split", "relaxed_augmented_split"), Metric("fraction", "part")),
}
MMBENCH = {"gpt_eval_score": Metric("percent", "circular")}
VSTAR = {
    "vstar_overall_acc": PERCENT,
    **dict.fromkeys(("vstar_direct_attributes_acc", "vstar_relative_position_acc"), Metric("percent", "part")),
}

# our benchmark -> domain, task of lmms-eval (one without a judge if there is), data set of VLMEvalKit
BENCHMARKS: dict[str, tuple[str, str, str]] = {
    "scienceqa": ("general", "scienceqa_img", "ScienceQA_TEST"),
    "chartqa": ("general", "chartqa", "ChartQA_TEST"),
    "realworldqa": ("general", "realworldqa", "RealWorldQA"),
    "vstar": ("general", "vstar_bench", "VStarBench"),
    "mathvista": ("math", "mathvista_testmini_format", "MathVista_MINI"),
    "mathverse": ("math", "mathverse_testmini", "MathVerse_MINI"),
    "mathvision": ("math", "mathvision_test", "MathVision"),
    "ai2d": ("general", "ai2d", "AI2D_TEST"),
    "pope": ("general", "pope", "POPE"),
    "mmbench": ("general", "mmbench_en_dev_static", "MMBench_DEV_EN"),
    "textvqa": ("general", "textvqa_val", "TextVQA_VAL"),
    "mmmu": ("general", "mmmu_val", "MMMU_DEV_VAL"),
}
# the same questions under another name: other prompts, another judge
ALSO = {
    "mathvista_testmini_cot": "mathvista",
    "mathvista_testmini_solution": "mathvista",
    "mmbench_en_dev": "mmbench",
}
MATH_TASKS = frozenset({"gsm8k", "GSM8K-V", "mathvision_testmini", "MathVision_MINI"})  # and no benchmark of ours

LMMS_EVAL: dict[str, dict[str, Metric]] = {
    **dict.fromkeys(("scienceqa_img", "scienceqa", "realworldqa", "ai2d", "gsm8k"), EXACT),
    "chartqa": CHARTQA,
    "vstar_bench": VSTAR,
    **{f"mathvista_testmini_{how}": {"llm_as_judge_eval": PERCENT} for how in ("format", "cot", "solution")},
    "mathverse_testmini": {"gpt_eval_score": FRACTION},
    **{f"mathvision_{split}": {"mathvision_standard_eval": PERCENT} for split in ("test", "testmini")},
    "pope": POPE,
    "mmbench_en_dev": MMBENCH,
    "mmbench_en_dev_static": MMBENCH,
    "textvqa_val": {"exact_match": Metric("fraction", "graded")},
    "mmmu_val": {"mmmu_acc": FRACTION},
}

# kind -> (column that names the row, the row that counts ("": each), metrics)
VLMEVALKIT_KINDS: dict[str, tuple[str, str, dict[str, Metric]]] = {
    "choices": ("split", "", {"Overall": FRACTION}),
    "circular": ("split", "", {"Overall": Metric("fraction", "circular")}),
    "yes_no": (
        "split",
        "Overall",
        {"acc": PERCENT, **dict.fromkeys(("Overall", "precision", "recall"), Metric("percent", "whole"))},
    ),
    "vqa": (
        "",
        "",
        {
            "Overall": Metric("percent", "graded"),
            **dict.fromkeys(("test_human", "test_augmented"), Metric("percent", "part")),
        },
    ),
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
    **dict.fromkeys(("ChartQA_TEST", "TextVQA_VAL", "DocVQA_VAL"), ("vqa", "ImageVQADataset")),
    "POPE": ("yes_no", "ImageYORNDataset"),
    "MathVista_MINI": ("mathvista", "MathVista"),
    **dict.fromkeys(("MathVision", "MathVision_MINI"), ("mathvision", "MathVision")),
    "MathVerse_MINI": ("mathverse", "MathVerse"),
    "GSM8K-V": ("", "GSM8KVDataset"),
}


def benchmark_of(task: str) -> tuple[str, str]:
    """Our name and domain of a harness's task: its own name where it is none of ours, and "other" where nothing says.

    A smaller or another split of the same set is not the same benchmark.
    """
    for ours, (domain, *theirs) in BENCHMARKS.items():
        if task in theirs or ALSO.get(task) == ours:
            return ours, domain
    return task, "math" if task in MATH_TASKS else "general" if task in {*LMMS_EVAL, *VLMEVALKIT} else "other"


def lmms_metric(task: str, metric: str, adapter: str = "") -> Metric:
    """The unit of a metric of lmms-eval; files that Strata wrote hold fractions."""
    if adapter == "strata":
        return FRACTION
    return LMMS_EVAL.get(task, {}).get(metric, UNKNOWN)
