"""Overview: what the user reads with a recording, without one, and with a link to a model that is not there."""

from tests.app.conftest import texts


def test_shows_the_regime_chart_of_both_domains_and_the_tour(recorded, engine, open_page):
    at = open_page("overview")
    assert not at.exception
    assert len(at.get("vega_lite_chart")) == 2
    read = texts(at)
    assert "ranking-sensitive" in read
    assert "n = 40 items" in read and "synthetic CPU" in read
    assert [link.value for link in at.page_link][:4] == [
        "1 · See what each layer does",
        "2 · Choose what to drop",
        "3 · Watch it answer",
        "4 · Weigh the evidence",
    ]


def test_without_anything_it_says_what_to_install(nothing, open_page):
    at = open_page("overview")
    assert not at.exception
    assert "requirements.txt" in at.error[0].value


def test_an_unknown_model_in_the_link_is_ignored_with_a_notice(recorded, engine, open_page):
    at = open_page("overview", model="qwen9")
    assert not at.exception
    assert "model = qwen9" in at.warning[0].value
    assert "tiny · 16 layers" in texts(at)
