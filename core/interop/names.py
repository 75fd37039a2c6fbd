"""What the harnesses call tasks and metrics beyond our benchmarks' own (`Benchmark.harness`), and their units.

Units are looked up by harness, its version, task and metric, here and nowhere else: `gpt_eval_score` is a percentage
of MMBench, and of MathVerse a percentage up to version 0.3.5 and a fraction from 0.4 on; a pruned model's 0.9 may be
either. What is not listed has no known unit.
"""

from dataclasses import dataclass

from core.benchmarks import Benchmark, list_benchmarks


@dataclass(frozen=True)
class Metric:
    """How a harness writes a metric.

    Attributes:
        unit: fraction | percent | either: which of the two depends on a version that is not known | unknown.
        how: rows: the mean of rows that are right or wrong; graded: the mean of rows that may be half right; circular:
            the share of questions of which every copy is right; part: the mean over some rows only; whole: something
            else about all rows, such as F1; ratio: not a score; unknown.
        judged: a language model judges the rows, so that nothing else says what one of them scored.
    """

    unit: str
    how: str = "rows"
    judged: bool = False


UNKNOWN = Metric("unknown", "unknown")
FRACTION = Metric("fraction")
PERCENT = Metric("percent")
JUDGED = ("mathvista", "mathverse")  # a language model judges the answers, in both harnesses
Version = tuple[int, ...]
NEWEST: Version = (99,)
FRACTION_FROM: dict[tuple[str, str], Version] = {("mathverse", "gpt_eval_score"): (0, 4)}  # a percentage before

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
    "mathvista": {"gpt_eval_score": Metric("percent", judged=True)},  # its metric up to version 0.3.5
}
MATHVERSE = ("Text_Only", "Text_Lite", "Text_Dominant", "Vision_Only", "Vision_Intensive", "Vision_Dominant")
# tasks that are scored as a benchmark of ours is and keep their own names: other prompts, another judge, a part of it
LIKE = {
    **dict.fromkeys(("mathvista_testmini", "mathvista_testmini_cot", "mathvista_testmini_solution"), "mathvista"),
    **{f"mathverse_testmini_{part.lower()}": "mathverse" for part in MATHVERSE},
    **{f"MathVerse_MINI_{part}": "mathverse" for part in MATHVERSE},
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
    "mathvista": ("Task&Skill", "Overall", {"acc": Metric("percent", judged=True)}),
    "mathvision": ("Subject", "Overall", {"acc": Metric("percent", judged=True)}),
    "mathverse": ("split", "Overall", {"Overall": Metric("percent", judged=True)}),
    "ocrbench": ("", "", {"Final Score Norm": Metric("percent", "whole")}),
    "": ("", "", {}),
}

# data set -> (kind, class that VLMEvalKit's configuration names)
VLMEVALKIT: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("ScienceQA_TEST", "ScienceQA_VAL", "RealWorldQA", "VStarBench", "AI2D_TEST", "AI2D_TEST_NO_MASK", "MMStar"),
        ("choices", "ImageMCQDataset"),
    ),
    **dict.fromkeys(
        (
            *(
                f"MMBench{of}{v}"
                for of in ("", "_CN", "_DEV_EN", "_DEV_CN", "_TEST_EN", "_TEST_CN")
                for v in ("", "_V11")
            ),
        ),
        ("circular", "ImageMCQDataset"),
    ),
    "MMMU_DEV_VAL": ("choices", "MMMUDataset"),
    "ChartQA_TEST": ("chartqa", "ImageVQADataset"),
    **dict.fromkeys(("TextVQA_VAL", "DocVQA_VAL"), ("vqa", "ImageVQADataset")),
    "POPE": ("yes_no", "ImageYORNDataset"),
    "MathVista_MINI": ("mathvista", "MathVista"),
    **dict.fromkeys(("MathVision", "MathVision_MINI"), ("mathvision", "MathVision")),
    **dict.fromkeys(("MathVerse_MINI", *(f"MathVerse_MINI_{part}" for part in MATHVERSE)), ("mathverse", "MathVerse")),
    "OCRBench": ("ocrbench", "OCRBench"),
    "GSM8K-V": ("", "GSM8KVDataset"),
}
SEVERAL = ("MMMU_DEV_VAL",)  # data sets of more than one split
EXPLODED = ("POPE",)  # VLMEvalKit counts a row once for each of the categories that it is of


def judged_elsewhere() -> dict[str, Benchmark]:
    """Our benchmarks that a harness has, by key."""
    return {b.key: b for b in list_benchmarks() if b.harness.task}


def benchmark_of(task: str, adapter: str = "") -> tuple[str, str]:
    """Our name and domain of a harness's task: its own name where it is none of ours, and "other" where nothing says.

    A smaller or another split of the same set is not the same benchmark, nor is another set that happens to have our
    name for one: lmms-eval's `scienceqa` holds the questions without a picture too.
    """
    domains = {b.key: b.domain for b in list_benchmarks()}
    if adapter == "strata":  # files that Strata wrote name benchmarks as we do
        return task, domains.get(task, "other")
    for key, found in judged_elsewhere().items():
        if task in (found.harness.task, found.harness.vlmevalkit):
            return key, found.domain
    listed = {*MORE, *VLMEVALKIT}
    domain = "math" if task in MATH_TASKS else domains[LIKE[task]] if task in LIKE else ""
    return task if task not in domains else f"{task} (all)", domain or ("general" if task in listed else "other")


def split_key(key: str, dataset: str, split: str) -> str:
    """Our name for a split of a data set that holds several: a benchmark of ours is one of them only."""
    ours = judged_elsewhere().get(key) if dataset in SEVERAL else None
    return key if ours is None or split in ("", ours.split) else f"{dataset} ({split})"


def lmms_metric(task: str, metric: str, adapter: str = "", version: Version | None = NEWEST) -> Metric:
    """The unit of a metric of lmms-eval; files that Strata wrote hold fractions.

    Args:
        version: of the harness, None where the file does not say it.
    """
    if adapter == "strata":
        return FRACTION
    family = LIKE.get(task) or benchmark_of(task)[0]
    if since := FRACTION_FROM.get((family, metric)):
        unit = "either" if version is None else "percent" if version < since else "fraction"
        return Metric(unit, judged=True)
    ours = judged_elsewhere().get(family)
    if ours is not None and metric == ours.harness.metric:
        return Metric("percent" if ours.harness.percent else "fraction", HOW.get(family, "rows"), family in JUDGED)
    return {**MORE.get(family, {}), **MORE.get(task, {})}.get(metric, UNKNOWN)
