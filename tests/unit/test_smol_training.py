"""Training of the eyes of `smol`, on a small random decoder: words, packing, adapters, losses, and resuming."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from core.errors import ModelError
from core.scenes.questions import TASKS, Question
from core.scenes.samples import random_split_scene
from core.scenes.scenes import Bar, Clock, Scene, Shape, TextLine
from core.vlm.smol.align import align
from core.vlm.smol.checkpoints import export_eyes, load_checkpoint, save_checkpoint
from core.vlm.smol.convert import read_gguf
from core.vlm.smol.eyes import load_eyes
from core.vlm.smol.language import language_drift
from core.vlm.smol.learner import Learner
from core.vlm.smol.lora import Adapted
from core.vlm.smol.packing import IGNORED, Packer, caption
from core.vlm.smol.practice import practice_weights
from core.vlm.smol.train import Counters, TrainConfig, _step, build_optimizer, learning_rate_scale
from core.vlm.smol.words import BLANK, WordTargets, patch_words
from tests.smol_files import MEMBER, small_decoder, small_learner, small_package

CONFIG = TrainConfig(length=260, rank=2, alpha=4.0, text_every=2, warmup_steps=1)
LAYOUT = Scene(
    "layout",
    0,
    (
        Shape("circle", "red", 14, 14, 12, (0, 0)),
        Shape("star", "blue", 66, 40, 8, (1, 2)),
        Shape("cross", "green", 40, 66, 5, (2, 1)),
    ),
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    _, wheel = small_package(tmp_path_factory.mktemp("package"))
    return read_gguf(wheel.parent / Path(MEMBER).name)[1]


# ------------------------------------------------------------------------------------------------ words


def test_words_lie_in_the_patch_of_the_mark_they_belong_to(tokenizer: PreTrainedTokenizerFast) -> None:
    found = patch_words(LAYOUT, tokenizer)
    assert sorted(found) == [0, 14, 22]
    assert found[0] == [(" red", 1), (" circle", 1), (" top", 0.5), (" left", 0.5), (" largest", 0.5)]
    assert (" smallest", 0.5) in found[22]
    bars = Scene("bars", 0, (Bar("red", 9, 8, 14), Bar("blue", 1, 40, 14)))
    assert patch_words(bars, tokenizer) == {0: [(" red", 1), ("9", 1)], 22: [(" blue", 1), ("1", 1)]}
    clock = Scene("clock", 0, (Clock(3, 0, "red", 40, 40, 32),))
    assert patch_words(clock, tokenizer)[13] == [(" three", 1), (" hour", 0.5)]
    line = Scene("lines", 0, (TextLine("red", "word", "blue", 0, 8, 16), TextLine("7+5", "expr1", "red", 0, 40, 16)))
    found = patch_words(line, tokenizer)
    assert found[0] == [("red", 1), (" blue", 0.5)], "one token of the vocabulary, where it starts"
    assert [found[i][0][0] for i in (10, 11, 12)] == ["7", " +", "5"]


def test_targets_stand_out_from_the_common_part_as_far_as_a_word_does(tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(0)
    embeddings = torch.randn(len(tokenizer), 16) + 5
    targets = WordTargets(embeddings, tokenizer)
    wanted, held = targets(Scene("bars", 0, (Bar("red", 9, 8, 14),)))
    assert held.nonzero().flatten().tolist() == [0]
    assert torch.equal(wanted[3], embeddings[tokenizer.encode(BLANK)[0]])
    apart = embeddings[[tokenizer.encode(" red")[0], tokenizer.encode("9")[0]]] - targets.common
    found = wanted[0] - targets.common
    assert torch.allclose(found.norm(), apart.norm(dim=1).mean())
    assert torch.cosine_similarity(found, apart.sum(0), dim=0) > 0.999


def test_captions_go_through_a_picture_in_reading_order() -> None:
    assert caption(LAYOUT) == "red circle top left, blue star right, green cross bottom"
    assert caption(Scene("bars", 0, (Bar("blue", 1, 40, 14), Bar("red", 9, 8, 14)))) == "red 9, blue 1"


def test_alignment_brings_image_tokens_nearer_to_their_words(tokenizer: PreTrainedTokenizerFast) -> None:
    learner = small_learner()
    targets = WordTargets(learner.decoder.model.embed_tokens.weight, tokenizer)
    first = align(learner.tower, learner.connector, targets, steps=1, batch_size=4)
    assert align(learner.tower, learner.connector, targets, steps=12, batch_size=4) > first + 0.1


# ------------------------------------------------------------------------------------------------ adapters


def test_an_adapted_product_has_the_gradients_of_the_plain_formula() -> None:
    torch.manual_seed(0)
    module = Adapted(torch.nn.Linear(6, 5, bias=False), rank=2, alpha=4.0).double()
    torch.nn.init.normal_(module.b)
    x = torch.randn(3, 4, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 4, 5, dtype=torch.float64)

    def gradients(out: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad((out * weight).sum(), (x, module.a, module.b))

    plain = x @ module.linear.weight.t() + 2.0 * (x @ module.a.t()) @ module.b.t()
    assert torch.allclose(module(x), plain)
    for ours, theirs in zip(gradients(module(x)), gradients(plain), strict=True):
        assert torch.allclose(ours, theirs)
    assert module.linear.weight.grad is None


def test_adapters_are_on_every_matrix_and_off_when_plain() -> None:
    learner = small_learner()
    assert len(learner.adapters) == 7 * 3
    tokens = torch.arange(12)[None]
    with torch.no_grad():
        adapted = learner.decoder(tokens).logits
        with learner.plain():
            plain = learner.decoder(tokens).logits
        assert (adapted - plain).abs().max() > 0.1
        assert torch.equal(learner.decoder(tokens).logits, adapted)


# ------------------------------------------------------------------------------------------------ packing


def test_a_packed_question_is_the_same_to_the_model_as_one_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    packer, learner, rng = Packer(tokenizer, 900), small_learner(), random.Random(0)
    scenes = [random_split_scene(kind, "train", rng) for kind in ("layout", "bars")]
    questions = [Question("x", "red?", "9"), Question("y", "How many in red?", "12"), Question("z", "red red", "4, 5")]
    packed = packer.rows([[(s, questions) for s in scenes], [(scenes[1], questions[:1])]])
    assert packed.tasks == ("x", "y", "z") * 2 + ("x",)
    with torch.no_grad():
        together = learner.hidden(packed, packer.image)
        for number, (scene, question) in enumerate((s, q) for s in scenes for q in questions):
            alone = packer.rows([[(scene, [question])]])
            states = learner.hidden(alone, packer.image)[alone.answers == 0]
            assert torch.allclose(together[packed.answers == number], states, atol=1e-4)
            assert torch.equal(packed.labels[packed.answers == number], alone.labels[alone.answers == 0])


def test_only_answers_are_learnt(tokenizer: PreTrainedTokenizerFast) -> None:
    packer = Packer(tokenizer, 300)
    packed = packer.rows([[(LAYOUT, [Question("x", "How many?", "12")])]])
    chosen = packed.labels[0] != IGNORED
    assert tokenizer.convert_ids_to_tokens(packed.labels[0][chosen].tolist()) == ["1", "2", "<|im_end|>"]
    before = packed.tokens[0][chosen.nonzero().flatten()]
    assert tokenizer.convert_ids_to_tokens(before.tolist()) == ["Ċ", "1", "2"]


def test_rows_are_filled_and_a_question_is_not_repeated(tokenizer: PreTrainedTokenizerFast) -> None:
    packer, rng = Packer(tokenizer, 900), random.Random(1)
    weights = practice_weights({})
    for _ in range(5):
        row = packer.draw_row(rng, weights, captions=0.5)
        for scene, questions in row:
            assert len({q.text for q in questions}) == len(questions)
            clocks = [q for q in questions if q.task == "clock"]
            assert len(clocks) <= 1, f"{scene.kind}: one wording of the same question is enough"


def test_practice_follows_errors_and_what_a_task_builds_on() -> None:
    start = practice_weights({})
    assert set(start) == set(TASKS)
    better = practice_weights({"bar_value": 0.9})
    assert better["bar_value"] < start["bar_value"]
    assert better["bar_sum"] > start["bar_sum"]


# ------------------------------------------------------------------------------------------------ steps


def steps(
    learner: Learner, optimizer: torch.optim.Optimizer, packer: Packer, counters: Counters, n: int
) -> list[float]:
    texts = [(5, list(range(4, 20)))]
    scores: dict[str, float] = {}
    return [_step(learner, optimizer, packer, texts, CONFIG, counters, scores) for _ in range(n)]


def test_training_moves_eyes_and_adapters_and_nothing_else(tokenizer: PreTrainedTokenizerFast) -> None:
    learner, packer = small_learner(), Packer(tokenizer, CONFIG.length)
    frozen = {k: v.clone() for k, v in learner.decoder.state_dict().items() if ".linear." in k or "embed" in k}
    before = {k: v.clone() for k, v in learner.state().items()}
    steps(learner, build_optimizer(learner, CONFIG), packer, counters := Counters(), 3)
    after = learner.state()
    assert counters.step == 3
    assert counters.answers > 3
    for part in ("tower.", "connector.", "adapters."):
        assert any(not torch.equal(after[k], v) for k, v in before.items() if k.startswith(part)), part
    assert all(torch.equal(learner.decoder.state_dict()[k], v) for k, v in frozen.items())


def test_a_resumed_training_takes_the_step_that_it_would_have_taken(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    packer, counters = Packer(tokenizer, CONFIG.length), Counters()
    learner = small_learner()
    optimizer = build_optimizer(learner, CONFIG)
    steps(learner, optimizer, packer, counters, 2)
    state: dict[str, object] = {
        **vars(counters),
        "scores": {"count": 0.5},
        "config": vars(CONFIG),
        "log": [{"step": 2}],
    }
    save_checkpoint(tmp_path, learner, optimizer, state)
    going_on = steps(learner, optimizer, packer, replace(counters, elapsed_s=0.0), 2)

    other = small_learner(seed=5)
    moments = build_optimizer(other, CONFIG)
    assert load_checkpoint(tmp_path, other, moments)["scores"] == {"count": 0.5}
    assert steps(other, moments, packer, replace(counters, elapsed_s=0.0), 2) == pytest.approx(going_on, rel=1e-4)

    export_eyes(tmp_path, tmp_path / "eyes")
    shipped = load_eyes(tmp_path / "eyes")
    assert shipped.config["training"]["answers"] == counters.answers
    assert (tmp_path / "eyes" / "training_log.jsonl").read_text() == '{"step": 2}\n'
    with pytest.raises(ModelError, match="no checkpoint"):
        export_eyes(tmp_path / "nowhere", tmp_path)


def test_the_learning_rate_rises_then_falls_with_the_budget() -> None:
    assert learning_rate_scale(0, 0.0, replace(CONFIG, warmup_steps=10)) == pytest.approx(0.1)
    assert learning_rate_scale(100, 0.4, CONFIG) == 1.0
    assert learning_rate_scale(100, 0.75, CONFIG) == pytest.approx(0.5)


def test_language_drift_is_nothing_for_the_decoder_itself() -> None:
    learner = small_learner()
    texts = [(4, list(range(3, 20))), (2, list(range(30, 40)))]
    with learner.plain():
        same = language_drift(learner.decoder, learner.decoder, texts)
    assert (same.kl, same.same_token, same.n) == (pytest.approx(0, abs=1e-6), 1.0, 2)
    moved = language_drift(small_decoder(), learner.decoder, texts)
    assert moved.kl > 0.01
    assert learner.text_kl(*texts[0]).item() > 0.01
