"""Similarity: the heatmap's rows, the token kinds, and the live recompute with what it hands to the engine."""

import io

import numpy as np
import pytest
from PIL import Image

from core import settings
from core.errors import StrataError
from core.pruning import TOKEN_KINDS
from dashboard import services
from tests.app.conftest import texts
from tests.app.synthetic import make_atlas


def test_shows_every_chart_with_its_provenance(recorded, engine, open_page):
    at = open_page("similarity")
    assert not at.exception
    assert len(at.get("vega_lite_chart")) == 6  # heatmap, samples, difference, ranks, spans, agreement
    read = texts(at)
    assert "n = math 24, general 24" in read and "recorded" in read
    assert "Clear on" in read


def test_bad_query_values_fall_back_with_one_line(recorded, engine, open_page):
    at = open_page("similarity", kind="pixels", domain="poetry")
    assert not at.exception
    assert any("kind = pixels" in w.value for w in at.warning)
    assert any("domain = poetry" in w.value for w in at.warning)
    assert at.get("button_group")[0].value in ("all", ["all"])


def test_without_an_atlas_it_says_what_to_do(nothing, open_page):
    at = open_page("similarity")
    assert not at.exception
    assert "python -m core calibrate --model tiny" in at.code[0].value


def test_recompute_saves_the_users_own_atlas(recorded, engine, open_page, monkeypatch):
    asked = []

    def recompute(model_id, n, seed, progress):
        asked.append((model_id, n, seed))
        progress(1, 2)
        atlas = make_atlas(n)
        atlas.save(services.similarities.path_of(model_id, "own"))
        return atlas

    monkeypatch.setattr(services.similarities, "recompute", recompute)
    at = open_page("similarity")
    at.slider(key="calibration_n").set_value(16)
    at.button(key="recompute").click().run()
    assert not at.exception
    assert asked == [("tiny", 16, 1)]
    assert (settings.data_dir() / "atlases" / "tiny.npz").exists()
    assert "n = math 16, general 16" in texts(at) and "computed here" in texts(at)


def test_the_samples_behind_a_cell_are_those_that_the_link_names(recorded, engine, open_page):
    at = open_page("similarity", domain="general", layer="3", kind="image")
    assert not at.exception
    atlas = services.similarities.atlas("tiny", "recorded")
    values = sorted(v for v in atlas.sample_values("general", None, "image")[:, 3] if v == v)
    read = texts(at)
    assert "Layer 3: " in read
    for value in (*values[:4], *values[-4:]):
        assert f"{value:.4f}" in read


def test_a_layer_that_does_not_exist_falls_back_with_one_line(recorded, engine, open_page):
    at = open_page("similarity", layer="99")
    assert not at.exception
    assert any("layer = 99" in w.value for w in at.warning)


def picture(color: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 24), color).save(file, "PNG")
    return file.getvalue()


def test_own_pictures_become_a_domain_beside_the_recorded_ones():
    """With the embedded model itself: the recorded domains keep their values, and the pictures are not kept."""
    before = services.similarities.atlas("tiny", "recorded")
    atlas = services.similarities.add_domain("tiny", "plain", [picture("red"), picture("navy")], "What colour is it?")
    assert atlas.domains == (*before.domains, "plain")
    assert len(atlas.rows("plain")) == 2
    assert (atlas.mean("math") == before.mean("math")).all()
    own = atlas.sample_values("plain", None, "image")
    assert np.isfinite(own).all() and (np.abs(own) <= 1).all()
    assert np.isnan(
        atlas.values[atlas.rows("plain"), TOKEN_KINDS.index("answer"), 0, 0]
    ).all()  # there is no gold answer
    assert services.similarities.sources("tiny")[0] == "own"


@pytest.mark.parametrize(
    ("name", "pictures", "question", "said"),
    [
        ("math", [b""], "What?", "cannot name a domain"),
        ("../up", [b""], "What?", "cannot name a domain"),
        ("mine", [], "What?", "give 1 to"),
        ("mine", [b""] * 25, "What?", "give 1 to"),
        ("mine", [b"text"], "What?", "not a PNG"),
        ("mine", [picture("red")], "  ", "question is empty"),
    ],
)
def test_a_domain_that_cannot_be_measured_is_refused_in_one_line(name, pictures, question, said):
    with pytest.raises(StrataError, match=said):
        services.similarities.add_domain("tiny", name, pictures, question)


def test_the_page_hands_pictures_name_and_question_over(recorded, engine, open_page, monkeypatch):
    asked = []

    def add(model_id, name, pictures, question, progress):
        asked.append((model_id, name, len(pictures), question))
        raise StrataError("no room: free some space")

    monkeypatch.setattr(services.similarities, "add_domain", add)
    at = open_page("similarity")
    at.text_input(key="own_name").set_value("receipts")
    at.file_uploader[0].upload("a.png", picture("red"), "image/png").run()
    at.button(key="add_domain").click().run()
    assert not at.exception
    assert asked == [("tiny", "receipts", 1, "What is this?")]
    assert any("no room" in e.value for e in at.error)
