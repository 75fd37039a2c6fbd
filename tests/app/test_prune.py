"""Prune: plans at a budget, edits by hand, cost and measured scores, and what is taken along."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from core import settings
from core.library.sources import Sources
from core.pruning import build_plan
from dashboard import services
from dashboard.services import exports
from tests.app.conftest import texts
from tests.app.synthetic import SPEC, make_atlas

RIGHT = "Measured share of right answers on math"


def table(at, column):
    """The first table of the page that has a column, by plan."""
    return next(d.value for d in at.dataframe if column in d.value).set_index("plan")


def said(at, start):
    """What a screen reader says of the first chart whose words begin like this."""
    return next(c.proto.alt for c in at.get("vega_lite_chart") if c.proto.alt.startswith(start))


# ------------------------------------------------------------------------------------------------ the budget


def test_the_link_sets_budget_and_criteria(recorded, engine, open_page):
    at = open_page("prune", budget="6", criteria=["math_aware", "deepest"])
    assert not at.exception
    assert at.slider(key="budget").value == 6
    assert "**6 of 16 layers** · 38 % of depth · 67 % of parameters left" in texts(at)
    assert "deepest drops 9 to 14" in said(at, "math_aware drops")
    assert list(table(at, "spacing").index) == ["math_aware", "deepest"]


def test_the_budget_in_percent_and_in_parameters_moves_the_slider(recorded, engine, open_page):
    at = open_page("prune", budget="6", criteria=["deepest"])
    assert at.number_input(key="budget_percent").value == 37.5
    assert at.number_input(key="budget_parameters").value == pytest.approx(2.4)
    at.number_input(key="budget_percent").set_value(30.0).run()
    assert at.slider(key="budget").value == 5  # the nearest whole layer
    assert at.number_input(key="budget_percent").value == 31.25
    at.number_input(key="budget_parameters").set_value(2.05).run()
    assert at.slider(key="budget").value == 8  # 2.0 million are left
    assert table(at, "spacing").n_drop["deepest"] == 8
    at.slider(key="budget").set_value(3).run()
    assert at.number_input(key="budget_parameters").value == pytest.approx(3.0)
    assert table(at, "spacing").dropped["deepest"] == "12 to 14"


def test_says_so_when_plans_coincide(recorded, engine, open_page):
    atlas = make_atlas()
    same = next(
        k for k in range(1, 9) if build_plan(atlas, "mixed", k).dropped == build_plan(atlas, "math_aware", k).dropped
    )
    at = open_page("prune", budget=str(same), criteria=["math_aware", "mixed"])
    assert "math_aware = mixed: the same layers, so one plan" in texts(at)


@pytest.fixture
def with_atlas(recording, tmp_path, monkeypatch):
    """with_atlas(atlas): the synthetic recording, with this atlas instead of its own."""

    def use(atlas):
        folder = shutil.copytree(recording, tmp_path / "recorded")
        atlas.save(folder / "tiny.atlas.npz")
        monkeypatch.setattr(settings, "RECORDED_DIR", folder)

    return use


def test_a_domain_of_the_users_own_is_a_criterion(with_atlas, engine, open_page):
    atlas = make_atlas()
    own = tuple(replace(s, domain="receipts") if s.domain == "general" else s for s in atlas.samples)
    with_atlas(atlas.merged(replace(atlas, samples=own)))
    at = open_page("prune", criteria=["domain:receipts", "non_math_aware"])
    assert not at.exception and not at.warning
    rows = table(at, "spacing")
    assert rows.dropped["domain:receipts"] == rows.dropped["non_math_aware"]


def test_bad_values_in_the_link_never_crash(recorded, engine, open_page):
    at = open_page("prune", budget="999", criteria=["mth"], manual=["0", "x"], quantity="joy", batch="0")
    assert not at.exception
    read = texts(at)
    assert "budget = 999" in read and "criteria = mth" in read and "manual = 0, x" in read
    assert "quantity = joy" in read and "batch = 0" in read
    assert at.slider(key="budget").value == 4


def test_a_hostile_link_is_shown_as_text(recorded, engine, open_page):
    at = open_page("prune", criteria=["![x](https://e.invalid/x.png)"], take="<script>")
    assert not at.exception
    assert "![" not in texts(at) and "https://e" not in texts(at) and "<script>" not in texts(at)


def test_a_criterion_that_needs_the_model_first_is_one_line(with_atlas, engine, open_page):
    """An atlas without a greedy order: the other plans are shown, and what to run is said."""
    with_atlas(replace(make_atlas(), greedy=None))
    at = open_page("prune", criteria=["greedy", "deepest"])
    assert not at.exception
    assert len(at.error) == 1 and "calibrate --model tiny --greedy" in at.error[0].value.replace("\u2060", "")
    assert list(table(at, "spacing").index) == ["deepest"]


# ------------------------------------------------------------------------------------------------ by hand


def test_edits_by_hand_can_be_undone_and_reset(recorded, engine, open_page):
    at = open_page("prune", criteria=["deepest"], manual=["5"])
    assert table(at, "spacing").dropped["by hand"] == "5"
    at.get_by_key("manual").set_value([5, 6]).run()
    assert table(at, "spacing").dropped["by hand"] == "5 to 6"
    assert at.session_state["manual"] == [5, 6]
    at.button(key="reset").click().run()
    assert "by hand" not in table(at, "spacing").index and "manual" not in at.query_params
    for expected in ("5 to 6", "5"):
        at.button(key="undo").click().run()
        assert table(at, "spacing").dropped["by hand"] == expected
    at.button(key="undo").click().run()
    assert "by hand" not in table(at, "spacing").index
    assert at.button(key="undo").disabled and at.button(key="reset").disabled


def test_an_unmeasured_plan_shows_the_nearest_one_by_name(recorded, engine, open_page):
    at = open_page("prune", manual=["1", "3", "9", "14"], criteria=["deepest"])
    assert not at.exception
    read = texts(at)
    assert "**by hand** was not measured. Hollow: the nearest measured plan, " in read
    assert "layers differ)" in read and "**deepest** was not measured" not in read
    assert "n = 40 items" in read and "95 % Wilson intervals" in read
    assert "deepest" in said(at, RIGHT) and " % [" in said(at, RIGHT)


# ------------------------------------------------------------------------------------------------ scores and cost


def test_the_regime_comes_with_its_evidence(recorded, engine, open_page):
    at = open_page("prune", budget="6")
    regimes = services.scores.view("tiny").regimes("math")
    assert regimes.label_at(6) in texts(at)
    assert regimes.explain(6) in [c.value for c in at.caption]


def test_costs_are_counted_for_the_question_in_the_link(recorded, engine, open_page):
    """As tests/unit/test_plan_tables.py works it out: 6 of 16 layers, 32 tokens of text and 25 of the picture."""
    at = open_page("prune", budget="6", criteria=["deepest"])
    row = table(at, "prefill").loc["deepest"]
    assert (row.parameters, row.weights, row["KV per token"]) == (2_400_000, 4_800_000, 5120)
    assert row.prefill == 26_540_000 + 10 * (400_000 * 57 + 500 * 57**2)
    assert "Counted from the model's configuration, not measured: 32 tokens of text, 25 of the picture" in texts(at)
    at = open_page("prune", budget="6", criteria=["deepest"], text_tokens="75", quantity="prefill", batch="2")
    assert table(at, "prefill").prefill["deepest"] == 2 * (26_540_000 + 10 * (400_000 * 100 + 500 * 100**2))
    assert said(at, "FLOPs until the first token")


def test_without_the_models_parts_only_parameters_are_shown(recorded, engine, open_page, monkeypatch):
    monkeypatch.setattr(services.models, "anatomy", lambda model: None)
    at = open_page("prune", budget="6", criteria=["deepest"])
    assert not at.exception
    assert table(at, "parameters %").parameters["deepest"] == 2_400_000
    assert "Cache and FLOPs need the model's configuration" in texts(at)


def test_speed_is_measured_on_request_only(recorded, engine, open_page):
    at = open_page("prune", budget="6", criteria=["deepest", "uniform"])
    assert not engine.requests and not any("ttft_ms" in d.value for d in at.dataframe)
    at.button(key="measure").click().run()
    assert not at.exception
    asked = [plans for _, plans, _, _, config in engine.requests if config.max_new_tokens == 16]
    assert len(asked) == 3 * (
        services.plans.SPEED_QUESTIONS + 1
    )  # two plans and the full model; a first, untimed round
    assert [p.criterion if p else None for (p,) in asked[:3]] == ["deepest", "uniform", None]
    rows = table(at, "ttft_ms")
    assert rows.ttft_ms.tolist() == [50.0] * 3 and rows.answers.tolist() == [services.plans.SPEED_QUESTIONS] * 3
    assert "measured here · CPU" in texts(at).replace("\\", "")
    at.slider(key="budget").set_value(3).run()
    assert not any("ttft_ms" in d.value for d in at.dataframe), "the figures of other plans"


def test_without_runs_the_page_still_plans(recorded, engine, open_page, monkeypatch):
    empty = Sources()
    monkeypatch.setattr(services.scores, "sources", lambda: empty)
    monkeypatch.setattr(services.models, "spec", lambda model_id: SPEC)
    at = open_page("prune")
    assert not at.exception
    assert "No runs of this model yet" in texts(at)


# ------------------------------------------------------------------------------------------------ take it along


def test_next_steps_carry_the_plans(recorded, engine, open_page):
    at = open_page("prune", budget="5", criteria=["deepest", "uniform"])
    links = {link.value: link.proto.query_string for link in at.page_link}
    assert "a=deepest" in links["Compare these"] and "b=uniform" in links["Compare these"]
    assert "budget=5" in links["Compare these"] and "curves=deepest" in links["See scores"]
    at = open_page("prune", criteria=["deepest"], manual=["5", "6"])
    links = {link.value: link.proto.query_string for link in at.page_link}
    assert "b=manual" in links["Compare these"] and "manual=5&manual=6" in links["Compare these"]


def test_a_plan_is_taken_along_in_four_forms(recorded, engine, open_page, monkeypatch, tmp_path):
    made = []

    def export(model, plan, atlas, progress=lambda *_: None):
        progress(0.5, "half way")
        made.append((model.model_id, plan.dropped, atlas.data_hash))
        path = tmp_path / "x.zip"
        path.write_bytes(b"PK" * 600)
        return path

    monkeypatch.setattr(services.plans, "export_zip", export)
    at = open_page("prune", budget="6", criteria=["uniform", "deepest"], take="deepest")
    assert not at.exception
    downloads = {b.key: b.label for b in at.get("download_button")}
    assert {"take_plan": "Plan (JSON)", "take_recipe": "mergekit (YAML)", "take_snippet": "Python"}.items() <= (
        downloads.items()
    )
    assert "take_zip" not in downloads and not made
    code = "\n".join(c.value for c in at.code)
    assert "dropped = [9, 10, 11, 12, 13, 14]" in code
    assert "python -m core export --model tiny --plan plan-tiny-deepest-6.json --out tiny-deepest-6" in code
    at.button(key="build").click().run()
    assert not at.exception
    assert made[0] == ("tiny", (9, 10, 11, 12, 13, 14), make_atlas().data_hash)
    assert "Checkpoint (zip, 1.2 kB)" in [b.label for b in at.get("download_button")]


@pytest.mark.parametrize("model_id", ["nobody/nothing", "../../etc/passwd", "a b/<c>", "x" * 300, "", "~/nothing"])
def test_a_model_that_is_not_on_this_disk_is_not_live_so_no_page_fetches_it(model_id):
    assert not services.models.live(model_id)


def test_a_folder_with_a_model_is_live(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert services.models.live(str(tmp_path))


@pytest.mark.parametrize("why", ["too large", "not live"])
def test_a_checkpoint_that_cannot_be_made_here_is_a_command(recorded, engine, open_page, monkeypatch, why):
    if why == "too large":
        monkeypatch.setattr(exports, "ZIP_LIMIT", 9_000_000)  # 2.4 million parameters of 4 bytes are more
    else:
        monkeypatch.setattr(services.models, "live", lambda model_id="tiny": False)
    at = open_page("prune", budget="6", criteria=["deepest"])
    assert not at.exception
    assert "build" not in [b.key for b in at.button]
    assert "write the checkpoint where the weights are" in texts(at)
    assert any("python -m core export --model tiny" in c.value for c in at.code)


@pytest.mark.slow
@pytest.mark.skipif(not any(settings.TINY_DIR.glob("*.safetensors")), reason="the embedded model is not trained yet")
def test_the_zip_loads_with_plain_transformers(tmp_path: Path):
    """Real weights: the unzipped folder answers as the plan's view does."""
    import zipfile

    from transformers import AutoModelForImageTextToText, AutoProcessor

    from core.records.plan import PruningPlan
    from core.scenes.samples import draw_samples
    from core.vlm import answer, load_vlm, read_spec

    plan = PruningPlan("tiny", 16, (5, 9, 10), "manual")
    said: list[float] = []
    path = services.plans.export_zip(read_spec("tiny"), plan, make_atlas(8), lambda share, _text: said.append(share))
    assert said == sorted(said) and said[-1] == 1.0
    again = services.plans.export_zip(read_spec("tiny"), plan, make_atlas(8), lambda *_: pytest.fail("made twice"))
    assert again == path
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / "tiny-manual-3"
    assert {p.name for p in tmp_path.iterdir()} == {"tiny-manual-3"}
    assert PruningPlan.load(folder / "strata_plan.json").dropped == plan.dropped

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32").eval()
    processor = AutoProcessor.from_pretrained(folder)
    assert model.config.get_text_config().num_hidden_layers == 13
    sample = draw_samples("test", 3, 1)[0]
    content = [{"type": "image"}, {"type": "text", "text": sample.question}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(text=[prompt], images=[sample.image], return_tensors="pt")
    tokens = model.generate(**inputs, max_new_tokens=16, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    theirs = processor.tokenizer.decode(tokens, skip_special_tokens=True).strip()
    assert theirs == answer(load_vlm("tiny"), plan, sample.image, sample.question).text
