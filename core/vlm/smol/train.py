"""Training of the eyes of `smol`: tower, connector and adapters; the pretrained decoder's weights stay as they are.

First the eyes are aligned with the decoder's words, without the decoder (core/vlm/smol/align.py). Then packed questions
about drawn pictures, the loss on answers only, and now and then a text without a picture on which the decoder has to
go on saying what it said before (KL). No picture is drawn twice, so the running accuracy by task, which also decides
what is practised, is one on new pictures. Resumable, logged and bounded by time; the learning rate is a function of the
share of the time budget that is spent.
"""

import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from core import settings
from core.scenes.questions import domain_tasks
from core.scenes.samples import DOMAINS, draw_question
from core.vlm.smol.align import align
from core.vlm.smol.checkpoints import COUNTERS, export_eyes, load_checkpoint, save_checkpoint
from core.vlm.smol.eyes import CONFIG, load_eyes
from core.vlm.smol.fetch import pretrained
from core.vlm.smol.language import TRAIN_TOPICS, Text, prompts, write_answers
from core.vlm.smol.learner import Learner
from core.vlm.smol.model import load_tower
from core.vlm.smol.packing import Packer, Row
from core.vlm.smol.practice import UNKNOWN, practice_weights
from core.vlm.smol.words import WordTargets

Log = Callable[[str], None]
RECENT = 30  # steps whose mean loss is logged


@dataclass(frozen=True)
class TrainConfig:
    minutes: float = 120.0  # the whole budget, over all resumed sessions
    align_steps: int = 1500  # 7 minutes of the budget
    rows: int = 2  # a step
    length: int = 224  # tokens a row
    rank: int = 8
    alpha: float = 16.0
    adapter_lr: float = 1.2e-3
    connector_lr: float = 5e-4
    tower_lr: float = 1e-4
    decay_from: float = 0.5  # share of the budget after which the learning rate falls to 0
    warmup_steps: int = 30
    captions: tuple[float, float] = (0.4, 0.05)  # share of pictures that are described, at first and after a third
    text_every: int = 6  # steps between texts without a picture
    text_weight: float = 0.3
    texts: int = 200
    text_length: int = 40
    memory: float = 0.96  # of the running accuracy by task
    log_steps: int = 10
    checkpoint_minutes: float = 4.0
    check_minutes: float = 25.0  # between validations
    check_samples: int = 192
    seed: int = 0


@dataclass
class Counters:
    """How far training is, and what it found: `scores` are running accuracies by task, and the KL of texts."""

    step: int = 0
    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    answers: int = 0


def train_eyes(
    config: TrainConfig,
    out: Path,
    checkpoint: Path,
    threads: int = 1,
    scratch: bool = False,
    log: Log = lambda line: None,
) -> None:
    """Train until the time budget is spent, and write what ships to `out`.

    Goes on from `checkpoint`; where there is none, from the eyes that ship, without the optimizer's moments.

    Args:
        scratch: begin with the alignment, whatever ships.
        log: receives progress lines, and one JSON line per checkpoint (also kept as training_log.jsonl in `out`).
    """
    torch.set_num_threads(threads)
    decoder, tokenizer = pretrained(say=log)
    targets = WordTargets(decoder.model.embed_tokens.weight, tokenizer)
    learner = Learner(load_tower(settings.TINY_DIR), decoder, config.rank, config.alpha, config.seed)
    optimizer = build_optimizer(learner, config)
    counters, scores, curve = Counters(), dict[str, float](), list[dict[str, Any]]()
    if (checkpoint / COUNTERS).exists():
        saved = load_checkpoint(checkpoint, learner, optimizer)
        counters, scores, curve = _counters(saved), saved["scores"], saved["log"]
        log(f"resumed at step {counters.step}, {counters.elapsed_s / 60:.1f} of {config.minutes} minutes spent")
    elif not scratch and (settings.SMOL_EYES / CONFIG).exists():
        eyes = load_eyes(settings.SMOL_EYES)
        learner.load(eyes.state)
        counters, scores = _counters(eyes.config["training"]), eyes.config["training"]["scores"]
        log(f"going on from the eyes that ship, step {counters.step}, without the optimizer's moments")
    else:
        began = time.perf_counter()
        align(learner.tower, learner.connector, targets, config.align_steps, config.seed, log=log)
        counters.elapsed_s = time.perf_counter() - began
    texts = _texts(learner, tokenizer, config, checkpoint)
    run(learner, optimizer, Packer(tokenizer, config.length), texts, config, counters, scores, curve, checkpoint, log)
    export_eyes(checkpoint, out)


def _counters(saved: dict[str, Any]) -> Counters:
    return Counters(**{name: saved[name] for name in asdict(Counters())})


def run(
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    packer: Packer,
    texts: list[Text],
    config: TrainConfig,
    counters: Counters,
    scores: dict[str, float],
    curve: list[dict[str, Any]],
    checkpoint: Path,
    log: Log = lambda line: None,
) -> None:
    """Steps until the time budget is spent; `counters`, `scores` and `curve` are brought along, and kept on disk."""
    budget = 60 * config.minutes
    last_save = last_check = counters.elapsed_s
    losses: list[float] = []
    while True:
        done = counters.elapsed_s >= budget
        checked = done or counters.elapsed_s - last_check > 60 * config.check_minutes
        if checked or counters.elapsed_s - last_save > 60 * config.checkpoint_minutes:
            recent = losses[-RECENT:]
            row = {**asdict(counters), "loss": round(sum(recent) / max(len(recent), 1), 4), "scores": dict(scores)}
            if checked:
                row |= _validation(learner, packer, config)
                last_check = counters.elapsed_s
            curve.append(row)
            log(json.dumps(row))
            state = {**asdict(counters), "scores": scores, "config": asdict(config), "log": curve}
            save_checkpoint(checkpoint, learner, optimizer, state)
            last_save = counters.elapsed_s
        if done:
            return
        losses.append(_step(learner, optimizer, packer, texts, config, counters, scores))
        if counters.step % config.log_steps == 0:
            log(_line(counters, losses, scores))


def _step(
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    packer: Packer,
    texts: list[Text],
    config: TrainConfig,
    counters: Counters,
    scores: dict[str, float],
) -> float:
    """One update; the loss on answers."""
    began, began_cpu = time.perf_counter(), time.process_time()
    progress = counters.elapsed_s / (60 * config.minutes)
    rng = random.Random(f"smol/{config.seed}/{counters.step}")
    weights = practice_weights(scores)
    captions = config.captions[0] if progress < 1 / 3 else config.captions[1]
    batch = packer.rows([packer.draw_row(rng, weights, captions) for _ in range(config.rows)])
    loss, right = learner.answers(batch, packer.image)
    if not math.isfinite(loss.item()):
        raise FloatingPointError(f"the loss is {loss.item()}: resume from the checkpoint with lower learning rates")
    loss.backward()
    if texts and counters.step % config.text_every == config.text_every - 1:
        kl = learner.text_kl(*texts[rng.randrange(len(texts))])
        (config.text_weight * kl).backward()
        scores["text_kl"] = 0.9 * scores.get("text_kl", kl.item()) + 0.1 * kl.item()
    nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * learning_rate_scale(counters.step, progress, config)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for task, ok in zip(batch.tasks, right.tolist(), strict=True):
        scores[task] = config.memory * scores.get(task, UNKNOWN) + (1 - config.memory) * ok
    counters.step += 1
    counters.answers += len(batch.tasks)
    counters.elapsed_s += time.perf_counter() - began
    counters.cpu_s += time.process_time() - began_cpu
    return loss.item()


def build_optimizer(learner: Learner, config: TrainConfig) -> torch.optim.Optimizer:
    groups = [
        {"params": [p for m in learner.adapters.values() for p in (m.a, m.b)], "base_lr": config.adapter_lr},
        {"params": list(learner.connector.parameters()), "base_lr": config.connector_lr},
        {"params": list(learner.tower.parameters()), "base_lr": config.tower_lr},
    ]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.0)


def learning_rate_scale(step: int, progress: float, config: TrainConfig) -> float:
    warm = min(1.0, (step + 1) / config.warmup_steps)
    return warm * min(1.0, max(0.01, (1.0 - progress) / (1.0 - config.decay_from)))


@torch.no_grad()
def _validation(learner: Learner, packer: Packer, config: TrainConfig) -> dict[str, Any]:
    """Greedy exact match by task and domain on drawn questions under teacher forcing."""
    names = [t for d in DOMAINS for t in domain_tasks(d)]
    rng = random.Random(f"check/{config.seed}")
    pairs = [draw_question(names[i % len(names)], "validation", rng) for i in range(config.check_samples)]
    several = max(1, packer.length // 60)
    rows: list[Row] = [
        [(scene, [question]) for scene, question in pairs[i : i + several]] for i in range(0, len(pairs), several)
    ]
    hits: dict[str, list[bool]] = {}
    for start in range(0, len(rows), 4):
        batch = packer.rows(rows[start : start + 4])
        for task, ok in zip(batch.tasks, learner.answers(batch, packer.image)[1].tolist(), strict=True):
            hits.setdefault(task, []).append(ok)
    tasks = {task: sum(h) / len(h) for task, h in hits.items()}
    domains = {d: [tasks[t] for t in domain_tasks(d) if t in tasks] for d in DOMAINS}
    return {"tasks": tasks, "domains": {d: sum(v) / len(v) for d, v in domains.items() if v}}


def _texts(learner: Learner, tokenizer: PreTrainedTokenizerBase, config: TrainConfig, checkpoint: Path) -> list[Text]:
    """Texts that the pretrained decoder wrote itself; kept beside the checkpoint."""
    kept = checkpoint / "texts.json"
    if config.texts and not kept.exists():
        questions = random.Random(config.seed).sample(prompts(TRAIN_TOPICS), config.texts)
        with learner.plain():
            found = write_answers(learner.decoder, tokenizer, questions, config.text_length, config.seed)
        checkpoint.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found))
    return [(n, ids) for n, ids in json.loads(kept.read_text())] if config.texts else []


def _line(counters: Counters, losses: list[float], scores: dict[str, float]) -> str:
    shown = " ".join(f"{k}={v:.2f}" for k, v in sorted(scores.items()))
    return (
        f"step {counters.step} · {counters.elapsed_s / 60:.1f} min · cpu {counters.cpu_s / 60:.1f} min · "
        f"answers {counters.answers} · loss {sum(losses[-RECENT:]) / len(losses[-RECENT:]):.3f} · {shown}"
    )
