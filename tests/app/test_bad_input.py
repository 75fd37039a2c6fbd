"""Bad input on a page: one line that says what to do, never a traceback, and nothing reaches the engine."""

import pytest

from tests.app.conftest import texts
from tests.unit.test_images import declared_png


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"just text", "not a PNG, JPEG or WebP picture"),
        (declared_png(20_000, 20_000), "megapixels"),
        (declared_png(40, 40), "damaged"),
    ],
    ids=["text file", "20,000 x 20,000 PNG", "truncated PNG"],
)
def test_a_file_that_is_no_picture(data, line, recorded, engine, open_page):
    at = open_page("compare")
    at.get_by_key("picture").set_value("upload").run()
    at.text_input(key="question").set_value("How many?").run()
    at.file_uploader[0].upload("x.png", data).run()
    assert not at.exception
    assert len(at.error) == 1 and line in at.error[0].value and "\n" not in at.error[0].value
    assert not engine.requests


def test_an_empty_question(recorded, engine, open_page):
    at = open_page("compare")
    at.get_by_key("picture").set_value("upload").run()
    at.text_input(key="question").set_value("   ").run()
    at.file_uploader[0].upload("x.png", b"anything").run()
    assert not at.exception and not at.error
    assert any("Ask a question" in i.value for i in at.info)
    assert not engine.requests


@pytest.mark.parametrize("page", ["overview", "similarity", "prune", "compare", "benchmarks", "runs"])
@pytest.mark.parametrize("query", [{"model": "tinny"}, {"budget": "0"}, {"budget": "16"}, {"criteria": "mth_aware"}])
def test_links_that_ask_for_what_does_not_exist(page, query, recorded, engine, open_page):
    at = open_page(page, **query)
    assert not at.exception and not at.error
    (key, value), *_ = query.items()
    reads_it = {"model": True, "budget": page in ("prune", "compare", "benchmarks"), "criteria": page == "prune"}
    if reads_it[key]:
        assert f"{key} = “{value}”" in texts(at) or f"{key} = {value}" in texts(at)
