"""Every benchmark, from Parquet files in its published layout: prompts, golds, columns, subsets, parts, pictures."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest

from core.benchmarks import get_benchmark, list_benchmarks, load_benchmark, pictures
from core.benchmarks.prompts import choices_in
from core.errors import SampleError
from core.scenes.samples import DOMAINS
from tests.benchmark_fixtures import KEYS, TABLES, fixture_table, picture, write_fixture, write_table
from tests.unit.test_architecture import loaded_by

LETTER = "\nAnswer with the option's letter from the given choices directly."
PHRASE = "\nAnswer the question using a single word or phrase."
BOXED = 'Please solve the problem step by step and put your answer in one "\\boxed{}".'

# key -> the prompt, gold, choices and task of one row, as lmms-eval asks it (streams: as the dataset states it)
EXPECTED: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "scienceqa": (
        f"Context: Look at the map.\nWhich is number 0?\nA. a fern\nB. a moss{LETTER}",
        "A",
        ("a fern", "a moss"),
        "natural science",
    ),
    "chartqa": ("What is bar 4?\nAnswer the question with a single word.", "12%", (), "augmented_test"),
    "realworldqa": (
        "Which way does the car 0 go?\nA. Left\nB. Right\nC. Straight on\n"
        "Please answer directly with only the letter of the correct option and nothing else.",
        "C",
        ("Left", "Right", "Straight on"),
        "multiple choice",
    ),
    "vstar": (
        f"Is the dog left or right of the car?\nA. left\nB. right{LETTER}",
        "B",
        ("left", "right"),
        "relative_position",
    ),
    "llava_onevision": (
        f"What is on the table 0?\nA. cup\nB. hat\nC. book{LETTER}",
        "B",
        ("cup", "hat", "book"),
        "aokvqa",
    ),
    "numinamath": (
        "Problem 1: find the value of $x_{1}$.\nPut your final answer in one \\boxed{}.",
        "\\frac{3}{4}",
        (),
        "Algebra",
    ),
    "mathvista": (
        f"What is value 5?\nA. 34\nB. 35\nC. 36{LETTER}",
        "C",
        ("34", "35", "36"),
        "geometry problem solving",
    ),
    "mathverse": (
        "Please directly answer the question by a letter.\nFind angle 0.\nChoices:\nA:65° \nB:50° \nC:130°",
        "B",
        ("65°", "50°", "130°"),
        "Text Dominant",
    ),
    "mathvision": (
        f"{BOXED}How long is side 0? <image1>\nChoices: A. $12$\nB. $14$\nC. $16$\n"
        "Answer the question with the option's letter from the given choices directly.",
        "B",
        ("$12$", "$14$", "$16$"),
        "metric geometry - length",
    ),
    "ai2d": (
        f"What eats organism 2?\nA. frog\nB. snake\nC. hawk\nD. grass{LETTER}",
        "C",
        ("frog", "snake", "hawk", "grass"),
        "ai2d",
    ),
    "pope": (f"Is there a fork in the image?{PHRASE}", "no", (), "adversarial"),
    "mmbench": (
        "The passage is about magnets. Which one is thing 0? There are several options:\nA. the first\nB. the second\n"
        f"{LETTER}",
        "A",
        ("the first", "the second"),
        "physical_relation",
    ),
    "textvqa": (f"What does sign 0 say?{PHRASE}", "stop", (), "textvqa"),
    "mmmu": (
        f"Who painted <image 1>?\nA. Monet\nB. Manet's friend\nC. Degas\n{LETTER}",
        "B",
        ("Monet", "Manet's friend", "Degas"),
        "Art_Theory",
    ),
    "local": (f"Which colour?\nA. red\nB. blue{LETTER}", "B", ("red", "blue"), "local:local"),
    "snapask": ("How many dots are there?", "3", (), "count"),
}
LEFT_OUT = {  # what of each fixture's rows cannot be asked
    "llava_onevision": "with a gold of more than 5 words",
    "numinamath": "without a final answer (proofs)",
    "mmbench": "2 that repeat a question with its options rotated",
    "mmmu": "1 with several pictures",
}


@pytest.fixture(autouse=True)
def mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of mirrors; nothing is written to the user's own cache."""
    monkeypatch.setenv("STRATA_DATASETS", str(tmp_path / "mirrors"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "mirrors"


def name_of(key: str, path: Path) -> str:
    return key if key in TABLES else f"{key}:{path.parent}"


def ids(items: Any) -> list[str]:
    return [item.item_id for item in items.items]


# ------------------------------------------------------------------------------------------------ the registry


def test_every_benchmark_describes_itself() -> None:
    assert {b.key for b in list_benchmarks()} == set(KEYS) == set(EXPECTED)
    for b in list_benchmarks():
        assert b.domain in DOMAINS and b.title and b.description and b.licence and b.metric and b.max_new_tokens > 0
        assert re.fullmatch("main|[0-9a-f]{40}", b.revision)
        assert not b.dataset or b.dataset.count("/") == 1
    unknown = {"vstar", "ai2d", "pope", "mmbench", "local", "snapask"}
    assert {b.key for b in list_benchmarks() if b.licence == "unknown"} == unknown


def test_an_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(SampleError, match=r"unknown benchmark 'chartq': did you mean 'chartqa'\?"):
        get_benchmark("chartq")


def test_the_records_are_read_without_any_dataset_library() -> None:
    code = "import core.benchmarks as b; assert len(b.list_benchmarks()) > 10"
    assert not loaded_by(code) & {"datasets", "huggingface_hub", "torch", "transformers", "dill"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("chartqa:other", "has one configuration only"),
        ("llava_onevision:geo170k(qa)", "is about mathematics"),
        ("llava_onevision:GEOS(MathV360K)", "is about mathematics"),
        ("llava_onevision:../../etc", "is no configuration"),
        ("chartqa@../main", "is no revision"),
        ("local", "needs a folder or a table: give local:PATH"),
        ("snapask", "never published"),
    ],
)
def test_names_that_cannot_be_loaded(name: str, message: str) -> None:
    with pytest.raises(SampleError, match=message):
        load_benchmark(name)


def test_a_general_configuration_can_be_chosen(mirrors: Path) -> None:
    path = write_fixture("llava_onevision", mirrors)
    path.parent.rename(path.parent.with_name("VizWiz(MathV360K)"))
    items, _ = load_benchmark("llava_onevision:VizWiz(MathV360K)")
    assert items.benchmark == "llava_onevision:VizWiz(MathV360K)"
    assert items.dataset == "lmms-lab/LLaVA-OneVision-Data@mirror:VizWiz(MathV360K)/train"


# ------------------------------------------------------------------------------------------------ rows


@pytest.mark.parametrize("key", KEYS)
def test_items_and_samples_say_what_the_rows_do(key: str, mirrors: Path) -> None:
    items, samples = load_benchmark(name_of(key, write_fixture(key, mirrors)))
    record = get_benchmark(key)
    assert (items.metric, items.max_new_tokens, items.licence) == (record.metric, record.max_new_tokens, record.licence)
    assert items.domain == record.domain and items.benchmark == (key if key != "local" else "local:local")
    if key in TABLES:
        split = f"{record.split}/held_out" if record.streaming else record.split
        assert items.split == split and items.dataset == f"{record.dataset}@mirror:{record.config}/{record.split}"
    question, answer, choices, task = EXPECTED[key]
    both = [(i, s) for i, s in zip(items.items, samples, strict=True) if i.question == question]
    if record.streaming:  # a part only
        calibration, more = load_benchmark(key, part="calibration")
        both += [(i, s) for i, s in zip(calibration.items, more, strict=True) if i.question == question]
    item, sample = both[0]
    assert (item.answer, item.choices, item.task) == (answer, choices, task)
    assert sample.gold == item.gold and sample.sample_id == item.item_id and sample.source == item.source
    assert (sample.image is None) == (key == "numinamath")
    assert record.note in items.note and LEFT_OUT.get(key, "") in items.note


@pytest.mark.parametrize("key", KEYS)
def test_ids_are_distinct_and_made_of_the_content(key: str, mirrors: Path) -> None:
    name = name_of(key, write_fixture(key, mirrors))
    items, samples = load_benchmark(name)
    assert len(set(ids(items))) == len(items.items)
    assert all(re.fullmatch("[0-9a-f]{16}", i) for i in ids(items))
    again, _ = load_benchmark(name)
    assert again == items
    assert [s.sample_id for s in samples.without_pictures] == ids(items)


def test_what_is_asked_again_keeps_its_place_under_an_id_of_its_own(mirrors: Path) -> None:
    """POPE asks for the thing that is there in all three categories: dropping repeats would turn 50 % yes into 25 %."""
    write_fixture("pope", mirrors)
    items, _ = load_benchmark("pope")
    assert (
        [i.answer for i in items.items].count("yes") == 3 == len({i.item_id for i in items.items if i.answer == "yes"})
    )


def test_another_picture_is_another_item(mirrors: Path) -> None:
    table = fixture_table("chartqa")
    write_table(table, "chartqa", mirrors)
    before, _ = load_benchmark("chartqa")
    rows = table.cast_column("image", datasets.Image(decode=False)).to_list()
    rows[2]["image"] = picture(99)
    write_table(datasets.Dataset.from_list(rows, features=table.features), "chartqa", mirrors)
    after, _ = load_benchmark("chartqa")
    changed = [a != b for a, b in zip(ids(before), ids(after), strict=True)]
    assert changed == [False, False, True, False, False, False]
    assert after.data_hash != before.data_hash


def test_mathvista_asks_for_numbers_as_they_are_judged(mirrors: Path) -> None:
    write_fixture("mathvista", mirrors)
    items, _ = load_benchmark("mathvista")
    asked = {i.answer: (i.question.rpartition("\n")[2], i.precision) for i in items.items}
    decimals = "Answer the question using a single floating-point number with {} decimal place{}."
    assert asked["1.2"] == (decimals.format("one", ""), 1) and asked["0.25"] == (decimals.format("two", "s"), 2)
    assert asked["8"] == ("Answer the question using a single integer number.", None)
    assert "(Unit: cm)" in items.items[1].question


def test_a_problem_without_a_picture_is_asked_as_text(mirrors: Path) -> None:
    write_fixture("mathverse", mirrors)
    _, samples = load_benchmark("mathverse")
    assert [s.image is None for s in samples] == [False, False, False, True, False, False]


def test_ten_answers_are_kept_and_the_commonest_is_the_gold(mirrors: Path) -> None:
    write_fixture("textvqa", mirrors)
    items, _ = load_benchmark("textvqa")
    assert items.items[0].accepted == ("stop",) * 6 + ("Stop", "halt", "stop sign", "")


def test_options_written_as_text_are_read_and_never_run(mirrors: Path, tmp_path: Path) -> None:
    table = fixture_table("mmmu").cast_column("image_1", datasets.Image(decode=False))
    rows = table.to_list()
    rows[0]["options"] = f"[__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()]"
    write_table(datasets.Dataset.from_list(rows, features=fixture_table("mmmu").features), "mmmu", mirrors)
    with pytest.raises(SampleError, match=r"validation/0 cannot be read as mmmu \(malformed") as raised:
        load_benchmark("mmmu")
    assert "\n" not in str(raised.value) and not (tmp_path / "ran").exists()


def test_open_questions_with_several_right_answers(mirrors: Path) -> None:
    write_fixture("mmmu", mirrors)
    items, _ = load_benchmark("mmmu")
    balance = next(i for i in items.items if i.task == "Accounting")
    assert (balance.answer, balance.accepted, balance.choices) == ("24", ("24 dollars",), ())


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("Which?\nA. red\nB. dark blue\nChoose.", ("red", "dark blue")),
        ("Which?\n(A) red\n(B) blue", ("red", "blue")),
        ("Which?\nB. red\nC. blue", ()),
        ("Which?\nA. red", ()),
        ("It is A. Smith's house", ()),
    ],
)
def test_options_in_a_text(text: str, choices: tuple[str, ...]) -> None:
    assert choices_in(text) == choices


def test_an_answer_that_names_no_choice_is_one_clear_line(mirrors: Path) -> None:
    table = fixture_table("ai2d")
    rows = table.cast_column("image", datasets.Image(decode=False)).to_list()
    rows[3]["answer"] = "9"
    write_table(datasets.Dataset.from_list(rows, features=table.features), "ai2d", mirrors)
    with pytest.raises(SampleError, match=r"default/test/3 cannot be read as ai2d \(answer 9 of 4 choices\)"):
        load_benchmark("ai2d")


# ------------------------------------------------------------------------------------------------ columns


@pytest.mark.parametrize("key", TABLES)
def test_a_missing_column_is_named(key: str, mirrors: Path) -> None:
    for column in get_benchmark(key).columns:
        write_table(fixture_table(key).remove_columns(column), key, mirrors)
        with pytest.raises(SampleError, match=rf"revision mirror, .* has no column '{column}' \(it has ") as raised:
            load_benchmark(key)
        assert get_benchmark(key).dataset in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("key", TABLES)
def test_a_column_of_another_type_is_named(key: str, mirrors: Path) -> None:
    table = fixture_table(key)
    for column in get_benchmark(key).columns:
        wrong = table.remove_columns(column).add_column(column, [True] * len(table))
        write_table(wrong, key, mirrors)
        with pytest.raises(SampleError, match=f"column '{column}' of .* holds bool, not "):
            load_benchmark(key)


def test_pictures_that_are_named_but_not_held_are_never_opened(mirrors: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture(0)["bytes"])
    table = fixture_table("chartqa")
    rows = table.cast_column("image", datasets.Image(decode=False)).to_list()
    rows[0]["image"] = {"bytes": None, "path": str(tmp_path / "secret.png")}
    raw = table.features.copy()
    raw["image"] = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    write_table(datasets.Dataset.from_list(rows, features=raw), "chartqa", mirrors)
    with pytest.raises(SampleError, match="it names a picture instead of holding it"):
        load_benchmark("chartqa")


def test_a_damaged_file_is_one_clear_line(mirrors: Path) -> None:
    write_fixture("chartqa", mirrors).write_bytes(b"PAR1 but not really")
    with pytest.raises(SampleError, match=r"cannot read lmms-lab-encoder/ChartQA .*fetch its files again") as raised:
        load_benchmark("chartqa")
    assert "\n" not in str(raised.value)


# ------------------------------------------------------------------------------------------------ pictures


def test_pictures_are_decoded_when_asked_for_and_not_before(mirrors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    opened = pictures.open_image

    def counting(data: bytes, **bounds: Any) -> Any:
        decoded.append(len(data))
        return opened(data, **bounds)

    monkeypatch.setattr(pictures, "open_image", counting)
    write_fixture("vstar", mirrors)
    _, samples = load_benchmark("vstar")
    assert isinstance(samples, Sequence) and len(samples) == 5 and not decoded
    first = samples[0].image
    assert first is not None and first.size == (96, 64) and len(decoded) == 1
    part = samples[1:3]
    assert len(part) == 2 and len(decoded) == 1
    assert [s.image is not None for s in part] == [True, True] and len(decoded) == 3
    assert samples[0].image is not first  # not kept
    assert samples.without_pictures[0].image is None and len(decoded) == 4


def test_large_pictures_keep_their_details(mirrors: Path) -> None:
    """Uploads are scaled to 2048 pixels a side, which would blur what V* Bench asks about."""
    table = fixture_table("vstar")
    rows = table.cast_column("image", datasets.Image(decode=False)).to_list()
    rows[0]["image"] = picture(0, (5000, 20), "JPEG")
    rows[1]["image"] = picture(1, (40, 30), "GIF")
    rows[2]["image"] = {"bytes": b"no picture", "path": None}
    write_table(datasets.Dataset.from_list(rows, features=table.features), "vstar", mirrors)
    _, samples = load_benchmark("vstar")
    assert [samples[i].image.size for i in (0, 1)] == [(5000, 20), (40, 30)]  # type: ignore[union-attr]
    assert samples[1].image.mode == "RGB"  # type: ignore[union-attr]
    with pytest.raises(
        SampleError, match=r"vstar-bench@mirror:default/test/2: not a PNG, JPEG, WebP, GIF, BMP or TIFF"
    ):
        _ = samples[2]


# ------------------------------------------------------------------------------------------------ subsets and parts


@pytest.mark.parametrize("key", KEYS)
def test_a_larger_subset_begins_with_the_smaller_one(key: str, mirrors: Path) -> None:
    name = name_of(key, write_fixture(key, mirrors))
    whole, _ = load_benchmark(name)
    four, _ = load_benchmark(name, limit=4)
    two, samples = load_benchmark(name, limit=2)
    assert len(samples) == 2 and ids(four)[:2] == ids(two) and len(four.items) == 4
    assert {i.question for i in four.items} <= {i.question for i in whole.items}
    others = {tuple(ids(load_benchmark(name, limit=2, seed=seed)[0])) for seed in range(6)}
    assert len(others) > 1


def test_a_limit_is_met_where_rows_are_left_out(mirrors: Path) -> None:
    write_fixture("mmbench", mirrors)
    items, _ = load_benchmark("mmbench", limit=4)
    assert len(items.items) == 4


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(SampleError, match="a limit of 0 rows leaves nothing"):
        load_benchmark("chartqa", limit=0)


def test_a_stream_is_read_no_further_than_needed(mirrors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fixture("numinamath", mirrors)
    read: list[str] = []

    def counting(benchmark: Any, row: Any, where: str) -> Any:
        read.append(where)
        return benchmark.to_item(row)

    monkeypatch.setattr("core.benchmarks.loading.read_row", counting)
    monkeypatch.setattr("core.benchmarks.loading.STREAM_FACTOR", 4)
    monkeypatch.setattr("core.benchmarks.rows.CALIBRATION_PERCENT", 0)
    with pytest.raises(SampleError, match="has no row that numinamath can ask"):
        load_benchmark("numinamath", limit=2, part="calibration")
    assert len(read) == 8


@pytest.mark.parametrize("key", TABLES)
def test_calibration_never_meets_what_is_evaluated(key: str, mirrors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.benchmarks.rows.CALIBRATION_PERCENT", 50)  # so that small tables have both sides
    write_fixture(key, mirrors)
    parts = {}
    for part in ("calibration", "held_out", "test"):
        try:
            parts[part] = load_benchmark(key, part=part, seed=len(parts))
        except SampleError as error:
            assert "too few rows for this part" in str(error)  # all of POPE's fixture asks about one picture
    sides = {part: {i.question + "|" + i.answer for i in items.items} for part, (items, _) in parts.items()}
    record = get_benchmark(key)
    seen = {part: {s.image.tobytes() for s in samples if s.image} for part, (_, samples) in parts.items()}
    if "calibration" in parts and "held_out" in parts:
        assert not set(ids(parts["calibration"][0])) & set(ids(parts["held_out"][0]))
        assert not seen["calibration"] & seen["held_out"]
    if record.calibration:
        assert parts["calibration"][0].split == record.calibration
        assert parts["held_out"][0] == parts["test"][0]
    else:
        whole = sides.get("calibration", set()) | sides.get("held_out", set())
        assert sides["test"] == (sides["held_out"] if record.split == "train" else whole)


def test_versions_of_one_problem_stay_on_one_side(mirrors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.benchmarks.rows.CALIBRATION_PERCENT", 50)
    write_fixture("mathverse", mirrors)
    items, _ = load_benchmark("mathverse", part="held_out")
    assert len(items.items) in (3, 6)  # three versions of each problem


def test_the_split_can_be_chosen(mirrors: Path) -> None:
    write_fixture("scienceqa", mirrors)
    items, _ = load_benchmark("scienceqa", split="train")
    assert items.split == "train" and items.dataset.endswith(":ScienceQA-IMG/train")
    for name, split in (("scienceqa", "../test"), (f"local:{write_fixture('local', mirrors)}", "test")):
        with pytest.raises(SampleError, match=f"has no split '{split}'"):
            load_benchmark(name, split=split)
    with pytest.raises(SampleError, match="unknown part 'tests': did you mean 'test'"):
        load_benchmark("scienceqa", part="tests")
