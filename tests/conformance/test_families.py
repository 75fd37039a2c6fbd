"""Every family here: exports answer as views do, caches, similarities and the forest are right for it.

Each family is one tiny random model of six layers with image inputs. Where a family has structural layers (DeepStack),
plans leave them alone.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy, pad
from transformers import AutoModelForImageTextToText, PreTrainedModel

from core import settings
from core.errors import PlanError
from core.pruning.trie import trie_layers
from core.records.plan import PruningPlan
from core.vlm.encoding import Batch
from core.vlm.export import export_plan
from core.vlm.forest import batch_outcomes
from core.vlm.in_step import InStep
from core.vlm.loading import VLM, decoder_layers, describe, image_token_id, structural_layers
from core.vlm.prompt import prefills, prompt_of
from core.vlm.similarity import layer_states, span_similarities
from core.vlm.tape import Tail
from core.vlm.tiny.model import build_tokenizer
from core.vlm.view import pruned_view
from tests.conformance.families import FAMILIES, IMAGE, N_LAYERS, build, inputs, plan_table

pytestmark = pytest.mark.slow
SPECIAL = [2, *range(90, 100)]  # end, image and video tokens, which random weights would put into an answer


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(family: str) -> PreTrainedModel:
    return build(family)


def in_memory(model: PreTrainedModel) -> VLM:
    """The tokenizer has nothing to do with the model: exports copy it, and nothing here asks it for words."""
    return VLM(model, build_tokenizer(), describe(model, model.config.model_type, "test"))


def test_the_table_of_families_is_the_one_that_is_tried() -> None:
    assert plan_table() in (settings.ROOT / "docs/families.md").read_text()


def test_a_hybrid_decoder_keeps_an_attention_layer() -> None:
    with pytest.raises(PlanError, match="at least one attention layer"):
        pruned_view(build("qwen3_5"), (1, 3, 5))


def test_what_is_found_without_a_table(family: str, model: PreTrainedModel) -> None:
    assert structural_layers(model) == FAMILIES[family].structural
    assert image_token_id(model) == IMAGE


def test_every_export_answers_as_its_view(family: str, model: PreTrainedModel, tmp_path: Path) -> None:
    """Both ways of exporting, from memory and from files, write the same bytes, which plain transformers loads."""
    batch = inputs(family)
    full = tmp_path / "full"
    memory = in_memory(model)
    model.save_pretrained(full)
    memory.processor.save_pretrained(full)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config = model.config.to_dict()
    with torch.inference_mode():
        before = model(**batch).logits
        for dropped in FAMILIES[family].plans():
            plan = PruningPlan(memory.spec.model_id, N_LAYERS, dropped)
            saved, copied = (
                export_plan(vlm, plan, tmp_path / name, verify=False).out
                for vlm, name in ((memory, "saved"), (replace(memory, folder=full), "copied"))
            )
            for file in ("model.safetensors", "config.json"):
                assert (saved / file).read_bytes() == (copied / file).read_bytes(), (dropped, file)
            again = AutoModelForImageTextToText.from_pretrained(copied).eval()
            for parameter in again.parameters():
                parameter.data = parameter.data.clone()  # aligned as the model's are: kernels of experts depend on it
            ours = pruned_view(model, dropped)(**batch).logits
            assert (again(**batch).logits - ours).abs().max() == 0, dropped
            assert not torch.equal(ours, before), dropped
            shutil.rmtree(saved)
            shutil.rmtree(copied)
        assert torch.equal(model(**batch).logits, before)
    assert model.config.to_dict() == config
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_cached_greedy_tokens_equal_uncached_ones(family: str, model: PreTrainedModel) -> None:
    batch = inputs(family)
    prompt = prompt_of(model, batch)
    for dropped in FAMILIES[family].plans()[::5]:
        view = pruned_view(model, dropped)
        options = {"max_new_tokens": 5, "do_sample": False, "suppress_tokens": SPECIAL}
        cached = view.generate(**batch, **options)
        assert torch.equal(cached, view.generate(**batch, **options, use_cache=False)), dropped
        kept = tuple(i for i in range(N_LAYERS) if i not in dropped)
        ((_, prefill),) = prefills(model, [kept], prompt)
        steps, logits = InStep(model, prompt, [kept], [prefill.cache_layers]), prefill.logits[0]
        for expected in cached[0, batch["input_ids"].shape[1] :].tolist():
            found = logits.clone()
            found[SPECIAL] = -torch.inf
            assert int(found.argmax()) == expected, dropped
            logits = steps.logits([expected])[0]


def test_plans_in_step_answer_as_each_alone(family: str, model: PreTrainedModel) -> None:
    """Sliding windows shorter than the prompt, M-RoPE, DeepStack, linear attention: token by token the same logits."""
    prompt = prompt_of(model, inputs(family))
    plans = [PruningPlan(family, N_LAYERS, dropped) for dropped in FAMILIES[family].plans()[::9]]
    kept = [p.kept for p in plans]
    made = dict(prefills(model, kept, prompt))
    assert sum(p.layer_passes for p in made.values()) == len(trie_layers(plans)), "layers here are handed a cache"
    alone, ids = [], []
    for number, mine in enumerate(kept):
        ((_, prefill),) = prefills(model, [mine], prompt)
        torch.testing.assert_close(made[number].logits, prefill.logits, atol=1e-6, rtol=1e-6)
        alone.append(InStep(model, prompt, [mine], [prefill.cache_layers]))
        ids.append(int(prefill.logits.argmax()))
    together = InStep(model, prompt, kept, [made[i].cache_layers for i in range(len(kept))])
    going = list(range(len(kept)))
    for step in range(6):
        logits = together.logits([ids[i] for i in going])
        for row, number in enumerate(going):
            expected = alone[number].logits([ids[number]])[0]
            torch.testing.assert_close(logits[row], expected, atol=1e-5, rtol=1e-5)
            assert together.cache_bytes(row) == alone[number].cache_bytes(0)
            ids[number] = int(expected.argmax())
        if step in (1, 3):  # first the first answer ends, then all but one
            left = list(range(len(going)))[1:] if step == 1 else [len(going) - 1]
            together.keep(left)
            going = [going[row] for row in left]


def test_questions_at_once_answer_as_each_alone(family: str, model: PreTrainedModel) -> None:
    """Prompts of different lengths, padded on the left: masks, positions and states must survive the padding."""
    asked = [inputs(family, n_text) for n_text in (3, 9)]
    length = asked[1]["input_ids"].shape[1]

    def padded(value: torch.Tensor) -> torch.Tensor:
        return pad(value, (length - value.shape[1], 0)) if value.shape == asked[0]["input_ids"].shape else value

    batch = {name: torch.cat([padded(question[name]) for question in asked]) for name in asked[0]}
    kept = [PruningPlan(family, N_LAYERS, dropped).kept for dropped in FAMILIES[family].plans()[::20]]
    prompt = prompt_of(model, batch, ("first", "second"))
    made = dict(prefills(model, kept, prompt))
    alone, tokens = [], []
    for number, mine in enumerate(kept):
        for place, question in enumerate(asked):
            single = prompt_of(model, question)
            ((_, prefill),) = prefills(model, [mine], single)
            torch.testing.assert_close(made[number].logits[place], prefill.logits[0], atol=1e-4, rtol=1e-4)
            alone.append(InStep(model, single, [mine], [prefill.cache_layers]))
            tokens.append(int(prefill.logits.argmax()))
    together = InStep(model, prompt, kept, [made[i].cache_layers for i in range(len(kept))])
    for _ in range(4):
        logits = together.logits(tokens)
        for row, steps in enumerate(alone):
            expected = steps.logits([tokens[row]])[0]
            torch.testing.assert_close(logits[row], expected, atol=1e-4, rtol=1e-4)  # linear attention: 5e-5
            tokens[row] = int(expected.argmax())


def test_similarity_of_each_layer_is_its_own_change(family: str, model: PreTrainedModel) -> None:
    """Hooked by hand, layer by layer: with DeepStack the next layer's input is not this one's output."""
    batch = inputs(family)
    with torch.inference_mode(), layer_states(model) as (before, after):
        model(**batch, use_cache=False)
    assert len(before) == len(after) == N_LAYERS
    ours = span_similarities(before, after, torch.ones(1, 1, batch["input_ids"].shape[1], dtype=torch.bool))[0, 0, :, 0]
    for i, layer in enumerate(decoder_layers(model)):
        seen: dict[str, torch.Tensor] = {}

        def hook(_m: object, args: tuple, kwargs: dict, out: object, seen: dict = seen) -> None:
            seen["x"] = args[0] if args else kwargs["hidden_states"]
            seen["y"] = out[0] if isinstance(out, tuple) else out

        handle = layer.register_forward_hook(hook, with_kwargs=True)
        with torch.inference_mode():
            model(**batch, use_cache=False)
        handle.remove()
        expected = torch.cosine_similarity(seen["x"].double(), seen["y"].double(), dim=-1).mean()
        assert float(ours[i]) == pytest.approx(float(expected), abs=1e-6)


def test_the_forest_equals_views(family: str, model: PreTrainedModel) -> None:
    batch = inputs(family)
    answer = torch.zeros_like(batch["input_ids"], dtype=torch.bool)
    answer[:, -4:] = True
    taken = Batch(batch, batch["input_ids"] == IMAGE, ~answer, answer)
    plans = [PruningPlan(family, N_LAYERS, dropped) for dropped in ((), *FAMILIES[family].plans())]
    gold = batch["input_ids"][0, -4:]
    with torch.inference_mode():
        hit, nll, _ = batch_outcomes(model, Tail(model), [plan.kept for plan in plans], taken)
        for i, plan in enumerate(plans):
            logits = pruned_view(model, plan.dropped)(**batch).logits[0, -5:-1].float()
            assert nll[i, 0] == pytest.approx(float(cross_entropy(logits, gold)), rel=1e-5, abs=1e-5)
            assert bool(hit[i, 0]) == bool((logits.argmax(-1) == gold).all())
