"""Every family that transformers calls image-text-to-text: views, caches, similarities and the forest are right for it.

Each family is one tiny random model of six layers with image inputs. Where a family has structural layers (DeepStack),
plans leave them alone.
"""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, PreTrainedModel

from core.errors import PlanError
from core.vlm.encoding import Batch
from core.vlm.forest import Tail, Walk, answer_outcomes, tape_layer_calls
from core.vlm.generation import _next_token_logits, _prepared
from core.vlm.loading import image_token_id, structural_layers
from core.vlm.similarity import layer_states, span_similarities
from core.vlm.view import pruned_view
from tests.conformance.families import FAMILIES, IMAGE, N_LAYERS, build, inputs

pytestmark = pytest.mark.slow
SPECIAL = [2, *range(90, 100)]  # end, image and video tokens, which random weights would put into an answer
TRIED: dict[str, int] = {}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(family: str) -> PreTrainedModel:
    return build(family)


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    yield
    rows = "\n".join(f"  {name:<16} {n} plans" for name, n in TRIED.items())
    if rows:
        import sys

        sys.stdout.write(f"\nviews equal to reloaded checkpoints, by family:\n{rows}\n")


def all_plans(family: str) -> list[tuple[int, ...]]:
    free = [i for i in range(N_LAYERS) if i not in FAMILIES[family].structural]
    most = min(len(free), N_LAYERS - 1)
    plans = [dropped for n in range(1, most + 1) for dropped in combinations(free, n)]
    return [dropped for dropped in plans if not set(FAMILIES[family].attention) <= set(dropped)]


def test_a_hybrid_decoder_keeps_an_attention_layer() -> None:
    with pytest.raises(PlanError, match="at least one attention layer"):
        pruned_view(build("qwen3_5"), (1, 3, 5))


def test_what_is_found_without_a_table(family: str, model: PreTrainedModel) -> None:
    assert structural_layers(model) == FAMILIES[family].structural
    assert image_token_id(model) == IMAGE


def test_every_view_equals_its_reloaded_checkpoint(family: str, model: PreTrainedModel, tmp_path: Path) -> None:
    batch = inputs(family)
    with torch.inference_mode():
        before = model(**batch).logits
        for dropped in all_plans(family):
            view = pruned_view(model, dropped)
            ours = view(**batch).logits
            view.save_pretrained(tmp_path)
            again = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
            assert (again(**batch).logits - ours).abs().max() == 0, dropped
            assert not torch.equal(ours, before), dropped
        assert torch.equal(model(**batch).logits, before)
    TRIED[family] = len(all_plans(family))


def test_cached_greedy_tokens_equal_uncached_ones(family: str, model: PreTrainedModel) -> None:
    batch = inputs(family)
    prompt = _prepared(model, batch)
    for dropped in all_plans(family)[::5]:
        view = pruned_view(model, dropped)
        options = {"max_new_tokens": 5, "do_sample": False, "suppress_tokens": SPECIAL}
        cached = view.generate(**batch, **options)
        assert torch.equal(cached, view.generate(**batch, **options, use_cache=False)), dropped
        ids: list[int] = []
        stream = _next_token_logits(pruned_view(model, dropped), prompt, ids)
        for expected in cached[0, batch["input_ids"].shape[1] :].tolist():
            logits = next(stream).clone()
            logits[SPECIAL] = -torch.inf
            ids.append(int(logits.argmax()))
            assert ids[-1] == expected, dropped


def test_similarity_of_each_layer_is_its_own_change(family: str, model: PreTrainedModel) -> None:
    """Hooked by hand, layer by layer: with DeepStack the next layer's input is not this one's output."""
    batch = inputs(family)
    with torch.inference_mode(), layer_states(model) as (before, after):
        model(**batch, use_cache=False)
    assert len(before) == len(after) == N_LAYERS
    ours = span_similarities(before, after, torch.ones(1, 1, batch["input_ids"].shape[1], dtype=torch.bool))[0, 0, :, 0]
    for i, layer in enumerate(model.get_decoder().layers):
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
    plans = [(), *all_plans(family)]
    tail = Tail(model)
    with torch.inference_mode():
        forest = Walk(model, tape_layer_calls(model, batch))
        seen = set()
        for state, served in forest.finished([frozenset(p) for p in plans]):
            hit, nll = answer_outcomes(tail, taken, state)
            for i in served:
                logits = pruned_view(model, plans[i])(**batch).logits[0, -5:-1].float()
                gold = batch["input_ids"][0, -4:]
                loss = torch.nn.functional.cross_entropy(logits, gold)
                torch.testing.assert_close(nll[0], loss, atol=1e-5, rtol=1e-5)
                assert bool(hit[0]) == bool((logits.argmax(-1) == gold).all())
                seen.add(i)
    assert seen == set(range(len(plans)))
