"""The similarity atlas: means, intervals and files, against numbers worked by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CalibrationError
from core.pruning.atlas import TOKEN_KINDS, GreedyOrder, SimilarityAtlas
from tests.atlases import make_atlas

TWO = {"math": [[0.9, 0.5, 0.8], [0.7, 0.7, 0.8]], "general": [[0.2, 0.4, 0.6]]}


def noisy_atlas(n: int = 60, depth: int = 6, noise: float = 0.1) -> SimilarityAtlas:
    rng = np.random.default_rng(0)
    level = np.linspace(0.3, 0.9, depth)
    rows = {d: np.clip(level + noise * rng.standard_normal((n, depth)), -1, 1).tolist() for d in ("math", "general")}
    return make_atlas(rows)


# ------------------------------------------------------------------------------------------------ means


def test_each_sample_weighs_the_same() -> None:
    atlas = make_atlas(TWO)
    assert atlas.mean("math") == pytest.approx([0.8, 0.6, 0.8])
    assert atlas.mean("general") == pytest.approx([0.2, 0.4, 0.6])
    assert atlas.mean("math", "t1") == pytest.approx([0.7, 0.7, 0.8])


def test_samples_without_such_tokens_do_not_count() -> None:
    atlas = make_atlas(TWO)
    values = atlas.values.copy()
    values[0, TOKEN_KINDS.index("image")] = np.nan
    atlas = replace(atlas, values=values)
    assert atlas.mean("math", kind="image") == pytest.approx([0.7, 0.7, 0.8])
    assert atlas.mean("math", kind="answer") == pytest.approx([0.8, 0.6, 0.8])
    low, high = atlas.interval("math", kind="image")
    assert low == pytest.approx([0.7, 0.7, 0.8]) and high == pytest.approx([0.7, 0.7, 0.8])


def test_spans_have_one_value_per_start() -> None:
    atlas = make_atlas(TWO, spans={2: [0.35, 0.55]})
    assert atlas.mean("math", length=2) == pytest.approx([0.35, 0.55])
    assert atlas.mean("math", length=3) == pytest.approx([(0.9 * 0.5 * 0.8 + 0.7 * 0.7 * 0.8) / 2])


def test_frame_opens_domains_into_tasks() -> None:
    frame = make_atlas(TWO).to_frame()
    assert list(frame.columns) == ["domain", "task", "layer", "mean", "low", "high", "n"]
    whole = frame[(frame.domain == "math") & (frame.task == "")]
    assert whole["mean"].tolist() == pytest.approx([0.8, 0.6, 0.8]) and set(whole.n) == {2}
    assert len(frame) == 3 * (3 + 2)  # math, its two tasks; general, its one task
    assert set(make_atlas(TWO).to_frame(tasks=False).task) == {""}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda a: a.mean("mth"), "no domain 'mth': did you mean 'math'"),
        (lambda a: a.mean("math", "t9"), "no task 't9'"),
        (lambda a: a.mean("math", kind="img"), "unknown token kind"),
        (lambda a: a.mean("math", length=0), "span length 0 is outside 1 to 3"),
        (lambda a: a.mean("math", length=4), "span length 4"),
    ],
)
def test_what_is_not_there_is_named(call, words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        call(make_atlas(TWO))


# ------------------------------------------------------------------------------------------------ intervals


@given(st.integers(1, 12), st.integers(0, 10_000))
def test_bootstrap_interval_contains_the_mean(n: int, seed: int) -> None:
    rows = np.random.default_rng(seed).uniform(-1, 1, (n, 4)).tolist()
    atlas = make_atlas({"math": rows})
    low, high = atlas.interval("math", level=0.95)
    mean = atlas.mean("math")
    assert (low <= mean + 1e-9).all() and (mean <= high + 1e-9).all()
    assert (low >= np.min(rows) - 1e-6).all() and (high <= np.max(rows) + 1e-6).all()


def test_interval_is_as_wide_as_theory_says() -> None:
    """200 samples of standard deviation 0.1: the 95 % interval is about 2 x 1.96 x 0.1 / sqrt(200) wide."""
    rows = np.random.default_rng(1).normal(0.0, 0.1, (200, 3)).tolist()
    low, high = make_atlas({"math": rows}).interval("math")
    assert high - low == pytest.approx(2 * 1.96 * 0.1 / 200**0.5, rel=0.2)


def test_interval_is_seeded_and_widens_with_its_level() -> None:
    atlas = noisy_atlas()
    low, high = atlas.interval("math", seed=3)
    assert np.array_equal(low, atlas.interval("math", seed=3)[0])
    assert not np.array_equal(low, atlas.interval("math", seed=4)[0])
    narrow_low, narrow_high = atlas.interval("math", level=0.5, seed=3)
    assert (low < narrow_low).all() and (narrow_high < high).all()


def test_difference_of_means_and_its_interval() -> None:
    atlas = make_atlas({"math": [[0.9, 0.5]] * 30, "general": [[0.6, 0.5]] * 20})
    mean, low, high = atlas.difference("math", "general")
    for values in (mean, low, high):
        assert values == pytest.approx([0.3, 0.0], abs=1e-6)  # no spread between samples, so no width
    noisy = noisy_atlas()
    mean, low, high = noisy.difference("math", "general")
    back, back_low, back_high = noisy.difference("general", "math")
    assert mean == pytest.approx(-back)
    assert (low < mean).all() and (mean < high).all() and (back_low < back_high).all()


# ------------------------------------------------------------------------------------------------ how many samples


def test_halves_agree_when_samples_do() -> None:
    frame = make_atlas({"math": [[0.1, 0.5, 0.9]] * 10}).split_half_agreement("math", [1, 5, 6])
    assert frame.n.tolist() == [1, 5]  # six samples twice do not fit into ten
    assert frame.spearman.tolist() == pytest.approx([1.0, 1.0])


def test_more_samples_agree_better() -> None:
    frame = noisy_atlas(n=200, noise=0.4).split_half_agreement("math", [2, 100])
    assert frame.spearman[0] < frame.spearman[1] <= 1.0
    assert (frame.low <= frame.spearman).all() and (frame.spearman <= frame.high).all()


# ------------------------------------------------------------------------------------------------ on disk


def test_save_and_load_round_trip(tmp_path: Path) -> None:
    atlas = make_atlas(TWO, structural=(0,))
    path = tmp_path / "new folder" / "org--model-1.5.npz"
    atlas.save(path)
    back = SimilarityAtlas.load(path)
    np.testing.assert_array_equal(back.values, atlas.values)
    np.testing.assert_array_equal(back.n_tokens, atlas.n_tokens)
    for name in ("model_id", "revision", "n_layers", "structural", "samples", "device", "created", "data_hash"):
        assert getattr(back, name) == getattr(atlas, name)
    assert list(path.parent.iterdir()) == [path]  # nothing temporary is left


def test_data_hash_is_of_the_samples_in_order() -> None:
    atlas = make_atlas(TWO)
    assert atlas.data_hash == make_atlas({d: [[0.0] * 3] * len(rows) for d, rows in TWO.items()}).data_hash
    assert atlas.data_hash != replace(atlas, samples=atlas.samples[::-1]).data_hash


def test_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="run python -m core calibrate first"):
        SimilarityAtlas.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "kind",
    ["empty", "text", "half", "flipped", "folder", "npy", "no header", "list", "json", "shape", "pickle", "order"],
)
def test_damaged_files_are_one_clear_error(tmp_path: Path, kind: str) -> None:
    """Regression: half a file ended in zipfile.BadZipFile, a flipped byte in zlib.error."""
    path = tmp_path / "atlas.npz"
    atlas = noisy_atlas()
    atlas.save(path)
    whole = path.read_bytes()
    header = np.frombuffer(json.dumps(atlas._header()).encode(), np.uint8)
    arrays = {"header": header, "values": atlas.values, "n_tokens": atlas.n_tokens}
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("similarity")
    elif kind == "half":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "flipped":
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes(255 - b for b in whole[middle : middle + 64]) + whole[middle + 64 :])
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, atlas.values)
    elif kind == "no header":
        np.savez(path, values=atlas.values)
    elif kind == "list":
        np.savez(path, **{**arrays, "header": np.frombuffer(b"[1]", np.uint8)})
    elif kind == "json":
        np.savez(path, **{**arrays, "header": np.frombuffer(b"{", np.uint8)})
    elif kind == "order":
        broken = json.dumps({**atlas._header(), "greedy": {"layers": [1, 1]}}).encode()
        np.savez(path, **{**arrays, "header": np.frombuffer(broken, np.uint8)})
    elif kind == "shape":
        np.savez(path, **{**arrays, "values": atlas.values[:1]})
    else:
        np.savez(path, **{**arrays, "values": np.array([{}], dtype=object)}, allow_pickle=True)
    with pytest.raises(CalibrationError) as caught:
        SimilarityAtlas.load(path)
    assert "calibrate again" in str(caught.value)


def test_an_atlas_of_another_version_is_not_misread(tmp_path: Path) -> None:
    atlas = make_atlas(TWO)
    path = tmp_path / "atlas.npz"
    for change in ({"format": 99}, {"token_kinds": ["all"]}):
        header = np.frombuffer(json.dumps({**atlas._header(), **change}).encode(), np.uint8)
        np.savez(path, header=header, values=atlas.values, n_tokens=atlas.n_tokens)
        with pytest.raises(CalibrationError, match="another version"):
            SimilarityAtlas.load(path)


def test_a_merged_atlas_takes_the_other_ones_domains_and_keeps_its_own() -> None:
    ours = make_atlas(TWO)
    theirs = make_atlas({"general": [[0.1, 0.1, 0.1], [0.3, 0.3, 0.3]], "mine": [[0.6, 0.6, 0.6]]})
    merged = ours.merged(theirs)
    assert merged.domains == ("math", "general", "mine")
    assert merged.mean("math") == pytest.approx([0.8, 0.6, 0.8])
    assert merged.mean("general") == pytest.approx([0.2, 0.2, 0.2])
    assert merged.mean("mine") == pytest.approx([0.6, 0.6, 0.6])
    assert len(merged.n_tokens) == len(merged.samples) == 5
    with pytest.raises(CalibrationError, match="recompute both"):
        ours.merged(replace(theirs, revision="another"))


ORDER = GreedyOrder((1,), (0.25, np.inf), (0, 2), "0123", (("math", 2), ("general", 1)), "cpu", "2026-01-02")


def test_a_greedy_order_is_kept_beside_the_similarities(tmp_path: Path) -> None:
    atlas = make_atlas(TWO)
    ordered = replace(atlas, greedy=ORDER)
    assert ordered.data_hash == atlas.data_hash  # what the similarities were measured on is the same
    ordered.save(tmp_path / "atlas.npz")
    back = SimilarityAtlas.load(tmp_path / "atlas.npz")
    assert back.greedy == ORDER
    np.testing.assert_array_equal(back.values, atlas.values)
    theirs = make_atlas({"mine": [[0.6, 0.6, 0.6]]})
    assert ordered.merged(theirs).greedy == theirs.merged(ordered).greedy == ORDER


def test_a_file_from_before_greedy_orders_still_loads(tmp_path: Path) -> None:
    atlas = make_atlas(TWO)
    header = {k: v for k, v in atlas._header().items() if k != "greedy"}
    arrays = {"values": atlas.values, "n_tokens": atlas.n_tokens}
    np.savez(tmp_path / "old.npz", header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    assert SimilarityAtlas.load(tmp_path / "old.npz").greedy is None
