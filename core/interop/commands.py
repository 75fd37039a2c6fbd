"""The commands that evaluate an exported checkpoint with lmms-eval or VLMEvalKit, without the traps of its path.

Only architectures whose way is known are given; nothing here runs a command.
"""

import json
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from core.errors import StoreError, suggest
from core.interop.names import VLMEVALKIT, judged_elsewhere

# transformers' model_type -> lmms-eval's adapter; "huggingface" takes whatever transformers knows
ADAPTERS = {
    "qwen2_vl": "qwen2_vl",
    "qwen2_5_vl": "qwen2_5_vl",
    "qwen3_vl": "qwen3_vl",
    "qwen3_vl_moe": "qwen3_vl",
    "qwen3_5": "qwen3_vl",
    "llava": "llava_hf",
    "llava_next": "llava_hf",
    "llava_onevision": "llava_hf",
    "internvl": "internvl_hf",
}
# adapters that refuse an argument they do not know, and know this one
ATTENTION = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llava_hf")
QWEN_PIXELS = {"min_pixels": 1003520, "max_pixels": 12845056}  # 1280 and 16384 patches of 28 x 28
CLASSES: dict[str, tuple[str, dict[str, object]]] = {
    "qwen2_vl": ("Qwen2VLChat", {**QWEN_PIXELS, "use_custom_prompt": False}),
    "qwen2_5_vl": ("Qwen2VLChat", {**QWEN_PIXELS, "use_custom_prompt": False}),
    "qwen3_vl": ("Qwen3VLChat", {"use_custom_prompt": False}),
    "qwen3_vl_moe": ("Qwen3VLChat", {"use_custom_prompt": False}),
    "llava_onevision": ("LLaVA_OneVision_HF", {}),
}
JUDGED = ("mathvista", "mathverse")  # a language model judges the answers, in both harnesses
MOE = re.compile(r"A\d+B")


def evaluation_commands(export_dir: Path, model_family: str, benchmarks: Iterable[str]) -> dict[str, str]:
    """How to evaluate a checkpoint with each harness.

    Args:
        model_family: transformers' `model_type` of the checkpoint.
        benchmarks: our names.
    Returns:
        "lmms-eval": a shell command. "vlmevalkit-config": JSON to be kept as strata.json; "vlmevalkit": the command
        that takes it. "note": what to heed, one sentence a line. Keys that would be empty are missing.
    Raises:
        StoreError: a path that the harnesses' argument strings cannot hold, or an unknown benchmark.
    """
    folder = Path(export_dir).expanduser().resolve()  # absolute, and without a slash at its end
    wrong = [c for c in str(folder) if c in ",=" or not c.isprintable()]
    if wrong:
        raise StoreError(f"{folder} holds '{wrong[0]}', which ends an argument of lmms-eval: rename or move the folder")
    wanted = list(dict.fromkeys(benchmarks))
    known = judged_elsewhere()
    if unknown := [b for b in wanted if b not in known]:
        raise StoreError(f"no harness is known to have '{unknown[0]}': {suggest(unknown[0], known)}")
    notes = [
        "lmms-eval names the results after the folder's last two parts, "
        f"{'__'.join(folder.parts[-2:])}: keep them different between exports"
    ]
    moe = bool(MOE.search(str(folder)))
    if model_family.startswith("qwen3") and moe != model_family.endswith("_moe"):
        notes.append(
            "both harnesses load a Qwen3 model as one with experts if its path holds a token like -A3B, and else as a "
            f"dense one: {'take the token out of' if moe else 'put one into'} the folder's path"
        )
    found = {**_lmms_eval(folder, model_family, wanted, notes), **_vlmevalkit(folder, model_family, wanted, notes)}
    if judged := [b for b in wanted if b in JUDGED]:
        notes.append(f"{', '.join(judged)}: a language model judges the answers, which needs a key for it")
    if "mathvision" in wanted and "vlmevalkit" in found:
        notes.append("mathvision: VLMEvalKit does not score it without a judge, lmms-eval does")
    return {**found, "note": "\n".join(notes)}


def _lmms_eval(folder: Path, family: str, wanted: list[str], notes: list[str]) -> dict[str, str]:
    tasks = [judged_elsewhere()[b].harness.task for b in wanted]
    if not tasks:
        return {}
    adapter = ADAPTERS.get(family, "huggingface")
    settings = [f"pretrained={folder}", "device_map=auto"]
    settings += ["attn_implementation=sdpa"] if adapter in ATTENTION else []
    settings += ["max_pixels=1605632"] if adapter == "qwen2_5_vl" else []
    if adapter == "huggingface":
        notes.append(f"lmms-eval has no adapter of its own for {family}: the general one is used")
    return {
        "lmms-eval": shlex.join(
            [
                *("python", "-m", "lmms_eval", "--model", adapter, "--model_args", ",".join(settings)),
                *("--tasks", ",".join(tasks), "--batch_size", "1", "--log_samples", "--output_path", "./logs"),
                *("--seed", "0", "--timezone", "UTC"),
            ]
        )
    }


def _vlmevalkit(folder: Path, family: str, wanted: list[str], notes: list[str]) -> dict[str, str]:
    names = [judged_elsewhere()[b].harness.vlmevalkit for b in wanted]
    data = {name: {"class": VLMEVALKIT[name][1], "dataset": name} for name in names if name in VLMEVALKIT}
    if not data:
        return {}
    if family not in CLASSES:
        notes.append(f"VLMEvalKit: no class of it is known to load {family} from the files of transformers")
        return {}
    kind, settings = CLASSES[family]
    config = {"model": {folder.name: {"class": kind, "model_path": str(folder), **settings}}, "data": data}
    return {
        "vlmevalkit-config": json.dumps(config, indent=2, ensure_ascii=False),
        "vlmevalkit": "python run.py --config strata.json --judge exact_matching",
    }
