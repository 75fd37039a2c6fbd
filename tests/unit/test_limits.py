"""Limits of a public instance: what is read from the environment, refused, and by whom."""

import pytest

from core import settings
from core.errors import LimitError
from core.limits import DEMO, Limits, load_limits

HEX = "0123456789abcdef0123456789abcdef01234567"
HOSTILE = [
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "~",
        "~root/x",
        "./tiny",
        "tiny/..",
        "org/../tiny",
        "org/name/../..",
    ),
    *("org/name@main", f"org/name@{HEX}", "org//name", "org/name/x", "org\\name", "C:\\models", "file:///etc", "TINY"),
    *("http://evil.example/x", "tiny\0", "tiny\n", " tiny", "tiny ", "", "org/name?x=1", "org/name#x", "$(id)", "`id`"),
    *("<script>alert(1)</script>", "a" * 10_000, "tіny", "org/name;rm -rf"),
]


def test_by_itself_on_a_space_and_never_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.delenv("STRATA_DEMO", raising=False)
    assert load_limits() == Limits()
    monkeypatch.setenv("SPACE_ID", "org/space")
    assert load_limits() == DEMO
    monkeypatch.setenv("STRATA_DEMO", "0")
    assert load_limits() == Limits()


def test_each_bound_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_DEMO", "1")
    monkeypatch.setenv("STRATA_MODELS", f"org/name@{HEX}")
    monkeypatch.setenv("STRATA_ANSWER_S", "7.5")
    monkeypatch.setenv("STRATA_QUEUE", "3")
    monkeypatch.setenv("STRATA_WORK", "1")
    found = load_limits()
    assert (found.model_ids, found.answer_s, found.queue, found.work) == (("tiny", "org/name"), 7.5, 3, False)
    assert found.revision("org/name") == HEX and found.revision("tiny") is None
    monkeypatch.setenv("STRATA_QUEUE", "many")
    with pytest.raises(LimitError, match="give a number"):
        load_limits()


@pytest.mark.parametrize("models", ["org/name", "org/name@main", f"../name@{HEX}", f"/etc@{HEX}", f"org/name@{HEX}0"])
def test_a_model_without_a_pinned_revision_is_refused(monkeypatch: pytest.MonkeyPatch, models: str) -> None:
    monkeypatch.setenv("STRATA_MODELS", models)
    with pytest.raises(LimitError, match="40 hexadecimal"):
        load_limits()


def test_thirty_hostile_model_ids_are_refused_in_one_line() -> None:
    assert len(HOSTILE) >= 30
    limits = Limits(models=(("org/name", HEX),))
    for model_id in HOSTILE:
        with pytest.raises(LimitError) as caught:
            limits.revision(model_id)
        assert len(str(caught.value)) < 250


def test_questions_pictures_and_tokens_are_bounded() -> None:
    DEMO.check_question("x" * 200, DEMO.upload_bytes)
    with pytest.raises(LimitError, match="201 characters"):
        DEMO.check_question("x" * 201)
    with pytest.raises(LimitError, match="MB"):
        DEMO.check_question("x", DEMO.upload_bytes + 1)
    DEMO.check_tokens(DEMO.session_tokens - 48, 48)
    with pytest.raises(LimitError, match="this session"):
        DEMO.check_tokens(DEMO.session_tokens - 47, 48)
    Limits().check_tokens(10**9, 10**9)
    with pytest.raises(LimitError, match="switched off"):
        DEMO.check_work("importing runs")


def test_a_folder_of_a_container_that_cannot_be_written_falls_back(monkeypatch, tmp_path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STRATA_HOME", str(blocked / "data"))
    assert settings.data_dir() == blocked / "data"  # of a user's own machine: said, not silently moved
    monkeypatch.setenv("STRATA_CONTAINER", "1")
    assert settings.data_dir() == tmp_path / ".cache" / "strata"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("STRATA_ANSWER_S", v) for v in ("nan", "inf", "-inf", "-1", "soon")),
        *(("STRATA_IDLE_S", v) for v in ("nan", "inf", "-0.5")),
        *(("STRATA_UPLOAD_BYTES", v) for v in ("-1", "5242881", "99999999999", "nan", "2.5")),
        *(("STRATA_NEW_TOKENS", v) for v in ("0", "49", "-3", "many")),
        *(("STRATA_QUESTION_CHARS", v) for v in ("0", "-200")),
        ("STRATA_QUEUE", "-1"),
        *(("STRATA_DEMO", v) for v in ("maybe", "2", "ture")),
    ],
)
def test_a_bound_that_cannot_hold_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """nan passed every comparison, and an upload of 50 MB was promised where 5 MB are opened; "maybe" was on.

    Of these values, 12 were taken before.
    """
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(LimitError, match=rf"^{variable} is '?{value[:3]}") as caught:
        load_limits()
    assert "give" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("value", "on"), [("1", True), ("TRUE", True), (" yes ", True), ("Off", False), ("", False)])
def test_switches_are_on_or_off(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv("STRATA_REPLAY", value)
    assert settings.on("STRATA_REPLAY") is on


def test_the_bound_that_is_stated_is_the_one_that_holds() -> None:
    from core.benchmarks.images import MAX_BYTES
    from core.limits import MOST

    assert MOST["upload_bytes"] == MAX_BYTES == Limits().upload_bytes
    assert (Limits().upload_mb, DEMO.upload_mb, Limits(upload_bytes=512 * 1024).upload_mb) == ("5 MB", "2 MB", "0.5 MB")
