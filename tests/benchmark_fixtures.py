"""Small benchmarks in the exact layout of the published ones: Parquet files whose columns and types are theirs.

`write_fixture("chartqa", folder)` makes folder/lmms-lab-encoder--ChartQA/default/test-00000-of-00001.parquet; with
STRATA_DATASETS set to the folder, `load_benchmark("chartqa")` reads it by the code that reads the Hub's files.
"""

import io
import json
from pathlib import Path
from typing import Any

import datasets
from datasets import Features, Image, List, Value
from PIL import Image as Pillow
from PIL import ImageDraw

from core.benchmarks import get_benchmark

TEXT, TEXTS, PICTURE = Value("string"), List(Value("string")), Image()
COLOURS = ("red", "blue", "green", "black", "orange", "purple", "brown", "gray")


def picture(index: int, size: tuple[int, int] = (48, 32), file_format: str = "PNG") -> dict[str, Any]:
    """A picture that differs by index, as the Hub stores it."""
    image = Pillow.new("RGB", size, COLOURS[index % len(COLOURS)])
    ImageDraw.Draw(image).text((4, 4), str(index), fill="white")
    data = io.BytesIO()
    image.save(data, file_format)
    return {"bytes": data.getvalue(), "path": None}


def _scienceqa(split: str) -> tuple[Features, list[dict[str, Any]]]:
    texts = ("question", "hint", "task", "grade", "subject", "topic", "category", "skill", "lecture", "solution")
    features = Features({"image": PICTURE, "choices": TEXTS, "answer": Value("int8"), **dict.fromkeys(texts, TEXT)})
    rows = [
        {
            **dict.fromkeys(texts, ""),
            "image": picture(i + (50 if split == "train" else 0)),
            "question": f"Which is number {i}?",
            "hint": "Look at the map." if i == 0 else "",
            "choices": ["a fern", "a moss", "a tree"][: 2 + i % 2],
            "answer": i % 2,
            "subject": "natural science",
        }
        for i in range(6)
    ]
    return features, rows


def _chartqa(split: str) -> tuple[Features, list[dict[str, Any]]]:
    answers = ("14", "0.57", "Yes", "2011", "12%", "Norway")
    rows = [
        {"type": "human_test" if i % 2 else "augmented_test", "question": f"What is bar {i}?", "answer": a}
        for i, a in enumerate(answers)
    ]
    features = Features({"type": TEXT, "question": TEXT, "answer": TEXT, "image": PICTURE})
    return features, [{**row, "image": picture(i)} for i, row in enumerate(rows)]


def _realworldqa(split: str) -> tuple[Features, list[dict[str, Any]]]:
    letter = "Please answer directly with only the letter of the correct option and nothing else."
    word = "Please answer directly with a single word or number."
    rows = [
        {"question": f"Which way does the car {i} go?\nA. Left\nB. Right\nC. Straight on\n{letter}", "answer": "C"}
        for i in range(3)
    ]
    rows += [{"question": f"How many lanes has road {i}?\n{word}", "answer": str(i)} for i in range(3)]
    features = Features({"image": PICTURE, "image_path": TEXT, "question": TEXT, "answer": TEXT})
    return features, [{**row, "image": picture(i), "image_path": f"{i}.webp"} for i, row in enumerate(rows)]


def _vstar(split: str) -> tuple[Features, list[dict[str, Any]]]:
    instruction = "\nAnswer with the option's letter from the given choices directly."
    rows = [
        {
            "image": picture(i, (96, 64)),
            "text": f"What is the color of bag {i}?\n(A) red\n(B) dark blue\n(C) green\n(D) black{instruction}",
            "label": "ABCD"[i],
            "category": "direct_attributes",
            "question_id": str(i),
        }
        for i in range(4)
    ]
    rows += [
        {
            "image": picture(4, (96, 64)),
            "text": "Is the dog left or right of the car? (A) left (B) right",
            "label": "B",
            "category": "relative_position",
            "question_id": "4",
        }
    ]
    texts = ("text", "label", "category", "question_id")
    return Features({"image": PICTURE, **dict.fromkeys(texts, TEXT)}), rows


def _llava_onevision(split: str) -> tuple[Features, list[dict[str, Any]]]:
    letter = "Answer with the option's letter from the given choices directly."
    talks = [
        [("human", f"<image>\nWhat is on the table?\nA. cup\nB. hat\nC. book\n{letter}"), ("gpt", "B")],
        [("human", "<image>\nWhich colour has the bus?"), ("gpt", "Red."), ("human", "And the car?"), ("gpt", "Blue")],
        [("human", "<image>\nDescribe the picture."), ("gpt", "A man walks along a street in the rain.")],
        [("human", "How many birds are there?\n<image>"), ("gpt", "Answer: two")],
    ]
    rows = [
        {
            "id": f"{i:06}",
            "image": picture(i),
            "conversations": [
                {"from": who, "value": text.replace("?", f" {i}?", 1)} for who, text in talks[i % len(talks)]
            ],
            "data_source": "aokvqa",
        }
        for i in range(24)
    ]
    turns = List({"from": TEXT, "value": TEXT})
    return Features({"id": TEXT, "image": PICTURE, "conversations": turns, "data_source": TEXT}), rows


def _numinamath(split: str) -> tuple[Features, list[dict[str, Any]]]:
    answers = ("17", "\\frac{3}{4}", "proof", "notfound", "2\\sqrt{3}", "x^2+1", "-5", "(1, 2)")
    texts = ("problem", "solution", "answer", "problem_type", "question_type", "problem_is_valid", "source")
    features = Features({**dict.fromkeys((*texts, "solution_is_valid"), TEXT), "synthetic": Value("bool")})
    rows = [
        {
            **dict.fromkeys((*texts, "solution_is_valid"), "Yes"),
            "problem": f"Problem {i}: find the value of $x_{{{i}}}$.",
            "solution": "It follows.",
            "answer": answers[i % len(answers)],
            "problem_type": "Algebra",
            "synthetic": False,
        }
        for i in range(32)
    ]
    return features, rows


def _mathvista(split: str) -> tuple[Features, list[dict[str, Any]]]:
    texts = ("pid", "question", "image", "unit", "answer", "question_type", "answer_type", "query")
    names = ("category", "context", "grade", "language", "source", "split", "task")
    metadata = {
        **dict.fromkeys(names, TEXT),
        "img_height": Value("int64"),
        "img_width": Value("int64"),
        "skills": TEXTS,
    }
    features = Features(
        {
            **dict.fromkeys(texts, TEXT),
            "decoded_image": PICTURE,
            "choices": TEXTS,
            "precision": Value("float64"),
            "metadata": metadata,
        }
    )
    free, multi = "free_form", "multi_choice"
    cases: list[dict[str, Any]] = [
        {"answer": "8", "answer_type": "integer", "question_type": free},
        {"answer": "1.2", "answer_type": "float", "question_type": free, "precision": 1.0, "unit": "cm"},
        {"answer": "0.25", "answer_type": "float", "question_type": free, "precision": 2.0},
        {"answer": "[1, 2, 3]", "answer_type": "list", "question_type": free},
        {"answer": "yes", "answer_type": "text", "question_type": multi, "choices": ["no", "yes"]},
        {"answer": "36", "answer_type": "text", "question_type": multi, "choices": ["34", "35", "36"]},
    ]
    rows = [
        {
            **dict.fromkeys(texts, ""),
            "pid": str(i + 1),
            "question": f"What is value {i}?",
            "image": f"images/{i + 1}.jpg",
            "query": "Hint: not asked",
            "choices": None,
            "precision": None,
            "decoded_image": picture(i),
            "metadata": {
                **dict.fromkeys(names, "x"),
                "task": "geometry problem solving",
                "img_height": 32,
                "img_width": 48,
                "skills": ["arithmetic"],
            },
            **case,
        }
        for i, case in enumerate(cases)
    ]
    return features, rows


def _mathverse(split: str) -> tuple[Features, list[dict[str, Any]]]:
    texts = (
        "sample_index",
        "problem_index",
        "problem_version",
        "question",
        "answer",
        "question_type",
        "query_wo",
        "query_cot",
        "question_for_eval",
    )
    metadata = {"split": TEXT, "source": TEXT, "subject": TEXT, "subfield": TEXT}
    versions = ("Text Dominant", "Text Lite", "Vision Only")
    rows = []
    for i in range(6):
        problem, version = i // 3, versions[i % 3]
        multi = problem == 0
        question = "" if version == "Vision Only" else f"Find angle {problem}."
        if multi and question:
            question += "\nChoices:\nA:65° \nB:50° \nC:130°"
        query = f"Please directly answer the question {'by a letter' if multi else 'with a value'}.\n{question}"
        rows.append(
            {
                **dict.fromkeys(texts, ""),
                "sample_index": str(i + 1),
                "problem_index": str(problem + 1),
                "problem_version": version,
                "question": question,
                "answer": "B" if multi else "2\\sqrt{3}",
                "question_type": "multi-choice" if multi else "free-form",
                "query_wo": query,
                "image": None if i == 3 else picture(i),
                "metadata": dict.fromkeys(metadata, "x"),
            }
        )
    return Features({**dict.fromkeys(texts, TEXT), "image": PICTURE, "metadata": metadata}), rows


def _mathvision(split: str) -> tuple[Features, list[dict[str, Any]]]:
    texts = ("id", "question", "image", "answer", "solution", "subject")
    cases = [("B", ["$12$", "$14$", "$16$"]), ("7", []), ("\\frac{1}{2}", []), ("E", ["A", "B", "C", "D", "E"])]
    rows = [
        {
            **dict.fromkeys(texts, ""),
            "id": str(i),
            "question": f"How long is side {i}? <image1>",
            "image": f"images/{i}.jpg",
            "decoded_image": picture(i),
            "options": options,
            "answer": answer,
            "level": i % 5 + 1,
            "subject": "metric geometry - length",
        }
        for i, (answer, options) in enumerate(cases)
    ]
    features = Features(
        {**dict.fromkeys(texts, TEXT), "decoded_image": PICTURE, "options": TEXTS, "level": Value("int64")}
    )
    return features, rows


def _ai2d(split: str) -> tuple[Features, list[dict[str, Any]]]:
    rows = [
        {
            "question": f"What eats organism {i}?",
            "options": ["frog", "snake", "hawk", "grass"],
            "answer": str(i % 4),
            "image": picture(i),
        }
        for i in range(5)
    ]
    return Features({"question": TEXT, "options": TEXTS, "answer": TEXT, "image": PICTURE}), rows


def _pope(split: str) -> tuple[Features, list[dict[str, Any]]]:
    texts = ("id", "question_id", "question", "answer", "image_source", "category")
    rows = []
    for i, category in enumerate(("adversarial", "popular", "random")):  # the present thing is asked in each category
        asked = {"yes": "dog", "no": ("fork", "car", "kite")[i]}
        rows += [
            {"question": f"Is there a {thing} in the image?", "answer": answer, "category": category}
            for answer, thing in asked.items()
        ]
    rows = [
        {"id": str(i), "question_id": str(i), "image_source": "COCO_val2014_1", "image": picture(0), **row}
        for i, row in enumerate(rows)
    ]
    return Features({**dict.fromkeys(texts, TEXT), "image": PICTURE}), rows


def _mmbench(split: str) -> tuple[Features, list[dict[str, Any]]]:
    texts = (*"ABCD", "index", "question", "hint", "answer", "category", "source", "L2-category", "comment", "split")
    rows = [
        {
            **dict.fromkeys(texts, "nan"),
            "index": str(241 + i + (1_000_000 if i >= 4 else 0)),
            "question": f"Which one is thing {i % 4}?",
            "hint": "The passage is about magnets." if i == 0 else "nan",
            "A": "the first",
            "B": "the second",
            "C": "the third" if i % 2 else "nan",
            "answer": "AB"[i % 2],
            "category": "physical_relation",
            "image": picture(i % 4),
        }
        for i in range(6)
    ]
    return Features({**dict.fromkeys(texts, TEXT), "image": PICTURE}), rows


def _textvqa(split: str) -> tuple[Features, list[dict[str, Any]]]:
    lists = ("answers", "question_tokens", "image_classes", "ocr_tokens")
    sizes = ("question_id", "image_width", "image_height")
    rows = [
        {
            **{name: ["x"] for name in lists},
            **dict.fromkeys(sizes, 7 + i),
            "image_id": str(i),
            "question": f"what does sign {i} say?",
            "answers": ["stop"] * 6 + ["Stop", "halt", "stop sign", ""],
            "image": picture(i + (50 if split == "train" else 0)),
        }
        for i in range(4)
    ]
    features = Features(
        {
            "image_id": TEXT,
            "question": TEXT,
            "image": PICTURE,
            **dict.fromkeys(lists, TEXTS),
            **dict.fromkeys(sizes, Value("int32")),
        }
    )
    return features, rows


def _mmmu(split: str) -> tuple[Features, list[dict[str, Any]]]:
    texts = ("id", "question", "options", "answer", "question_type", "subfield", "explanation")
    images = [f"image_{i}" for i in range(1, 8)]
    cases = [
        ("Art_Theory", "Who painted <image 1>?", "['Monet', \"Manet's friend\", 'Degas']", "B", "multiple-choice"),
        ("Math", "Find the area in <image 1>.", "[]", "0.5", "open"),
        ("Math", "Compare <image 1> and <image 2>.", "['equal', 'not equal']", "A", "multiple-choice"),
        ("Energy_and_Power", "Which curve? <image 1>", "['<image 1>', 'none']", "A", "multiple-choice"),
        ("Accounting", "What is the balance? <image 1>", "[]", "['24', '24 dollars']", "open"),
    ]
    rows = [
        {
            **dict.fromkeys((*texts, *images)),
            "id": f"{split}_{subject}_{i + 1}",
            "question": question,
            "options": options,
            "answer": answer,
            "question_type": kind,
            "image_1": picture(i + (50 if split == "dev" else 0)),
            "image_2": picture(9) if "image 2" in question else None,
        }
        for i, (subject, question, options, answer, kind) in enumerate(cases)
    ]
    return Features({**dict.fromkeys(texts, TEXT), **dict.fromkeys(images, PICTURE)}), rows


TABLES = {
    "scienceqa": _scienceqa,
    "chartqa": _chartqa,
    "realworldqa": _realworldqa,
    "vstar": _vstar,
    "llava_onevision": _llava_onevision,
    "numinamath": _numinamath,
    "mathvista": _mathvista,
    "mathverse": _mathverse,
    "mathvision": _mathvision,
    "ai2d": _ai2d,
    "pope": _pope,
    "mmbench": _mmbench,
    "textvqa": _textvqa,
    "mmmu": _mmmu,
}
KEYS = (*TABLES, "snapask", "local")


def fixture_table(key: str, split: str = "") -> datasets.Dataset:
    """The fixture's rows as a table, to be changed before it is written."""
    features, rows = TABLES[key](split or get_benchmark(key).split)
    return datasets.Dataset.from_list(rows, features=features)


def write_table(table: datasets.Dataset, key: str, folder: Path, split: str = "") -> Path:
    """Write a table where a mirror of the benchmark's dataset has it."""
    benchmark = get_benchmark(key)
    split = split or benchmark.split
    path = folder / benchmark.dataset.replace("/", "--") / benchmark.config / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path)
    return path


def write_fixture(key: str, folder: Path) -> Path:
    """A benchmark's fixture in a folder of mirrors, its calibration split as well; returns the evaluated split's file.

    For `local` and `snapask`: a folder with a table.jsonl and its pictures; load it as f"{key}:{path.parent}".
    """
    if key in ("local", "snapask"):
        return _write_local(folder / key)
    calibration = get_benchmark(key).calibration
    if calibration:
        write_table(fixture_table(key, calibration), key, folder, calibration)
    return write_table(fixture_table(key), key, folder)


def _write_local(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    rows: list[dict[str, Any]] = [
        {"question": "How many dots are there?", "answer": 3, "task": "count"},
        {"question": "Which colour?", "answer": "blue", "choices": ["red", "blue"]},
        {"question": "Which shape?", "answer": "A", "choices": ["square", "circle"]},
        {"question": "What does it say?", "answer": "stop", "accepted": ["Stop!", "stop sign"]},
    ]
    for i, row in enumerate(rows):
        (folder / "images" / f"{i}.png").write_bytes(picture(i)["bytes"])
        row["image"] = f"images/{i}.png"
    rows.append({"question": "What is 2 + 2?", "answer": "4", "image": None})
    path = folder / "table.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
