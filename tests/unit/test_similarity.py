"""Similarities equal what one computes by hand from hooks, and do not depend on how samples are batched."""

import numpy as np
import pytest
import torch

from core.errors import CalibrationError
from core.pruning.atlas import TOKEN_KINDS
from core.vlm.encoding import encode_samples
from core.vlm.similarity import compute_atlas
from tests.models import random_vlm, some_samples


def by_hand(layer: int, sample_index: int) -> dict[str, float]:
    """Similarity of one layer on one sample, per token kind, from two plain hooks and no batching."""
    vlm = random_vlm()
    sample = some_samples()[sample_index]
    batch = encode_samples(vlm, [sample])
    seen: dict[str, torch.Tensor] = {}
    module = vlm.model.model.language_model.layers[layer]
    handles = [
        module.register_forward_pre_hook(lambda _m, args, kwargs: seen.update(x=args[0]), with_kwargs=True),
        module.register_forward_hook(lambda _m, _a, output: seen.update(y=output)),
    ]
    with torch.inference_mode():
        vlm.model(**batch.inputs)
    for handle in handles:
        handle.remove()
    x, y = seen["x"][0].double(), seen["y"][0].double()
    cos = (x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1))
    ids = batch.inputs["input_ids"][0].tolist()
    tokenizer = vlm.processor.tokenizer
    n_image = ids.count(tokenizer.convert_tokens_to_ids("<image>"))
    n_answer = len(tokenizer.encode(sample.answer)) + 1
    return {
        "all": float(cos.mean()),
        "image": float(cos[:n_image].mean()),
        "prompt": float(cos[n_image:-n_answer].mean()),
        "answer": float(cos[-n_answer:].mean()),
        "last": float(cos[-n_answer - 1]),
    }


@pytest.mark.parametrize("layer", [0, 3, 5])
def test_layers_first_and_last_included_equal_a_hand_computation(layer: int) -> None:
    """Taken from output_hidden_states, the last layer's output would be the one after the final norm."""
    atlas = compute_atlas(random_vlm(), {"any": some_samples()}, batch_size=5)
    for sample in (0, 7):
        for kind, expected in by_hand(layer, sample).items():
            ours = atlas.values[sample, TOKEN_KINDS.index(kind), layer, 0]
            assert ours == pytest.approx(expected, abs=1e-6), kind


def test_spans_equal_a_hand_computation() -> None:
    vlm, sample = random_vlm(), some_samples()[2]
    batch = encode_samples(vlm, [sample])
    with torch.inference_mode():
        states = vlm.model(**batch.inputs, output_hidden_states=True).hidden_states
    atlas = compute_atlas(vlm, {"any": [sample]})
    for start, length in [(0, 2), (1, 3), (0, 5), (2, 2)]:  # spans that end before the last layer
        cos = torch.cosine_similarity(states[start][0].double(), states[start + length][0].double(), dim=1)
        assert atlas.values[0, 0, start, length - 1] == pytest.approx(float(cos.mean()), abs=1e-6)
    assert np.isnan(atlas.values[0, 0, 3, 3])  # would end behind the last layer


def test_a_sample_scores_the_same_alone_and_in_a_padded_batch() -> None:
    vlm, samples = random_vlm(), some_samples()
    assert len({len(s.question) for s in samples}) > 1
    together = compute_atlas(vlm, {"any": samples}, batch_size=len(samples))
    for i, sample in enumerate(samples):
        alone = compute_atlas(vlm, {"any": [sample]})
        np.testing.assert_allclose(alone.values[0], together.values[i], atol=1e-5)
        assert alone.n_tokens[0].tolist() == together.n_tokens[i].tolist()


def test_hooks_are_removed_even_when_stopped() -> None:
    vlm = random_vlm()

    def hooks() -> int:  # transformers may keep some of its own
        return sum(len(layer._forward_hooks) for layer in vlm.model.get_decoder().layers)

    before = hooks()

    def stop(done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_atlas(vlm, {"any": some_samples()}, batch_size=4, progress=stop)
    assert hooks() == before


def test_no_samples_is_an_error_with_a_next_step() -> None:
    with pytest.raises(CalibrationError, match="at least one"):
        compute_atlas(random_vlm(), {"math": []})
