"""Similarity: the heatmap's rows, the token kinds, and the live recompute with what it hands to the engine."""

from core import settings
from dashboard import services
from tests.app.conftest import texts
from tests.app.synthetic import make_atlas


def test_shows_every_chart_with_its_provenance(recorded, engine, open_page):
    at = open_page("similarity")
    assert not at.exception
    assert len(at.get("vega_lite_chart")) == 4  # heatmap, difference, ranks, spans
    assert len(at.get("plotly_chart")) == 1  # agreement
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
        atlas.save(services.atlas_path(model_id, "own"))
        return atlas

    monkeypatch.setattr(services, "recompute_atlas", recompute)
    at = open_page("similarity")
    at.slider(key="calibration_n").set_value(16)
    at.button(key="recompute").click().run()
    assert not at.exception
    assert asked == [("tiny", 16, 1)]
    assert (settings.data_dir() / "atlases" / "tiny.npz").exists()
    assert "n = math 16, general 16" in texts(at) and "computed here" in texts(at)
