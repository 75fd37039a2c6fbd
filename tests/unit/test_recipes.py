"""Recipes in layers, hours by hand, and shapes that are the published models."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.benchmarks import get_benchmark
from core.cli import main as cli
from core.errors import PlanError, RecipeError
from core.library.finding import recorded_anatomy_path, recorded_atlas_path
from core.library.sources import read_sources
from core.measure.estimates import Assumptions, Estimate, Row, expected_hours
from core.measure.gpus import GPUS, Gpu, get_gpu
from core.measure.recipes import get_recipe, list_recipes
from core.measure.shapes import SHAPES, known_anatomy, write_anatomies
from core.measure.sweep import sweep_plans
from core.measure.workload import Work, recipe_plans, recipe_works
from core.pruning import get_criterion, list_criteria
from core.pruning.atlas import SimilarityAtlas
from core.pruning.cost import LayerAnatomy, ModelAnatomy
from core.records.plan import PruningPlan


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `recipes`, run in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["strata", "recipes", *args])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    done = capsys.readouterr()
    return int(stopped.value.code or 0), done.out, done.err


# ------------------------------------------------------------------------------------------------ recipes


@pytest.mark.parametrize(
    ("recipe", "n_layers", "budgets"),
    [
        ("paper", 16, [1, 2, 3, 5, 6]),  # 0.8 and 1.6, 2.4, 3.2, 4.8, 6.4
        ("paper", 24, [1, 2, 4, 5, 7, 10]),
        ("paper", 28, [1, 3, 4, 6, 8, 11]),
        ("paper", 32, [2, 3, 5, 6, 10, 13]),
        ("paper", 36, [2, 4, 5, 7, 11, 14]),
        ("interlace", 16, [2, 3, 4]),  # 1.6 and 2.4 are one budget
        ("interlace", 36, [4, 5, 7, 9]),
        ("quick", 28, [3, 8]),
    ],
)
def test_budgets_in_layers(recipe: str, n_layers: int, budgets: list[int]) -> None:
    assert get_recipe(recipe).budgets(n_layers, 2) == budgets


def test_budgets_keep_to_what_may_be_dropped() -> None:
    recipe = get_recipe("paper")
    assert recipe.budgets(5, 4) == [1]
    assert recipe.budgets(36, 30) == [2, 4, 5, 6]
    assert replace(recipe, shares=(1.0,)).budgets(8) == [7]  # one layer stays, protected or not
    with pytest.raises(PlanError, match="2 of them protected"):
        recipe.budgets(2, 2)


@pytest.mark.parametrize("recipe", list_recipes(), ids=lambda r: r.name)
def test_what_a_recipe_names_exists(recipe: Any) -> None:
    known = {c.name for c in list_criteria()}
    assert {get_criterion(name).name for name in recipe.criteria} <= known
    for key, n in (*recipe.benchmarks, *recipe.calibration):
        found = get_benchmark(key)
        assert found.key == key and found.max_new_tokens > 0
        assert 0 < n <= (found.rows or n), "more items than the split has"
    domains = {get_benchmark(key).domain for key, _ in recipe.calibration}
    assert domains == {"math", "general"}, "the domain-aware criteria need both"
    assert recipe.source and recipe.note


def test_unknown_names_get_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RecipeError, match=r"^unknown recipe 'papr': did you mean 'paper'\?$"):
        get_recipe("papr")
    assert get_gpu("rtx 4090") is GPUS["4090"]
    for args, said in [
        (["papr"], "did you mean 'paper'?"),
        (["paper", "--gpu", "h10"], "did you mean 'H100'?"),
        (["paper", "--model", "Qwen/Qwen3-VL-8B"], "does not ship: did you mean 'Qwen/Qwen3-VL-8B-Instruct'?"),
        (["paper", "--model", "/nowhere"], "must hold a config.json"),
        (["paper", "--compute", "0"], "lie above 0"),
        (["paper", "--layer-ms", "inf"], "launch takes 0 ms or more"),
    ]:
        code, out, err = run(capsys, *args)
        assert code == 2 and not out and said in err and err.count("\n") == 1, err


# ------------------------------------------------------------------------------------------------ plans and hours


def test_drawn_plans_are_nested_distinct_and_the_same_again() -> None:
    recipe = get_recipe("paper")
    plans = recipe_plans(recipe, "m", 36, (0, 1, 2))
    assert plans == recipe_plans(recipe, "m", 36, (0, 1, 2))
    assert not any({0, 1, 2, 35} & set(p.dropped) for p in plans)
    assert len(plans) == 1 + 6 * (len(recipe.criteria) + recipe.n_random)
    mixed = [set(p.dropped) for p in plans if p.criterion == "mixed"]
    assert [len(d) for d in mixed] == [2, 4, 5, 7, 11, 14]
    assert all(a < b for a, b in pairwise(mixed))
    assert len({p.kept for p in plans}) > 80


def test_an_atlas_gives_the_plans_that_the_sweep_takes() -> None:
    recipe, atlas = get_recipe("paper"), SimilarityAtlas.load(recorded_atlas_path("tiny"))
    plans = recipe_plans(recipe, "tiny", 16, (), atlas)
    assert plans == sweep_plans(atlas, recipe.criteria, [1, 2, 3, 5, 6], recipe.n_random)


def toy() -> ModelAnatomy:
    """Three layers of 10 parameters, tied embeddings of 100, two bytes a number."""
    layer = LayerAnatomy(parameters=10, flops_per_token=20.0, flops_per_pair=1.0, kv_elements=4)
    return ModelAnatomy("toy", "", (layer,) * 3, 50, 6, 100, 2, 0, 2, 5, 30.0, 2.0, 4.0, 0.0, 200.0)


TOY_GPU = Gpu("toy", "Toy", half_flops=1000.0, float_flops=10.0, bandwidth=100.0, memory_bytes=10**6)
PLANS = [PruningPlan("toy", 3, ()), PruningPlan("toy", 3, (1,)), PruningPlan("toy", 3, (1,), "other")]
GIVEN = Assumptions(compute=0.5, bandwidth=0.5, layer_s=0.0, prompt_tokens=10, gold_tokens=2)


def test_hours_of_answers_in_step_by_hand() -> None:
    """Two plans of three and two layers: prompts are shared as ever, each step launches three layers for all rows."""
    works, slow = [Work("b", 3, 4, image_tokens=5)], replace(GIVEN, layer_s=900.0)
    alone, both, four = (
        expected_hours(toy(), works, PLANS, TOY_GPU, replace(slow, answer_batch=n)).rows[0] for n in (1, 2, 4)
    )
    assert both.prefill_hours == alone.prefill_hours and both.prefill_flops == alone.prefill_flops
    # three items, three steps behind the first token; launches decide here
    assert alone.decode_hours * 3600 == pytest.approx(3 * 3 * 900.0 * (3 + 2))
    assert both.decode_hours * 3600 == pytest.approx(3 * 3 * 900.0 * 3)
    assert four.decode_hours == pytest.approx(both.decode_hours / 2), "two items at once"
    # of four nodes over the prompt, those of two items are launched at once
    assert (both.prefill_hours - four.prefill_hours) * 3600 == pytest.approx(3 * 4 * 900.0 / 2)

    three = [*PLANS, PruningPlan("toy", 3, (2,))]
    [grouped] = expected_hours(toy(), works, three, TOY_GPU, replace(slow, answer_batch=2)).rows
    assert grouped.decode_hours * 3600 == pytest.approx(3 * 3 * 900.0 * 3 * 2), "two groups, each of three layers"

    def suggested(memory_bytes: int) -> int:
        gpu = replace(TOY_GPU, memory_bytes=memory_bytes)
        return expected_hours(toy(), works, PLANS, gpu, replace(slow, answer_batch=0)).assumptions.answer_batch

    assert suggested(10**6) % 2 == 0 and suggested(10**6) > 64, "whole groups of the two plans, above the teacher's 64"
    odd = expected_hours(toy(), works, PLANS, TOY_GPU, replace(slow, answer_batch=3)).rows[0]
    assert odd.decode_hours == both.decode_hours, "a third answer would be of half an item"
    small = replace(TOY_GPU, memory_bytes=1)
    assert expected_hours(toy(), works, PLANS, small, replace(slow, answer_batch=0)).assumptions.answer_batch == 1


def test_hours_by_hand() -> None:
    """Two distinct plans, 0-1-2 and 0-2, are four nodes; compute 500 FLOP/s, memory 50 bytes/s."""
    [row] = expected_hours(toy(), [Work("b", 3, 4, image_tokens=5)], PLANS, TOY_GPU, GIVEN).rows
    vision = (30 + 4) * 5 + 2 * 25
    layer = {tokens: 20 * tokens + tokens**2 for tokens in (15, 17)}  # asked, and teacher-forced with two gold tokens
    prefill = 2 * vision + 2 * 200 * (1 + 2) + 4 * (layer[15] + layer[17])
    assert row.prefill_flops == 3 * prefill
    assert row.prefill_hours == pytest.approx(3 * prefill / 500 / 3600)
    # three steps after the prefill's token; bytes of embeddings (the head), norm, layers, and of the cache at the end
    seconds = sum((2 * (100 + 2 + 10 * kept) + 2 * 4 * kept * 19) / 50 for kept in (3, 2))
    assert row.decode_tokens == 3 * 2 * 3
    assert row.decode_hours == pytest.approx(3 * 3 * seconds / 3600)
    assert (row.prompt_tokens, row.answer_tokens, row.hours) == (15, 4, row.prefill_hours + row.decode_hours)


def test_each_bound_of_a_step_can_be_the_one_that_holds() -> None:
    work = [Work("b", 1, 2, 0)]
    memory = expected_hours(toy(), work, PLANS[:1], TOY_GPU, GIVEN).rows[0].decode_hours * 3600
    assert memory == pytest.approx((2 * 132 + 2 * 12 * 12) / 50)
    fast = replace(TOY_GPU, bandwidth=1e9)
    products = 3 * (20 + 1 * (10 + 1)) + 200  # one step sees ten tokens and itself
    assert expected_hours(toy(), work, PLANS[:1], fast, GIVEN).rows[0].decode_hours * 3600 == pytest.approx(
        products / 500
    )
    slow_launch = replace(GIVEN, layer_s=7.0)
    row = expected_hours(toy(), work, PLANS[:1], fast, slow_launch).rows[0]
    assert row.decode_hours * 3600 == pytest.approx(3 * 7)
    # asked one at a time, a layer is launched for each item; teacher-forced in batches of 64, for 64 at once
    outside = 200 * 3 / 500
    assert row.prefill_hours * 3600 == pytest.approx(outside + 3 * 7 + 3 * max(7 / 64, (20 * 12 + 144) / 500))


def test_numbers_of_four_bytes_go_at_the_pace_of_float32() -> None:
    work = [Work("b", 1, 1, 5)]
    half = expected_hours(toy(), work, PLANS, TOY_GPU, GIVEN).rows[0]
    single = expected_hours(replace(toy(), bytes_per_parameter=4), work, PLANS, TOY_GPU, GIVEN).rows[0]
    assert single.prefill_hours == pytest.approx(100 * half.prefill_hours)
    assert (half.decode_tokens, half.decode_hours) == (0, 0.0)  # one token comes out of the prefill


def test_a_mean_length_replaces_the_limit_but_never_exceeds_it() -> None:
    works = [Work("long", 1, 1000, 0), Work("short", 1, 16, 0)]
    given = replace(GIVEN, answer_tokens=100)
    assert [r.answer_tokens for r in expected_hours(toy(), works, PLANS, TOY_GPU, given).rows] == [100, 16]


def test_batches_fit_into_memory_or_there_are_none() -> None:
    def batch(memory: int) -> int:
        return expected_hours(toy(), [Work("b", 1, 4, 5)], PLANS, replace(TOY_GPU, memory_bytes=memory)).batch_size

    weights, cache = 2 * (50 + 6 + 100 + 2 + 30), 2 * 12 * (128 + 5 + 4)
    needed = [1.2 * (weights + n * cache) for n in (1, 16, 64)]
    assert [batch(round(n) + 1) for n in needed] == [1, 16, 64] and batch(10**9) == 64
    assert batch(round(needed[0]) - 1) == 0


def test_calibration_is_one_pass_of_the_full_model() -> None:
    found = expected_hours(toy(), [], PLANS, TOY_GPU, GIVEN, [Work("b", 7, 4, 5)])
    vision, layers = (30 + 4) * 5 + 2 * 25, 3 * (20 * 15 + 15**2)
    assert found.calibration_hours == pytest.approx(7 * (vision + layers) / 500 / 3600)
    assert found.hours == 0


def test_several_gpus_take_whole_pieces() -> None:
    rows = tuple(Row(name, n, 1, 1, 0.0, 0, 0.0, hours, 8) for name, n, hours in [("a", 130, 13.0), ("b", 10, 4.0)])
    found = Estimate(TOY_GPU, GIVEN, rows, 1, 1, 1, 1, 0.0)
    assert found.wall_hours(1) == pytest.approx(found.hours) == pytest.approx(17)
    # of eight items: 16 pieces of 0.8 hours and one of 0.2, then 3.2 and 0.8, in this order to whoever is free
    assert found.wall_hours(2) == pytest.approx(8 * 0.8 + 3.2)
    assert found.wall_hours(100) == pytest.approx(3.2)


def test_questions_without_a_picture_have_no_image_tokens() -> None:
    works = {w.benchmark: w for w in recipe_works(get_recipe("paper"), 768)}
    assert works["numinamath"] == Work("numinamath", 100, 1024, 0)
    assert works["chartqa"] == Work("chartqa", 200, 16, 768)
    more = replace(get_recipe("quick"), benchmarks=(("vstar", 500), ("numinamath", 5)))
    assert [w.items for w in recipe_works(more, 768)] == [191, 5]  # V* has no more


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_says_what_a_recipe_takes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    code, out, _ = run(capsys, "math", "--model", "Qwen/Qwen3-VL-8B-Instruct", "--gpus", "4", "--json")
    found = json.loads(out)
    assert code == 0 and found["budgets"] == [4, 7, 11] and found["plans_from"] == "drawn rankings"
    rows = found["estimate"]["rows"]
    assert [r["benchmark"] for r in rows] == [key for key, _ in get_recipe("math").benchmarks]
    assert found["estimate"]["hours"] == pytest.approx(sum(r["hours"] for r in rows))
    assert found["estimate"]["hours"] / 4 <= found["wall_hours"] < found["estimate"]["hours"]
    assert found["commands"]["sweep on ray"] == (
        "python -m core sweep --model Qwen/Qwen3-VL-8B-Instruct --recipe math --answer-batch "
        f"{found['estimate']['assumptions']['answer_batch']} --executor ray --workers 4"
    )
    assert found["estimate"]["assumptions"]["answer_batch"] % found["estimate"]["plans"] == 0
    code, out, _ = run(capsys, "math", "--model", "Qwen/Qwen3-VL-8B-Instruct@main", "--gpus", "4")
    assert code == 0 and f"{found['estimate']['hours']:.1f} GPU hours" in out and "Assumed: 40%" in out
    code, out, _ = run(
        capsys, "quick", "--model", "Qwen/Qwen3-VL-8B-Instruct", "--gpu", "4090", "--image-tokens", "99999"
    )
    assert code == 0 and "does not fit: use --device balanced" in out and "--recipe quick --device balanced" in out


def test_the_command_lists_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)
    assert code == 0 and all(r.name in out for r in list_recipes()) and all(model in out for model in SHAPES)
    code, out, _ = run(capsys, "--json")
    assert [r["name"] for r in json.loads(out)] == [r.name for r in list_recipes()]


def test_estimates_need_no_torch() -> None:
    code = "import sys; from core.measure import estimates, shapes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


# ------------------------------------------------------------------------------------------------ shapes


def parameters(anatomy: ModelAnatomy) -> int:
    outside = (anatomy.vision_parameters, anatomy.projector_parameters, anatomy.embedding_parameters)
    layers = sum(layer.parameters for layer in anatomy.layers)
    return sum(outside) + anatomy.norm_parameters + anatomy.head_parameters + layers


@pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda s: s.model_id)
def test_a_shape_has_the_published_number_of_parameters(shape: Any) -> None:
    anatomy = known_anatomy(shape.model_id)
    assert anatomy.model_id == shape.model_id and anatomy.vision_counted
    assert parameters(anatomy) == pytest.approx(shape.n_parameters, rel=0.0005)
    # a count that is published to the last digit is met to the last digit
    assert shape.n_parameters % 10**6 == 0 or parameters(anatomy) == shape.n_parameters


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda s: s.model_id)
def test_a_recorded_anatomy_is_that_of_its_shape(shape: Any, tmp_path: Path) -> None:
    from core.vlm.loading import read_spec

    write_anatomies(tmp_path, [shape])
    path = recorded_anatomy_path(shape.model_id)
    assert json.loads((tmp_path / path.name).read_text()) == json.loads(path.read_text())
    spec = read_spec(str(shape.folder))
    assert (spec.structural, spec.n_parameters) == (shape.structural, parameters(known_anatomy(shape.model_id)))


@pytest.mark.slow
def test_image_tokens_are_those_of_the_processors() -> None:
    """A picture of 1024 by 768; what each class does not say by default is stated as the checkpoint does."""
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
    from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    pixels = (768, 1024)
    for model, patch in (("Qwen/Qwen3-VL-4B-Instruct", 16), ("Qwen/Qwen2.5-VL-7B-Instruct", 14)):
        limits = {"shortest_edge": 3136, "longest_edge": 12845056}
        cut = Qwen2VLImageProcessorPil(patch_size=patch, merge_size=2, size=limits)
        assert cut.get_number_of_image_patches(*pixels) // 4 == SHAPES[model].image_tokens
    tiles = GotOcr2ImageProcessorPil(size={"height": 448, "width": 448}, min_patches=1, max_patches=12)
    n = tiles.get_number_of_image_patches(*pixels, {"crop_to_patches": True})
    assert 256 * n == SHAPES["OpenGVLab/InternVL3-8B-hf"].image_tokens
    split = SmolVLMImageProcessorPil(size={"longest_edge": 4 * 384}, max_image_size={"longest_edge": 384})
    assert (
        81 * split.get_number_of_image_patches(*pixels)[0]
        == SHAPES["HuggingFaceTB/SmolVLM2-2.2B-Instruct"].image_tokens
    )
    whole = LlavaOnevisionProcessor.__new__(LlavaOnevisionProcessor)  # without the tokenizer that it would ask for
    shape = SHAPES["llava-hf/llava-onevision-qwen2-7b-ov-hf"]
    pinpoints = json.loads((shape.folder / "config.json").read_text())["image_grid_pinpoints"]
    whole.image_processor = SimpleNamespace(image_grid_pinpoints=pinpoints)
    whole.num_image_tokens, whole.vision_aspect_ratio = 27 * 27, "anyres_max_9"
    assert whole._get_number_of_features(*pixels, 384, 384) == shape.image_tokens


def test_an_anatomy_is_not_taken_for_recorded_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    assert {r.model.model_id for r in read_sources().records} == {"tiny"}
