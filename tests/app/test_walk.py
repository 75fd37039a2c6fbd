"""A walk over every element of every page: what is seen is also said in words, and every chart is also a table."""

import pytest

from tests.app.conftest import texts

PAGES = {
    "overview": {},
    "similarity": {"tasks": "true"},
    "prune": {"budget": "6", "manual": "3"},
    "compare": {"budget": "6"},
    "benchmarks": {"budget": "6"},
    "runs": {},
}
CHARTS = ("vega_lite_chart",)
HAVE_CHARTS = ("overview", "similarity", "prune", "benchmarks")


@pytest.mark.parametrize("name", PAGES)
def test_charts_pictures_and_tables_have_words_and_charts_have_a_table_twin(recorded, engine, open_page, name):
    at = open_page(name, **PAGES[name])
    assert not at.exception
    charts = [chart for kind in CHARTS for chart in at.get(kind)]
    assert bool(charts) == (name in HAVE_CHARTS)
    for chart in charts:
        assert len(chart.proto.alt) >= 15, chart.proto
    twins = [e for e in at.get("expander") if e.label == "Table and download"]
    assert len(twins) >= len(charts)
    for picture in (p for e in at.get("imgs") + at.get("image") for p in e.proto.imgs):
        assert picture.alt, "a picture without words"
    for table in at.dataframe:
        assert table.proto.alt, "a table without words"


@pytest.mark.parametrize("name", PAGES)
def test_every_control_has_a_label_and_a_key(recorded, engine, open_page, name):
    """The label is what a screen reader says; the key keeps the control's state when the page changes."""
    at = open_page(name, **PAGES[name])
    for kind in (
        "button",
        "selectbox",
        "slider",
        "text_input",
        "number_input",
        "multiselect",
        "toggle",
        "file_uploader",
    ):
        for control in at.get(kind):
            assert control.proto.label.strip(), (name, kind)
            assert control.key, (name, control.proto.label)


@pytest.mark.parametrize("name", ("overview", "similarity", "prune", "benchmarks"))
def test_numbers_say_where_they_come_from(recorded, engine, open_page, name):
    read = texts(open_page(name, **PAGES[name]))
    assert ":material/fingerprint:" in read and "n = " in read
    assert "recorded" in read
