"""Compare: what the engine is asked, what the user reads, blind votes, recording and replay, hostile text, errors."""

import json
from dataclasses import replace

from core.errors import ModelError
from dashboard import services
from tests.app.conftest import FakeTicket, texts

HOSTILE = (
    "<script>alert(1)</script> ![x](http://evil.example/x.png) $\\frac{1}{2}$ :material/home: :red[hi] " + "w" * 400
)


def test_asking_sends_the_sample_and_both_plans_and_shows_both_answers(recorded, engine, open_page):
    wanted = services.samples.gallery("tiny")[2]
    at = open_page("compare", budget="5", a="deepest", sample=wanted.sample_id)
    at.button(key="ask").click().run()
    assert not at.exception
    model_id, plans, image, question, config = engine.requests[0]
    assert (model_id, question) == ("tiny", wanted.question)
    assert plans[0] is None and plans[1].dropped == (10, 11, 12, 13, 14)
    assert image.size == wanted.image.size
    assert config.temperature == 0.0 and config.top == 5
    shown = [t.value for t in at.text]
    assert "7" in shown
    assert "7 <b>or</b> 8" in shown  # as text, never as markup
    read = texts(at)
    assert "2 tokens" in read and "decoded together" in read  # times are in the table of all panes
    assert "parts from the full model at token 2" in read
    assert all(t.cancelled for t in engine.tickets)


def test_three_panes_answer_at_once(recorded, engine, open_page):
    at = open_page("compare", budget="3", a="deepest", b="uniform")
    at.button(key="ask").click().run()
    assert not at.exception
    assert [p and p.criterion for p in engine.requests[0][1]] == [None, "deepest", "uniform"]
    assert list(at.dataframe[-1].value["pane"]) == ["full model", "deepest, −3", "uniform, −3"]


def test_the_full_models_answer_is_measured_under_each_plan(recorded, engine, open_page):
    at = open_page("compare", budget="3", a="deepest", b="uniform")
    at.button(key="ask").click().run()
    (model_id, plans, question, answer) = engine.compared[0]
    assert (model_id, answer) == ("tiny", "7") and question == engine.requests[0][3]
    assert [p.criterion for p in plans] == ["deepest", "uniform"]
    assert "KL 0.400, NLL 0.150 → 0.650" in texts(at)  # the means of the fake divergence
    assert len(at.get("vega_lite_chart")) == 1


def test_the_verdict_names_its_rule_and_the_kind_of_failure(recorded, engine, open_page):
    sample = next(s for s in services.samples.gallery("tiny") if s.answer == "no")
    at = open_page("compare", sample=sample.sample_id)
    at.button(key="ask").click().run()
    assert "wrong: another text" in texts(at)
    engine.words = ("no", " no no no")
    at.button(key="ask").click().run()
    assert "correct: the same text" in texts(at)
    assert "repeating: another text" in texts(at)


def test_a_failing_engine_gives_one_line(recorded, engine, open_page):
    engine.failure = ModelError("cannot load tiny: not enough memory")
    at = open_page("compare")
    at.button(key="ask").click().run()
    assert not at.exception
    assert at.error[0].value == "cannot load tiny: not enough memory"
    assert engine.tickets[0].cancelled


def test_the_place_in_the_queue_is_shown_while_others_are_before(recorded, engine, open_page, monkeypatch):
    ticket = FakeTicket([None, ModelError("stopped here")], position=3)
    monkeypatch.setattr(engine, "submit", lambda *_: ticket)
    at = open_page("compare")
    at.button(key="ask").click().run()
    assert "number 3 in the queue" in texts(at)
    assert ticket.cancelled


def test_an_item_without_its_picture_is_not_asked(recorded, engine, open_page, monkeypatch):
    whole = services.samples.gallery("tiny")[0]
    monkeypatch.setattr(services.samples, "sample", lambda *_: replace(whole, image=None))
    at = open_page("compare", sample=whole.sample_id, budget="8", a="deepest")
    assert not at.exception
    assert any("picture of this item is not on this machine" in i.value for i in at.info)
    assert "answered it" in texts(at)  # the measured outcome is still told
    assert "ask" not in [b.key for b in at.button]


def test_plans_that_coincide_are_named(recorded, engine, open_page):
    at = open_page("compare", budget="1", a="deepest", b="deepest")
    assert "deepest = deepest: the same layers, so one plan" in texts(at)


def test_choosing_another_sample_asks_again(recorded, engine, open_page):
    at = open_page("compare")
    at.button(key="ask").click().run()
    other = services.samples.gallery("tiny")[3]
    at.button(key=f"pick_{other.sample_id}").click().run()
    assert not at.exception
    assert other.question in [t.value for t in at.text]
    assert "Press Ask" in texts(at)
    assert at.query_params["sample"] == other.sample_id


def test_the_gallery_shows_one_task_when_asked(recorded, engine, open_page):
    at = open_page("compare", show="count")
    picks = [b for b in at.button if b.key.startswith("pick_")]
    assert len(picks) > 1
    assert {services.samples.sample("tiny", b.key.removeprefix("pick_")).task for b in picks} == {"count"}


def test_a_link_to_a_plan_by_hand_asks_that_plan(recorded, engine, open_page):
    at = open_page("compare", a="manual", manual=["2", "5"])
    at.button(key="ask").click().run()
    assert engine.requests[0][1][1].dropped == (2, 5)
    assert "manual=2&manual=5" in at.code[0].value  # and the link to share says so again


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
    at = open_page("compare", sample="feedfeedfeedfeed", a="bogus", b="bogus", show="bogus")
    assert not at.exception
    read = texts(at)
    assert "no sample 'feedfeedfeedfeed' here" in read
    assert "a = bogus" in read and "b = bogus" in read and "show = bogus" in read


def test_without_a_model_it_says_what_was_recorded(recorded, open_page, monkeypatch):
    monkeypatch.setattr(services.models, "live", lambda model_id="tiny": False)
    at = open_page("compare", budget="8")
    assert not at.exception
    assert "recorded only" in texts(at)
    assert "(recorded)" in texts(at)
    assert "ask" not in [b.key for b in at.button]


# ------------------------------------------------------------------------------------------------ blind votes


def test_a_blind_vote_hides_every_name_until_it_is_cast(recorded, engine, open_page):
    at = open_page("compare", budget="3", a="deepest", b="uniform", blind="true")
    at.button(key="ask").click().run()
    assert not at.exception
    read = texts(at)
    for clue in ("deepest, −3", "all layers", "drops layers", "decoded together", "correct:", "wrong:", "parts from"):
        assert clue not in read, clue
    assert "Which answer is best?" in read
    shown = [t.value for t in at.text]
    at.button(key="vote_1").click().run()
    read = texts(at)
    assert "deepest, −3" in read and "drops layers" in read
    assert [t.value for t in at.text] == shown  # the same order as when the vote was cast
    (vote,) = at.session_state["votes"]
    assert sorted(vote["shown"]) == ["deepest, −3", "full model", "uniform, −3"] and vote["vote"] == vote["shown"][1]
    assert at.dataframe[-1].value.set_index("pane").best.to_dict()[vote["vote"]] == 1
    at.button(key="ask").click().run()
    at.button(key="vote_tie").click().run()
    assert "Votes in this session: 2, for neither: 1" in texts(at)


# ------------------------------------------------------------------------------------------------ recording


def test_recorded_answers_are_replayed_where_no_model_runs(recorded, engine, open_page, monkeypatch):
    at = open_page("compare", budget="3", a="deepest")
    at.button(key="ask").click().run()
    at.button(key="record").click().run()
    assert "2 answers recorded" in at.success[0].value
    files = sorted(services.answers.answers_folder().glob("*.json"))
    kept = [json.loads(f.read_text()) for f in files]
    assert {len(k["events"]) for k in kept} == {1, 2}
    assert all(k["model"]["revision"] and k["image_hash"] and not k["picture"] for k in kept)

    monkeypatch.setattr(services.models, "live", lambda model_id="tiny": False)
    at = open_page("compare", budget="3", a="deepest")
    assert at.button(key="ask").label == "Replay"
    at.button(key="ask").click().run()
    assert not at.exception
    assert "7 <b>or</b> 8" in [t.value for t in at.text]
    assert "recorded 20" in texts(at) and "parts from the full model at token 2" in texts(at)
    assert len(engine.requests) == 1


def test_a_damaged_recording_is_left_out(recorded, engine, open_page, monkeypatch):
    at = open_page("compare", budget="3", a="deepest")
    at.button(key="ask").click().run()
    at.button(key="record").click().run()
    for file in services.answers.answers_folder().glob("*.json"):
        file.write_text(file.read_text().replace('"question": "', '"question": "not '))
    assert services.answers.recorded_answers() == ()


# ------------------------------------------------------------------------------------------------ hostile text


def test_hostile_answers_reach_no_element_that_reads_markup(recorded, engine, open_page):
    engine.words = (HOSTILE, HOSTILE)
    at = open_page("compare", a="deepest")
    at.button(key="ask").click().run()
    assert not at.exception
    assert HOSTILE + HOSTILE in [t.value for t in at.text]
    read = [str(e.value) for kind in ("markdown", "caption", "badge", "info", "error") for e in at.get(kind)]
    for piece in ("<script>", "![x](", "$\\frac", ":material/home:", ":red[hi]"):
        assert not [text for text in read if piece in text]
