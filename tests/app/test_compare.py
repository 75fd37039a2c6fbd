"""Compare: what the engine is asked, what the user reads, stopping, errors, and the page without a model."""

from core.errors import ModelError
from dashboard import services
from tests.app.conftest import texts


def test_asking_sends_the_sample_and_both_plans_and_shows_both_answers(recorded, engine, open_page):
    wanted = services.gallery("tiny")[2]
    at = open_page("compare", budget="5", a="deepest", sample=wanted.sample_id)
    at.button(key="ask").click().run()
    assert not at.exception
    model_id, plans, image, question, config = engine.requests[0]
    assert (model_id, question) == ("tiny", wanted.question)
    assert plans[0] is None and plans[1].dropped == (10, 11, 12, 13, 14)
    assert image.size == wanted.image.size
    assert config.temperature == 0.0
    shown = [t.value for t in at.text]
    assert "7" in shown
    assert "7 <b>or</b> 8" in shown  # as text, never as markup
    read = texts(at)
    assert "2 tokens" in read and "tokens/s" in read
    assert "parts from the full model at token 2" in read
    assert all(t.cancelled for t in engine.tickets)


def test_the_verdict_names_its_rule(recorded, engine, open_page):
    sample = next(s for s in services.gallery("tiny") if s.answer != "7")
    at = open_page("compare", sample=sample.sample_id)
    at.button(key="ask").click().run()
    assert "wrong · different text" in texts(at)


def test_a_failing_engine_gives_one_line(recorded, engine, open_page):
    engine.failure = ModelError("cannot load tiny: not enough memory")
    at = open_page("compare")
    at.button(key="ask").click().run()
    assert not at.exception
    assert at.error[0].value == "cannot load tiny: not enough memory"
    assert engine.tickets[0].cancelled


def test_choosing_another_sample_asks_again(recorded, engine, open_page):
    at = open_page("compare")
    at.button(key="ask").click().run()
    other = services.gallery("tiny")[3]
    at.button(key=f"pick_{other.sample_id}").click().run()
    assert not at.exception
    assert other.question in [t.value for t in at.text]
    assert "Press Ask" in texts(at)
    assert at.query_params["sample"] == other.sample_id


def test_upload_needs_a_picture_and_a_question(recorded, engine, open_page):
    at = open_page("compare")
    at.get_by_key("picture").set_value("upload").run()
    assert any("Upload a picture" in i.value for i in at.info)
    at.file_uploader[0].upload("x.png", b"not a picture").run()
    assert any("Ask a question" in i.value for i in at.info)
    at.text_input(key="question").set_value("How many?").run()
    assert not at.exception
    assert "not a PNG, JPEG or WebP picture" in at.error[0].value
    assert not engine.requests


def test_an_unknown_sample_in_the_link_is_ignored_with_a_notice(recorded, engine, open_page):
    at = open_page("compare", sample="feedfeedfeedfeed", a="bogus", b="bogus")
    assert not at.exception
    read = texts(at)
    assert "no sample 'feedfeedfeedfeed' here" in read
    assert "a = bogus" in read and "b = bogus" in read


def test_without_a_model_it_says_what_was_recorded(recorded, open_page, monkeypatch):
    monkeypatch.setattr(services, "live", lambda model_id="tiny": False)
    at = open_page("compare", budget="8")
    assert not at.exception
    assert "recorded only" in texts(at)
    assert "(recorded)" in texts(at)
    assert "ask" not in [b.key for b in at.button]
