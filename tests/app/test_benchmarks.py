"""Benchmarks: curves, the way from a mark to an item in Compare, paired tests, regimes, cost, scores from elsewhere."""

from dataclasses import replace

from core.analysis import tables
from core.records.items import ItemSet
from dashboard import services
from tests.app.conftest import texts

QUESTION = "<script>alert(1)</script> ![x](http://evil.example/x.png) $\\frac{1}{2}$ :material/home: " + "w" * 300


def frame(at, column: str):
    """The first table on the page that has this column."""
    return next(d.value for d in at.dataframe if column in d.value)


def links(at) -> list[str]:
    return [link.proto.query_string for link in at.page_link if link.value == "Compare"]


def test_shows_scores_flips_pairs_regimes_and_costs(recorded, engine, open_page):
    at = open_page("benchmarks", budget="6", curves=["math_aware", "uniform"])
    assert not at.exception
    assert len(at.get("vega_lite_chart")) == 3  # scores, flips by task, cost
    pairs = frame(at, "a_only")
    assert len(pairs) == 3  # full, math_aware, uniform
    assert set(pairs["n"]) == {40}
    assert pairs.interval.str.contains(" to ").all()
    read = texts(at)
    assert "the same 40 math items: exact McNemar test" in read
    assert "may go unseen" in read
    assert "from right to wrong" in read
    assert "At 6 dropped layers the regime is" in read
    assert "the Pareto front" in read and "FLOPs are estimated" in read


def test_flipped_items_open_in_compare_with_their_plan(recorded, engine, open_page):
    at = open_page("benchmarks", budget="6", curves=["math_aware"], plan="math_aware")
    outcomes = services.scores.view("tiny").outcomes
    expected = tables.flipped(outcomes, "math_aware", 6, "math")
    assert len(expected) > 0
    first = links(at)[0]
    assert "a=math_aware" in first and f"sample={expected.item_id[0]}" in first and "budget=6" in first


def test_a_plan_that_the_present_calibration_would_not_choose_is_linked_by_its_layers(
    recorded, engine, open_page, monkeypatch
):
    measured = services.scores.view("tiny").measured_as("math_aware", 6)
    monkeypatch.setattr(services.plans, "plan", lambda _atlas, criterion, _budget: replace(measured, dropped=(1, 2)))
    at = open_page("benchmarks", budget="6", curves=["math_aware"])
    assert "a=manual" in links(at)[0]
    assert [part for part in links(at)[0].split("&") if part.startswith("manual=")] == [
        f"manual={i}" for i in measured.dropped
    ]


def test_only_lost_or_only_gained_items(recorded, engine, open_page):
    at = open_page("benchmarks", budget="6", curves=["math_aware"], change="lost")
    assert not at.exception
    assert {b.value for b in at.get("badge") if "→" in str(b.value)} <= {"right → wrong"}


def test_by_task_and_retention(recorded, engine, open_page):
    at = open_page("benchmarks", by="task", measure="retention", domain="general", task="exists")
    assert not at.exception
    assert at.selectbox(key="task").value == "exists"


def test_says_which_plans_coincide(recorded, engine, open_page):
    at = open_page("benchmarks")
    assert "The same layers, so one plan" in texts(at)


def test_without_runs_it_points_to_the_runs_page(nothing, engine, open_page, monkeypatch):
    from tests.app.synthetic import SPEC

    monkeypatch.setattr(services.models, "spec", lambda model_id: SPEC)
    at = open_page("benchmarks")
    assert not at.exception
    assert "Start a sweep or import runs" in [link.value for link in at.page_link]


def test_bad_values_in_the_link_never_crash(recorded, engine, open_page):
    at = open_page(
        "benchmarks", domain="x", by="y", measure="z", curves=["q"], budget="-1", interval="w", plan="p", cost="c"
    )
    assert not at.exception
    assert len(at.warning) == 8


def own_runs(change, keep=lambda r: r.plan.criterion in ("full", "uniform")) -> None:
    """Put changed copies of recorded runs into the user's store."""
    from cache.run_store import RunStore
    from core.library.finding import user_runs_path

    with RunStore(user_runs_path()) as store:
        for record in [r for r in services.scores.view("tiny").setting if keep(r)]:
            store.put(change(record))
        store.put_items(ItemSet("own", "math", "test", "ownmath", ()))


def first_ten(record):
    ten = {k: getattr(record, k)[:10] for k in ("item_ids", "correct", "gold_nll")}
    return replace(record, data_hash=f"own{record.domain}", benchmark="own", **ten)


def test_scores_are_never_mixed_over_item_sets(recorded, engine, open_page):
    """A benchmark of one's own counts beside the recorded one, by the mean of both; each can be chosen by hand."""
    own_runs(first_ten)  # two criteria only: too few plans to count
    at = open_page("benchmarks", curves=["uniform"])
    assert not at.exception
    assert set(frame(at, "a_only")["n"]) == {40}
    at = open_page("benchmarks", curves=["uniform"], data="own, 10 items, ownmath")
    assert not at.exception
    assert set(frame(at, "a_only")["n"]) == {10}


def test_imported_scores_stand_beside_the_measured_ones_and_say_so(recorded, engine, open_page):
    own_runs(lambda r: replace(first_ten(r), origin="imported", benchmark="![x](http://evil)"))
    at = open_page("benchmarks", curves=["uniform"])
    assert not at.exception
    assert "Hollow marks were not measured here" in texts(at) and "(imported)" in texts(at)
    assert "![x](" not in texts(at)
    assert set(frame(at, "a_only")["n"]) == {40}  # and no test mixes them with the others
    assert len(services.scores.view("tiny").references("math")) == 8


def test_hostile_questions_are_shown_as_text(recorded, engine, open_page, monkeypatch):
    honest = services.scores.sources()

    def hostile(items: ItemSet) -> ItemSet:
        return replace(items, items=tuple(replace(i, question=QUESTION, answer=QUESTION) for i in items.items))

    tampered = replace(honest, items={h: hostile(s) for h, s in honest.items.items()})
    monkeypatch.setattr(services.scores, "sources", lambda: tampered)
    at = open_page("benchmarks", budget="6", curves=["math_aware"])
    assert not at.exception
    assert QUESTION in [t.value for t in at.text]
    read = [str(e.value) for kind in ("markdown", "caption", "badge", "info") for e in at.get(kind)]
    for piece in ("<script>", "![x](", "$\\frac", ":material/home:"):
        assert not [text for text in read if piece in text]
