"""The embedded model: it ships whole, loads with plain transformers, and trains, stops and resumes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from core import settings
from core.records.plan import PruningPlan
from core.scenes.questions import TASKS, Question, domain_tasks
from core.scenes.samples import draw_samples, random_split_scene
from core.scenes.scenes import Shape, TextLine
from core.vlm import VLM, answer, load_vlm, score_plans
from core.vlm.encoding import encode_samples
from core.vlm.tiny.evaluate import evaluate_tiny
from core.vlm.tiny.train import Packer, TrainConfig, hidden_states, image_features, train
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


def test_it_loads_with_nothing_but_transformers() -> None:
    code = (
        "import sys; from transformers import AutoProcessor, AutoModelForImageTextToText as A;"
        "p = AutoProcessor.from_pretrained(sys.argv[1]); m = A.from_pretrained(sys.argv[1]);"
        "t = p.apply_chat_template([{'role': 'user', 'content': [{'type': 'image'}, {'type': 'text', 'text': 'hi'}]}],"
        " add_generation_prompt=True);"
        "from PIL import Image; b = p(images=Image.new('RGB', (300, 200)), text=t, return_tensors='pt');"
        "m.generate(**b.to(m.dtype), max_new_tokens=3); print(m.dtype, 'core' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(settings.TINY_DIR)], capture_output=True, text=True, cwd="/", check=True
    )
    assert done.stdout.split() == ["torch.bfloat16", "False"]


@pytest.mark.parametrize("text", ["Grüße, 你好 🦓!", "a\nb\t c", "HOUSE 12 + 7", "<script>alert(1)</script>"])
def test_any_text_survives_the_tokenizer(tiny: VLM, text: str) -> None:
    tokenizer = tiny.processor.tokenizer
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_teacher_forced_exact_match_is_greedy_exact_match(tiny: VLM) -> None:
    samples = draw_samples("test", 5, 36)
    plans = [PruningPlan("tiny", 16, ()), PruningPlan("tiny", 16, (4, 7, 10))]
    scores = score_plans(tiny, plans, samples)
    for row, plan in enumerate(plans):
        decoded = [answer(tiny, plan, s.image, s.question).text == s.answer for s in samples]
        assert scores.correct[row].tolist() == decoded


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
    from dataclasses import replace

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


def test_training_runs_checkpoints_and_resumes(tmp_path: Path) -> None:
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
    assert state["step"] > 0 and state["elapsed_s"] >= 60 * config.minutes
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert any('"domains"' in line for line in lines)
    from dataclasses import replace

    more: list[str] = []
    longer = replace(config, minutes=state["elapsed_s"] / 60 + 0.02)  # a busy machine overruns the first budget
    train(longer, tmp_path / "out", tmp_path / "state", "cpu", compiled=False, log=more.append)
    assert more[0].startswith(f"resumed at step {state['step']}")
    again = json.loads((tmp_path / "state" / "state.json").read_text())
    assert again["step"] > state["step"] and len(again["log"]) > len(state["log"])
