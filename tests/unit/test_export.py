"""An exported plan is a checkpoint that plain transformers loads and that answers as the view does, or nothing."""

import errno
import json
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from cache import RunStore
from core import settings
from core.cli import main as cli
from core.errors import ExportError, PlanError
from core.library import finding
from core.pruning.formats import kept_runs, mergekit_yaml, python_snippet
from core.records.answers import GenerationConfig
from core.records.plan import ModelSpec, PruningPlan
from core.records.runs import RunRecord
from core.vlm import export, shards
from core.vlm.encoding import encode_samples
from core.vlm.export import export_plan
from core.vlm.generation import answer
from core.vlm.loading import VLM, load_outline, load_vlm, read_spec
from core.vlm.view import pruned_view
from tests.models import random_vlm, some_samples

PLAN = PruningPlan("random", 6, (1, 4), "math_aware")


def plan_of(vlm: VLM) -> PruningPlan:
    """The same layers, of a model that was loaded from a folder."""
    return replace(PLAN, model_id=vlm.spec.model_id)


# plain transformers, nothing of ours: each folder loads as it is stored, and answers in float32
ANSWERS = """
import json, sys
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
answers = []
for folder in sys.argv[2:]:
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    assert str(model.dtype) == "torch.bfloat16"
    processor = AutoProcessor.from_pretrained(folder)
    prompts = []
    for path, question in json.load(open(sys.argv[1])):
        content = [{"type": "image"}, {"type": "text", "text": question}]
        prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        prompts.append(processor(text=[prompt], images=[[Image.open(path)]], return_tensors="pt"))
    model.generate(**prompts[0].to(model.dtype), max_new_tokens=3)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32").eval()
    for inputs in prompts:
        inputs = inputs.to(model.dtype)
        ids = model.generate(**inputs, max_new_tokens=12, do_sample=False)[0, inputs["input_ids"].shape[1]:]
        answers.append(processor.tokenizer.decode(ids, skip_special_tokens=True).strip())
assert "core" not in sys.modules
json.dump(answers, sys.stdout)
"""


def from_folder(folder: Path, shard_size: str | None = None) -> VLM:
    """The random model, saved and loaded again."""
    vlm = random_vlm()
    vlm.model.save_pretrained(folder, **({"max_shard_size": shard_size} if shard_size else {}))
    vlm.processor.save_pretrained(folder)
    return load_vlm(str(folder), device="cpu")


def logits(model: Any, vlm: VLM) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = model(**encode_samples(vlm, some_samples(3)).inputs).logits
        return result


def reloaded(folder: Path) -> Any:
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()


def test_a_fresh_process_answers_as_the_model_and_as_the_view(tmp_path: Path) -> None:
    """The folder that ships and an exported one load with nothing but transformers."""
    vlm = load_vlm("tiny", device="cpu")
    plan = PruningPlan("tiny", 16, (3, 9, 10))
    report = export_plan(vlm, plan, tmp_path / "exports" / "pruned")
    assert report.max_difference == 0.0
    samples = some_samples(4)
    rows = []
    for s in samples:
        assert s.image is not None
        s.image.save(tmp_path / f"{s.sample_id}.png")
        rows.append((str(tmp_path / f"{s.sample_id}.png"), s.question))
    (tmp_path / "questions.json").write_text(json.dumps(rows))
    folders = [str(settings.TINY_DIR), str(report.out)]
    command = [sys.executable, "-c", ANSWERS, str(tmp_path / "questions.json"), *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, timeout=240)
    config = GenerationConfig(max_new_tokens=12)
    ours = [answer(vlm, p, s.image, s.question, config).text for p in (None, plan) for s in samples]
    assert json.loads(done.stdout) == ours


def test_the_folder_is_complete_and_says_where_it_comes_from(tmp_path: Path) -> None:
    vlm = load_vlm("tiny", device="cpu")
    plan = PruningPlan("tiny", 16, (3, 9), "math_aware")
    scores = {"tiny-math": {"score": 0.5, "n": 250}, "tiny-general": 0.75}
    report = export_plan(vlm, plan, tmp_path / "pruned", scores=scores, atlas_hash="abc123")
    expected = {"config.json", "model.safetensors", "generation_config.json", "tokenizer.json", "processor_config.json"}
    assert expected | {"chat_template.jinja", "README.md", "strata_plan.json"} <= set(report.files)
    assert PruningPlan.load(report.out / "strata_plan.json") == plan
    passport = json.loads((report.out / "strata_plan.json").read_text())
    assert passport["revision"] == vlm.spec.revision and passport["calibration_data_hash"] == "abc123"
    kept = sum(p.numel() for p in pruned_view(vlm.model, plan.dropped).parameters())
    assert passport["parameters"] == report.parameters == kept
    card = (report.out / "README.md").read_text()
    for part in (
        "# tiny without 2 of its 16",
        "3, 9",
        "math_aware",
        "`abc123`",
        "| tiny-math | 0.5 | 250 |",
        "Licence",
    ):
        assert part in card
    config = json.loads((report.out / "config.json").read_text())
    source = json.loads((settings.TINY_DIR / "config.json").read_text())
    assert config["text_config"]["num_hidden_layers"] == len(config["text_config"]["layer_types"]) == 14
    assert config["dtype"] == source["dtype"] == "bfloat16"  # as stored, not as loaded here
    assert config["architectures"] == source["architectures"]


def test_kept_weights_are_copied_byte_by_byte(tmp_path: Path) -> None:
    report = export_plan(load_vlm("tiny"), PruningPlan("tiny", 16, (0, 7, 15)), tmp_path / "pruned")
    theirs, ours = (load_file(folder / "model.safetensors") for folder in (settings.TINY_DIR, report.out))
    for i, layer in enumerate(report.plan.kept):
        old, new = (f"language_model.model.layers.{n}.mlp.up_proj.weight" for n in (layer, i))
        assert theirs[old].dtype == ours[new].dtype and torch.equal(theirs[old], ours[new])
    assert len(theirs) - len(ours) == 3 * sum(".layers.0." in name and "language" in name for name in theirs)


def test_a_sharded_checkpoint_stays_sharded(tmp_path: Path) -> None:
    vlm = from_folder(tmp_path / "full", "1MB")
    assert len(list((tmp_path / "full").glob("*.safetensors"))) > 3
    report = export_plan(vlm, plan_of(vlm), tmp_path / "pruned")
    written = sorted((tmp_path / "pruned").glob("*.safetensors"))
    index = json.loads((report.out / "model.safetensors.index.json").read_text())
    assert len(written) > 2 and set(index["weight_map"].values()) == {p.name for p in written}
    for path in written:
        with safe_open(path, "pt") as file:
            assert all(index["weight_map"][name] == path.name for name in file.keys())  # noqa: SIM118
    expected = logits(pruned_view(random_vlm().model, PLAN.dropped), vlm)
    assert torch.equal(logits(reloaded(report.out), vlm), expected)


def test_a_model_built_in_memory_is_exported_too(tmp_path: Path) -> None:
    report = export_plan(random_vlm(), PLAN, tmp_path / "pruned")
    assert report.max_difference == 0.0
    expected = logits(pruned_view(random_vlm().model, PLAN.dropped), random_vlm())
    assert torch.equal(logits(reloaded(report.out), random_vlm()), expected)


def test_an_outline_is_enough_without_the_check(tmp_path: Path) -> None:
    full, outline = from_folder(tmp_path / "full"), load_outline(str(tmp_path / "full"))
    report = export_plan(outline, plan_of(outline), tmp_path / "outline", verify=False)
    checked = export_plan(full, plan_of(full), tmp_path / "checked")
    assert report.max_difference is None
    weights = [(r.out / "model.safetensors").read_bytes() for r in (report, checked)]
    assert weights[0] == weights[1]
    # the folder's path is on this machine only: the card names the folder
    assert str(tmp_path) not in (report.out / "README.md").read_text() + (report.out / "strata_plan.json").read_text()


# ------------------------------------------------------------------------------------------------ nothing half


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), RuntimeError("bug")])
def test_an_interrupted_export_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    vlm = from_folder(tmp_path / "full", "1MB")
    calls = []
    write = shards._write_shard

    def interrupted(*args: Any) -> int:
        calls.append(args)
        if len(calls) == 3:
            raise stop
        return write(*args)

    monkeypatch.setattr(shards, "_write_shard", interrupted)
    before = left(tmp_path)
    with pytest.raises(type(stop)):
        export_plan(vlm, plan_of(vlm), tmp_path / "a" / "b" / "pruned")
    assert len(calls) == 3 and left(tmp_path) == before


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    vlm = random_vlm() if in_memory else from_folder(tmp_path / "full", "1MB")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((type(vlm.processor), "save_pretrained") if in_memory else (shards, "_copy")), full)
    before = left(tmp_path)
    with pytest.raises(ExportError, match="is full") as caught:
        export_plan(vlm, plan_of(vlm), tmp_path / "pruned")
    assert "\n" not in str(caught.value) and left(tmp_path) == before


def test_too_little_space_is_noticed_before_anything_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = load_vlm("tiny")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    monkeypatch.setattr(export, "write_pruned", pytest.fail)
    with pytest.raises(ExportError, match="GiB free"):
        export_plan(vlm, PruningPlan("tiny", 16, (3,)), tmp_path / "pruned")


def test_a_target_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("full", "file"):
        with pytest.raises(ExportError, match="not empty"):
            export_plan(random_vlm(), PLAN, tmp_path / name)
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine" and (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert export_plan(random_vlm(), PLAN, tmp_path / "empty").max_difference == 0.0


@pytest.mark.parametrize("out", ["/proc/strata/pruned", "/dev/null/pruned"])
def test_a_place_that_cannot_be_written_is_one_line(out: str) -> None:
    with pytest.raises(ExportError, match="give another folder") as caught:
        export_plan(random_vlm(), PLAN, Path(out))
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_answers_otherwise_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = from_folder(tmp_path / "full")

    def wrong_layer(found: Any, out: Path, prefix: str, kept: tuple[int, ...]) -> tuple[int, int]:
        return shards.write_pruned(found, out, prefix, (0, 1, *kept[2:]))

    monkeypatch.setattr(export, "write_pruned", wrong_layer)
    with pytest.raises(ExportError, match="answers otherwise"):
        export_plan(vlm, plan_of(vlm), tmp_path / "pruned")
    assert left(tmp_path) == ["full"]


@pytest.mark.parametrize(("off", "kept"), [(3e-6, True), (1e-4, False)])
def test_rounding_is_no_other_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: float, kept: bool) -> None:
    """Kernels of experts round by how a weight is aligned in memory; such models were refused."""
    real = export._logits

    def rounded(vlm: VLM, plan: PruningPlan | None, samples: Any) -> torch.Tensor:
        found = real(vlm, plan, samples)
        return found if plan else found + off * found.abs().max()

    monkeypatch.setattr(export, "_logits", rounded)
    if kept:
        assert 0 < (export_plan(random_vlm(), PLAN, tmp_path / "pruned").max_difference or 0) < 1e-3
    else:
        with pytest.raises(ExportError, match="answers otherwise"):
            export_plan(random_vlm(), PLAN, tmp_path / "pruned")
    assert (tmp_path / "pruned").exists() == kept


def test_damaged_sources_are_refused(tmp_path: Path) -> None:
    vlm = from_folder(tmp_path / "full")
    weights = tmp_path / "full" / "model.safetensors"
    whole = weights.read_bytes()
    for content in (whole[: len(whole) // 2], b"\xff" * 64, b"", whole[:8] + b"[]" + whole[10:]):
        weights.write_bytes(content)
        with pytest.raises(ExportError, match="damaged checkpoint"):
            export_plan(vlm, plan_of(vlm), tmp_path / "pruned")
    weights.unlink()
    with pytest.raises(ExportError, match="only complete checkpoints"):
        export_plan(vlm, plan_of(vlm), tmp_path / "pruned")
    index = {"weight_map": {"a": "../../other.safetensors"}}
    (tmp_path / "full" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ExportError, match="other folders"):
        export_plan(vlm, plan_of(vlm), tmp_path / "pruned")
    assert left(tmp_path) == ["full"]


def test_impossible_plans_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="16 layers"):
        export_plan(random_vlm(), PruningPlan("random", 16, (3,)), tmp_path / "pruned")
    vlm = random_vlm()
    spec = type(vlm.spec)(**{**vlm.spec.to_dict(), "structural": (0, 1)})
    with pytest.raises(PlanError, match="visual features"):
        export_plan(VLM(vlm.model, vlm.processor, spec), PLAN, tmp_path / "pruned")


def test_the_decoder_is_told_from_a_tower_of_the_same_depth(tmp_path: Path) -> None:
    """Vision towers call their layers `layers` too, and may be as deep and as wide as the decoder."""
    tensors = {}
    for i in range(3):
        tensors[f"vision_tower.encoder.layers.{i}.self_attn.q_proj.weight"] = torch.zeros(4, 4)
        tensors[f"vision_tower.encoder.layers.{i}.norm1.weight"] = torch.zeros(4)
        tensors[f"language_model.model.layers.{i}.self_attn.q_proj.weight"] = torch.full((4, 4), float(i))
        tensors[f"language_model.model.layers.{i}.input_layernorm.weight"] = torch.zeros(4)
    tensors["language_model.model.layers.3.extra"] = torch.zeros(1)  # past the depth: of multi-token prediction
    save_file(tensors, tmp_path / "model.safetensors")
    shapes = [{"self_attn.q_proj.weight": (4, 4), "input_layernorm.weight": (4,)}] * 3
    found = shards.read_shards(tmp_path)
    prefix = shards.find_layers(found, shapes)
    assert prefix == "language_model.model.layers"
    (tmp_path / "out").mkdir()
    shards.write_pruned(found, tmp_path / "out", prefix, (0, 2))
    written = load_file(tmp_path / "out" / "model.safetensors")
    assert len(written) == 6 + 4 and written[f"{prefix}.1.self_attn.q_proj.weight"].eq(2).all()


# ------------------------------------------------------------------------------------------------ recipes, command


def test_recipes() -> None:
    plan = PruningPlan("Qwen/some-vlm", 8, (0, 3, 4))
    assert kept_runs(plan) == [(1, 3), (5, 8)]
    recipe = mergekit_yaml(plan, "Qwen/some-vlm")
    assert recipe.count('- model: "Qwen/some-vlm"') == 4 and "merge_method: passthrough" in recipe
    assert "layer_range: [1, 3]" in recipe and "layer_range: [5, 8]" in recipe


def test_the_python_snippet_runs(tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(python_snippet(PruningPlan("tiny", 16, (3, 9), "math\naware")))
    names = runpy.run_path(str(tmp_path / "snippet.py"))
    assert len(names["model"].get_decoder().layers) == 14


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run the export command in this process: (exit code, stdout, stderr)."""

    def command(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["strata", "export", *args])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        done = capsys.readouterr()
        return int(stopped.value.code or 0), done.out, done.err

    return command


@pytest.fixture
def plan_file(tmp_path: Path) -> str:
    (tmp_path / "plan.json").write_text(json.dumps({"model_id": "tiny", "n_layers": 16, "dropped": [5]}))
    return str(tmp_path / "plan.json")


def test_the_command(tmp_path: Path, run: Callable[..., tuple[int, str, str]], plan_file: str) -> None:
    plan = ["--plan", plan_file]
    code, stdout, _ = run(*plan, "--out", str(tmp_path / "pruned"), "--json")
    document = json.loads(stdout)
    assert code == 0 and document["max_difference"] == 0.0 and document["plan"]["dropped"] == [5]
    code, stdout, _ = run(*plan, "--out", str(tmp_path / "copied"), "--no-verify")
    assert code == 0 and "15 of 16 decoder layers" in stdout and "not compared" in stdout
    code, stdout, stderr = run(*plan, "--out", str(tmp_path / "pruned"))
    assert code == 2 and stdout == "" and len(stderr.strip().splitlines()) == 1 and "not empty" in stderr
    for args in ([], [*plan, "--criterion", "deepest", "--budget", "2"], ["--criterion", "deepest"]):
        code, _, stderr = run(*args, "--out", str(tmp_path / "other"))
        assert code == 2 and len(stderr.strip().splitlines()) == 1
    for args, message in ((plan, "--out"), ([*plan, "--format", "mergkit"], "did you mean 'mergekit'")):
        code, _, stderr = run(*args)
        assert code == 2 and len(stderr.strip().splitlines()) == 1 and message in stderr


def test_text_formats_go_to_stdout_or_a_file(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]], plan_file: str
) -> None:
    plan = PruningPlan.load(Path(plan_file))
    expected = {
        "mergekit": mergekit_yaml(plan, str(settings.TINY_DIR)),
        "snippet": python_snippet(plan),
        "plan": json.dumps(plan.to_dict(), indent=2) + "\n",
    }
    for form, text in expected.items():
        assert run("--plan", plan_file, "--format", form) == (0, text, "")
        code, stdout, _ = run("--plan", plan_file, "--format", form, "--out", str(tmp_path / "to" / form))
        assert (code, stdout) == (0, "") and (tmp_path / "to" / form).read_text() == text
        code, stdout, _ = run("--plan", plan_file, "--format", form, "--json")
        assert code == 0 and json.loads(stdout)["text"] == text
    assert PruningPlan.load(tmp_path / "to" / "plan") == plan
    code, _, stderr = run("--plan", plan_file, "--format", "plan", "--out", str(tmp_path))
    assert code == 2 and len(stderr.strip().splitlines()) == 1 and "give another file" in stderr


def test_the_card_holds_the_scores_measured_of_this_very_plan(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]], plan_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of these layers and these weights: not of another plan or an older revision; the fuller item set counts."""
    monkeypatch.setattr(settings, "RECORDED_DIR", tmp_path / "nothing")
    plan, revision = PruningPlan.load(Path(plan_file)), read_spec("tiny").revision
    other = replace(plan, dropped=(6,))

    def record(plan: PruningPlan, revision: str, benchmark: str, correct: str, data: str = "d") -> RunRecord:
        spec = ModelSpec("tiny", revision, "llava", 16, (), 100, (1,) * 16, "float32", "cpu")
        right = tuple({"1": True, "0": False}.get(c) for c in correct)
        ids = tuple(f"i{i}" for i in range(len(right)))
        return RunRecord(
            spec, plan, benchmark, "math", data, "exact_match", ids, right, (0.1,) * len(right), device="t"
        )

    with RunStore(finding.user_runs_path()) as runs:
        runs.put_many(
            [
                record(plan, revision, "mine", "1101"),
                record(plan, revision, "mine", "0000000?", data="e"),
                record(plan, "older", "mine", "0" * 9),
                record(other, revision, "mine", "0" * 8, data="e"),
                record(replace(plan, dropped=()), revision, "mine", "1111"),
                record(replace(plan, dropped=()), revision, "mine", "11110000", data="e"),
                record(plan, revision, "fuller", "10"),
                record(replace(plan, dropped=()), revision, "fuller", "11"),
                record(plan, "older", "theirs", "1"),
            ]
        )
    assert run("--plan", plan_file, "--out", str(tmp_path / "pruned"), "--no-verify")[0] == 0
    scores = json.loads((tmp_path / "pruned" / "strata_plan.json").read_text())["scores"]
    found = {name: (row["score"], row.get("full_model"), row["n"], row.get("data")) for name, row in scores.items()}
    assert found == {
        "math": (0.25, None, 9, None),  # the mean of the two
        "mine": (0.0, None, 7, "e"),  # the full model was scored on another part of those items
        "fuller": (0.5, 1.0, 2, "d"),
    }
    card = (tmp_path / "pruned" / "README.md").read_text()
    assert "| measured on | score | n | low | high | benchmarks | regime | full_model |" in card
    assert "| fuller | 0.5 | 2 |" in card and "| exact_match | d | t | measured |" in card


STOPPED = """
import sys, time
from core.cli import main as cli
from core.vlm import shards
def copy(*_):
    print("copying", flush=True)
    time.sleep(120)
shards._copy = copy
sys.argv = ["strata", "export", "--plan", sys.argv[1], "--out", sys.argv[2], "--no-verify"]
cli.main()
"""


@pytest.mark.slow
def test_a_stopped_command_leaves_nothing(tmp_path: Path, plan_file: str) -> None:
    """Ctrl-C, and SIGTERM, at which Python would end without cleaning up: exit code 2, one line, no half folder."""
    started = []
    for stop in (signal.SIGINT, signal.SIGTERM):
        out = tmp_path / stop.name
        command = [sys.executable, "-c", STOPPED, plan_file, str(out / "pruned")]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append((stop, out, subprocess.Popen(command, text=True, **pipes)))
    for stop, out, process in started:
        with process:
            assert process.stdout.readline() == "copying\n"
            assert len(left(out)) == 1  # the hidden folder is there
            process.send_signal(stop)
            _, stderr = process.communicate(timeout=240)
        assert process.returncode == 2 and len(stderr.strip().splitlines()) == 1 and "stopped" in stderr
        assert not out.exists()
