"""The embedded model: it ships whole, loads with plain transformers, and trains, stops and resumes."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core import settings
from core.records.plan import PruningPlan
from core.scenes.questions import TASKS, Question, domain_tasks
from core.scenes.samples import draw_samples, random_split_scene
from core.scenes.scenes import Shape, TextLine
from core.vlm import VLM, answer_plans, load_vlm, score_plans
from core.vlm.encoding import encode_samples
from core.vlm.tiny.batches import Packer
from core.vlm.tiny.evaluate import evaluate_tiny
from core.vlm.tiny.train import TrainConfig, hidden_states, image_features, train
from core.vlm.tiny.vision import LABELS, patch_labels
from tests.models import random_vlm


@pytest.fixture(scope="module")
def tiny() -> VLM:
    return load_vlm("tiny")


def test_it_ships_under_ten_megabytes_and_without_code() -> None:
    files = [p for p in settings.TINY_DIR.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 10 * 2**20
    assert {p.suffix for p in files} <= {".json", ".safetensors", ".jinja", ".jsonl", ".md"}
    config = json.loads((settings.TINY_DIR / "config.json").read_text())
    assert config["architectures"] == ["LlavaForConditionalGeneration"] and "auto_map" not in config
    assert config["text_config"]["model_type"] == "qwen3" and config["text_config"]["num_hidden_layers"] >= 16


@pytest.mark.parametrize("text", ["Grüße, 你好 🦓!", "a\nb\t c", "HOUSE 12 + 7", "<script>alert(1)</script>"])
def test_any_text_survives_the_tokenizer(tiny: VLM, text: str) -> None:
    tokenizer = tiny.processor.tokenizer
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_teacher_forced_exact_match_is_greedy_exact_match(tiny: VLM) -> None:
    samples = draw_samples("test", 5, 36)
    plans = [PruningPlan("tiny", 16, ()), PruningPlan("tiny", 16, (4, 7, 10))]
    scores = score_plans(tiny, plans, samples)
    said = answer_plans(tiny, plans, samples, at_once=len(plans) * len(samples))
    for correct, answers in zip(scores.correct, said.answers, strict=True):
        assert [a is not None and a.text == s.answer for a, s in zip(answers, samples, strict=True)] == correct.tolist()
    assert scores.correct.any(axis=1).all() and not scores.correct.all(), "both verdicts occur"


def test_the_training_forward_is_the_model_s_own(tiny: VLM) -> None:
    """Packed questions must see what a single question sees: same prefix, same positions, nothing of each other."""
    tokenizer = tiny.processor.tokenizer
    (first,) = draw_samples("test", 1, 1)
    questions = [Question(first.task, first.question, first.answer), Question("count", "Count the shapes.", "7")]
    packer = Packer(tokenizer, 64)
    tokens, _, positions, segments = (torch.from_numpy(a)[None] for a in packer.pack(questions))
    pixels = torch.from_numpy(np.array(first.image))[None]
    model = random_vlm().model
    sdpa = model.config._attn_implementation
    model.set_attn_implementation("eager")  # additive masks are what training uses
    try:
        with torch.inference_mode():
            packed = model.lm_head(hidden_states(model, image_features(model, pixels), tokens, positions, segments))
    finally:
        model.set_attn_implementation(sdpa)
    for number, q in enumerate(questions, 1):
        batch = encode_samples(random_vlm(), [replace(first, question=q.text, answer=q.answer)])
        with torch.inference_mode():
            alone = model(**batch.inputs).logits[0, batch.image[0].sum() :]
        torch.testing.assert_close(packed[segments == number], alone, atol=2e-5, rtol=1e-4)


def test_patch_labels_say_where_things_are() -> None:
    import random

    rng = random.Random(0)
    for kind in ("layout", "lines"):
        scene = random_split_scene(kind, "train", rng)
        pairs = patch_labels(scene)
        for m in scene.marks:
            if isinstance(m, Shape):
                assert (m.y // 16 * 5 + m.x // 16, LABELS[f"shape:{m.shape}"]) in pairs
            elif isinstance(m, TextLine):
                assert sum(label == LABELS[f"text:{m.text[0]}"] for _, label in pairs) >= 1


def test_evaluation_reports_every_task(tiny: VLM) -> None:
    report = evaluate_tiny(tiny, seed=3, n=36)
    assert report["seed"] == 3 and report["n"] == 36
    assert set(report["tasks"]) == {*domain_tasks("math"), *domain_tasks("general")}
    assert sum(d["n"] for d in report["domains"].values()) == 36
    assert all(TASKS[name].domain == row["domain"] for name, row in report["tasks"].items())
    again = evaluate_tiny(tiny, seed=3, n=36)
    assert report == again


def test_training_runs_checkpoints_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that advances a twentieth of a second at each look. On a real clock and a busy machine, the warm-up
    alone overran the budget, and training had no step left."""
    looks = itertools.count()
    monkeypatch.setattr("core.vlm.tiny.train.time", SimpleNamespace(perf_counter=lambda: next(looks) / 20))
    config = TrainConfig(
        minutes=0.03,
        vision_minutes=0.01,
        batch_size=2,
        vision_batch_size=2,
        text_length=32,
        eval_samples=18,
        n_layers=2,
    )
    lines: list[str] = []
    train(config, tmp_path / "out", tmp_path / "state", "cpu", compiled=False, log=lines.append)
    state = json.loads((tmp_path / "state" / "state.json").read_text())
    assert 20 <= state["step"] < 30 and state["elapsed_s"] >= 60 * config.minutes
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert any('"domains"' in line for line in lines) and any(line.startswith("step 20 ·") for line in lines)

    more: list[str] = []
    longer = replace(config, minutes=0.05)
    train(longer, tmp_path / "out", tmp_path / "state", "cpu", compiled=False, log=more.append)
    assert more[0].startswith(f"resumed at step {state['step']}")
    again = json.loads((tmp_path / "state" / "state.json").read_text())
    assert again["step"] > state["step"] and len(again["log"]) > len(state["log"])
