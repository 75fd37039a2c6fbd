"""Training of the embedded VLM from scratch, on CPU or CUDA: resumable, logged, and bounded by time.

What makes it feasible on two cores: several questions about one image are packed into one sequence, in which each
question attends to the image and to itself only (positions restart after the image), so that one pass over 25 image
tokens supervises about ten answers. The loss is taken on answer tokens only. Weights are drawn to tasks that the last
validation found hard. Matrices are trained by Muon, everything else by AdamW. The vision tower is warmed up first
on naming the content of each patch (core/vlm/tiny/vision.py), and keeps that as a small second loss.

The learning rate is a function of the share of the time budget that is spent, so an interrupted run that resumes, on
a slower machine too, still ends with its full decay.
"""

import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from core.scenes.questions import TASKS, Question, domain_tasks
from core.scenes.samples import DOMAINS, draw_samples, random_split_scene
from core.scenes.scenes import SCENE_KINDS, draw
from core.vlm.placement import parse_device
from core.vlm.tiny.model import (
    ASSISTANT,
    END,
    N_IMAGE_TOKENS,
    USER,
    build_model,
    build_processor,
    build_tokenizer,
)
from core.vlm.tiny.vision import build_head, label_tensor, patch_loss, patch_recall

IGNORED = -100  # label of a token without loss


@dataclass(frozen=True)
class TrainConfig:
    minutes: float = 100.0  # the whole budget, over all resumed sessions
    vision_minutes: float = 6.0  # of these, for the warm-up of the vision tower
    vision_batch_size: int = 96
    vision_lr_scale: float = 0.3  # of the vision tower in joint training: Muon's steps do not shrink with the gradient
    patch_weight: float = 0.2  # of the patch loss in joint training
    batch_size: int = 48  # images a step
    text_length: int = 144  # text tokens a sequence, several questions packed
    muon_lr: float = 0.02
    adam_lr: float = 3e-3
    decay_from: float = 0.6  # share of the budget after which the learning rate falls to 0
    warmup_steps: int = 60
    eval_minutes: float = 4.0
    eval_samples: int = 680
    seed: int = 0
    n_layers: int = 16


# ------------------------------------------------------------------------------------------------ packed batches


class Packer:
    """Turns drawn scenes into packed sequences. Questions recur, so their token ids are remembered."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, text_length: int):
        self.tokenizer, self.text_length = tokenizer, text_length
        self.user, self.assistant, self.end = tokenizer.convert_tokens_to_ids([USER, ASSISTANT, END])
        self.known: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        if text not in self.known:
            if len(self.known) > 100_000:
                self.known.clear()
            self.known[text] = self.tokenizer.encode(text, add_special_tokens=False)
        return self.known[text]

    def pack(self, questions: list[Question]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Token ids, labels, positions and segment numbers, each (text_length,); segment 0 is padding."""
        tokens = np.zeros(self.text_length, np.int64)
        labels = np.full(self.text_length, IGNORED, np.int64)
        positions = np.zeros(self.text_length, np.int64)
        segments = np.zeros(self.text_length, np.int64)
        start = 0
        for number, q in enumerate(questions, 1):
            prompt = [self.user, *self.ids(q.text), self.assistant]
            answer = [*self.ids(q.answer), self.end]
            end = start + len(prompt) + len(answer)
            if end > self.text_length:
                break
            tokens[start:end] = prompt + answer
            # the label of a token is the next token: the last prompt token predicts the first answer token
            labels[start + len(prompt) - 1 : end - 1] = answer
            positions[start:end] = N_IMAGE_TOKENS + np.arange(end - start)
            segments[start:end] = number
            start = end
        return tokens, labels, positions, segments


class PackedScenes(IterableDataset):  # type: ignore[type-arg]
    """Endless training batches; batch i depends on (seed, i) and on the current task weights only."""

    def __init__(self, packer: Packer, config: TrainConfig, start: int, weights: Tensor):
        self.packer, self.config, self.start, self.weights = packer, config, start, weights

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        step = self.start
        while True:
            rng = random.Random(f"train/{self.config.seed}/{step}")
            yield self.batch(rng)
            step += 1

    def batch(self, rng: random.Random) -> tuple[Tensor, ...]:
        names = list(TASKS)
        weight = dict(zip(names, self.weights.tolist(), strict=True))
        by_scene = {k: [n for n in names if TASKS[n].scene == k] for k in SCENE_KINDS}
        scene_weights = [sum(weight[n] for n in by_scene[k]) for k in SCENE_KINDS]
        rows = []
        for _ in range(self.config.batch_size):
            kind = rng.choices(list(SCENE_KINDS), scene_weights)[0]
            scene = random_split_scene(kind, "train", rng)
            questions: dict[str, Question] = {}
            tasks = [*by_scene[kind], "arithmetic"]
            for name in rng.choices(tasks, [weight[n] for n in tasks], k=16):
                q = TASKS[name].question(scene, rng)
                if q is not None:
                    questions.setdefault(q.text, q)
            rows.append(
                (np.asarray(draw(scene)), label_tensor(scene).numpy(), *self.packer.pack(list(questions.values())))
            )
        return _stack(rows)


class LabelledScenes(IterableDataset):  # type: ignore[type-arg]
    """Endless batches of images and patch labels for the vision warm-up."""

    def __init__(self, config: TrainConfig):
        self.config = config

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        rng = random.Random(f"vision/{self.config.seed}")
        kinds = ("layout", "crowd", "bars", "lines", "lines", "clock")
        while True:
            scenes = [random_split_scene(rng.choice(kinds), "train", rng) for _ in range(self.config.vision_batch_size)]
            yield _stack([(np.asarray(draw(s)), label_tensor(s).numpy()) for s in scenes])


def _stack(rows: Sequence[tuple[np.ndarray, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))


# ------------------------------------------------------------------------------------------------ forward


def image_features(model: LlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
    """(B, 25, D) projected image tokens of (B, 80, 80, 3) uint8 images."""
    x = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0
    features = model.model.multi_modal_projector(model.model.vision_tower(x).last_hidden_state[:, 1:])
    return torch.as_tensor(features)


def hidden_states(
    model: LlavaForConditionalGeneration, image: Tensor, tokens: Tensor, positions: Tensor, segments: Tensor
) -> Tensor:
    """Final hidden states of packed sequences.

    Args:
        image: (B, 25, D) projected image tokens.
        tokens, positions, segments: (B, L) of the text behind the image.
    Returns:
        (B, L, D) at the text positions.
    """
    inner = model.model
    text = inner.language_model.embed_tokens(tokens).to(image.dtype)
    embeds = torch.cat([image, text], 1)
    n = image.shape[1]
    batch, total = embeds.shape[:2]
    where = torch.arange(n, device=tokens.device).expand(batch, n)
    position_ids = torch.cat([where, positions], 1)
    segment = torch.cat([torch.zeros_like(where), segments], 1)
    is_image = torch.arange(total, device=tokens.device) < n
    causal = torch.ones(total, total, dtype=torch.bool, device=tokens.device).tril()
    mask = causal & (is_image[None, None, :] | (segment[:, :, None] == segment[:, None, :]))
    # additive, as eager attention wants it: compiled, that is twice as fast on CPU as SDPA's bf16 backward
    additive = torch.zeros_like(mask, dtype=embeds.dtype).masked_fill(~mask, -1e9)
    out = inner.language_model(
        inputs_embeds=embeds, position_ids=position_ids, attention_mask=additive[:, None], use_cache=False
    )
    return out.last_hidden_state[:, n:]


def answer_loss(model: LlavaForConditionalGeneration, hidden: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over answer tokens; the head is applied at those positions only."""
    chosen = labels != IGNORED
    return F.cross_entropy(model.lm_head(hidden[chosen]).float(), labels[chosen])


@torch.no_grad()
def exact_match_by_task(
    model: LlavaForConditionalGeneration, packer: Packer, split: str, seed: int, n: int, device: torch.device
) -> dict[str, float]:
    """Share of answers whose every token is the argmax under teacher forcing, by task: greedy exact match."""
    hits: dict[str, list[bool]] = {}
    samples = draw_samples(split, seed, n)
    for start in range(0, n, 170):
        chunk = samples[start : start + 170]
        columns = zip(*(packer.pack([Question(s.task, s.question, s.answer)]) for s in chunk), strict=True)
        tokens, labels, positions, segments = (torch.from_numpy(np.stack(c)).to(device) for c in columns)
        length = int((segments > 0).sum(1).max())
        tokens, labels, positions, segments = (t[:, :length] for t in (tokens, labels, positions, segments))
        pixels = torch.from_numpy(np.stack([np.asarray(s.image) for s in chunk])).to(device)
        logits = model.lm_head(hidden_states(model, image_features(model, pixels), tokens, positions, segments))
        right = ((logits.argmax(-1) == labels) | (labels == IGNORED)).all(1)
        for s, ok in zip(chunk, right.tolist(), strict=True):
            hits.setdefault(s.task, []).append(ok)
    return {task: sum(h) / len(h) for task, h in hits.items()}


# ------------------------------------------------------------------------------------------------ the run


def task_weights(scores: dict[str, float]) -> Tensor:
    """Sampling weights: a floor for every task, more for those with errors; exercises follow the lines' hardest."""
    error = {name: 1.0 - scores.get(name, 0.5) for name in TASKS}
    error["read_expression"] = max(error["expression_1"], error["expression_2"])
    error["spell"] = 0.5 * error["read_word"]
    error["clock_hand"] = error["clock"]
    error["arithmetic"] = 0.3
    return torch.tensor([0.15 + min(error[name], 0.6) for name in TASKS])


def _optimizers(
    modules: list[nn.Module], config: TrainConfig, vision_scale: float = 1.0
) -> list[torch.optim.Optimizer]:
    """Muon for matrices, AdamW for everything else; the vision tower's learning rates times `vision_scale`."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for module in modules:
        for name, p in module.named_parameters():
            matrix = p.ndim == 2 and "embed" not in name and "lm_head" not in name and not isinstance(module, nn.Linear)
            groups.setdefault((matrix, "vision" in name), []).append(p)

    def options(matrix: bool, lr: float) -> list[dict[str, object]]:
        return [
            {"params": params, "base_lr": lr * (vision_scale if vision else 1.0)}
            for (is_matrix, vision), params in groups.items()
            if is_matrix == matrix
        ]

    return [
        torch.optim.Muon(options(True, config.muon_lr), lr=config.muon_lr, weight_decay=0.02, momentum=0.95),
        torch.optim.AdamW(options(False, config.adam_lr), lr=config.adam_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _step(optimizers: list[torch.optim.Optimizer], loss: Tensor, modules: list[nn.Module], scale: float) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise FloatingPointError(f"the loss is {value}: resume from the last checkpoint with a lower learning rate")
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for m in modules for p in m.parameters()], 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * scale
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return value


def warm_up_vision(
    model: LlavaForConditionalGeneration,
    head: nn.Linear,
    config: TrainConfig,
    device: torch.device,
    log: Callable[[str], None] = lambda line: None,
) -> float:
    """Train vision tower, projector and patch head on patch labels; returns the seconds spent."""
    modules: list[nn.Module] = [model.model.vision_tower, model.model.multi_modal_projector, head]
    optimizers = _optimizers(modules, config)
    loader = iter(DataLoader(LabelledScenes(config), batch_size=None, num_workers=1))
    began, step = time.perf_counter(), 0
    budget = 60 * config.vision_minutes
    while (elapsed := time.perf_counter() - began) < budget:
        pixels, targets = (t.to(device) for t in next(loader))
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = head(image_features(model, pixels))
        scale = min(1.0, (step + 1) / config.warmup_steps) * min(1.0, 2 * (1.02 - elapsed / budget))
        loss = _step(optimizers, patch_loss(logits, targets), modules, scale)
        step += 1
        if step % 100 == 0:
            recall = patch_recall(logits, targets)
            log(f"vision step {step} · {elapsed / 60:.1f} min · loss {loss:.3f} · patch recall {recall:.3f}")
    return time.perf_counter() - began


def learning_rate_scale(step: int, progress: float, config: TrainConfig) -> float:
    warm = min(1.0, (step + 1) / config.warmup_steps)
    return warm * min(1.0, max(0.01, (1.0 - progress) / (1.0 - config.decay_from)))


def save_checkpoint(
    folder: Path,
    model: LlavaForConditionalGeneration,
    head: nn.Linear,
    optimizers: list[torch.optim.Optimizer],
    state: dict[str, object],
) -> None:
    """Weights, optimizer state and counters as safetensors and JSON; the JSON is written last and makes it valid."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model/{k}": v for k, v in model.state_dict().items() if k != "lm_head.weight"}
    tensors |= {f"head/{k}": v for k, v in head.state_dict().items()}
    for i, optimizer in enumerate(optimizers):
        for j, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{i}/{j}/{k}": torch.as_tensor(v) for k, v in slots.items()}
    tmp = folder / "state.safetensors.tmp"
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, tmp)
    tmp.rename(folder / "state.safetensors")
    tmp = folder / "state.json.tmp"
    tmp.write_text(json.dumps(state, indent=1))
    tmp.rename(folder / "state.json")


def load_checkpoint(
    folder: Path, model: LlavaForConditionalGeneration, head: nn.Linear, optimizers: list[torch.optim.Optimizer]
) -> dict[str, object]:
    tensors = load_file(folder / "state.safetensors")
    model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model/")}, strict=False)
    head.load_state_dict({k[5:]: v for k, v in tensors.items() if k.startswith("head/")})
    for i, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(f"optimizer/{i}/"):
                _, _, j, slot = key.split("/")
                state.setdefault(int(j), {})[slot] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return dict(json.loads((folder / "state.json").read_text()))


def export_model(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, out: Path, curve: list[dict[str, object]]
) -> None:
    """The folder that ships: bf16 safetensors, processor, tokenizer, chat template and the training curve."""
    out.mkdir(parents=True, exist_ok=True)
    half = LlavaForConditionalGeneration(model.config).to(torch.bfloat16)
    half.load_state_dict(model.state_dict())
    half.generation_config = model.generation_config
    half.save_pretrained(out)
    build_processor(tokenizer).save_pretrained(out)
    (out / "training_log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in curve))


def train(
    config: TrainConfig,
    out: Path,
    checkpoint: Path,
    device: str = "auto",
    compiled: bool = True,
    log: Callable[[str], None] = lambda line: None,
) -> None:
    """Train until the time budget is spent; resume where `checkpoint` left off; write the best model to `out`.

    Args:
        log: receives progress lines, and one JSON line per validation (also kept as training_log.jsonl in `out`).
    """
    where = parse_device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    tokenizer = build_tokenizer()
    packer = Packer(tokenizer, config.text_length)
    model = build_model(tokenizer, config.n_layers, config.seed).to(where)
    model.set_attn_implementation("eager")
    head = build_head(model.config.text_config.hidden_size).to(where)
    modules: list[nn.Module] = [model, head]
    optimizers = _optimizers(modules, config, config.vision_lr_scale)
    step, elapsed, best = 0, 0.0, -1.0
    curve: list[dict[str, object]] = []
    weights = task_weights({}).share_memory_()
    if (checkpoint / "state.json").exists():
        state: dict[str, Any] = load_checkpoint(checkpoint, model, head, optimizers)
        step, elapsed, best, curve = state["step"], state["elapsed_s"], state["best"], state["log"]
        if curve:
            weights.copy_(task_weights(state["log"][-1]["tasks"]))
        log(f"resumed at step {step}, {elapsed / 60:.1f} of {config.minutes} minutes spent")
    else:
        elapsed = warm_up_vision(model, head, config, where, log)
        save_checkpoint(checkpoint, model, head, optimizers, _counters(config, 0, elapsed, best, curve))

    def forward(pixels: Tensor, tokens: Tensor, positions: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
        image = image_features(model, pixels)
        return hidden_states(model, image, tokens, positions, segments), head(image)

    run = torch.compile(forward, dynamic=False) if compiled else forward
    loader = iter(DataLoader(PackedScenes(packer, config, step, weights), batch_size=None, num_workers=1))
    last_eval, losses, answers, session = elapsed, [], 0, elapsed
    model.train()
    while elapsed < 60 * config.minutes:
        began = time.perf_counter()
        pixels, targets, tokens, labels, positions, segments = (t.to(where) for t in next(loader))
        with torch.autocast(where.type, dtype=torch.bfloat16):
            hidden, logits = run(pixels, tokens, positions, segments)
            loss = answer_loss(model, hidden, labels)
        total = loss + config.patch_weight * patch_loss(logits, targets)
        _step(optimizers, total, modules, learning_rate_scale(step, elapsed / (60 * config.minutes), config))
        losses.append(loss.item())
        answers += int(segments.amax(1).sum())
        step += 1
        elapsed += time.perf_counter() - began
        if step % 20 == 0:
            log(
                f"step {step} · {elapsed / 60:.1f} min · loss {np.mean(losses[-20:]):.3f} · "
                f"patch recall {patch_recall(logits, targets):.3f} · {answers / (elapsed - session):.0f} answers/s"
            )
        if elapsed - last_eval > 60 * config.eval_minutes or elapsed >= 60 * config.minutes:
            model.eval()
            tasks = exact_match_by_task(model, packer, "validation", config.seed, config.eval_samples, where)
            model.train()
            domains = {d: float(np.mean([tasks[t] for t in domain_tasks(d)])) for d in DOMAINS}
            row: dict[str, object] = {"step": step, "minutes": elapsed / 60, "loss": float(np.mean(losses))}
            row |= {"domains": domains, "tasks": tasks}
            curve.append(row)
            log(json.dumps(row))
            weights.copy_(task_weights(tasks))
            score = min(domains.values())
            if score >= best:
                best = score
                export_model(model, tokenizer, out, curve)
            save_checkpoint(checkpoint, model, head, optimizers, _counters(config, step, elapsed, best, curve))
            last_eval, losses = elapsed, []


def _counters(
    config: TrainConfig, step: int, elapsed: float, best: float, curve: list[dict[str, object]]
) -> dict[str, object]:
    return {"step": step, "elapsed_s": elapsed, "best": best, "config": asdict(config), "log": curve}
