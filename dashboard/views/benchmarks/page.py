"""Benchmarks: score against budget with its uncertainty, the items behind a mark, regimes, paired tests, and cost."""

import streamlit as st

from core.analysis import tables
from core.charts import scores as score_charts
from core.errors import StrataError
from dashboard import services, state, widgets
from dashboard.charts import drawn
from dashboard.text import plain

CARDS = 8  # flipped items on one page
PAIR_COLUMNS = {
    "a": "A",
    "b": "B",
    "n": st.column_config.NumberColumn("Items"),
    "a_only": st.column_config.NumberColumn("Only A right"),
    "b_only": st.column_config.NumberColumn("Only B right"),
    "difference": st.column_config.NumberColumn("A − B", format="%+.1f points"),
    "interval": st.column_config.TextColumn("95 % interval", alignment="right", help="Paired bootstrap over the items"),
    "p": st.column_config.TextColumn("p", alignment="right", help="Exact McNemar test"),
    "p_holm": st.column_config.TextColumn("p (Holm)", alignment="right", help="Adjusted for all pairs shown"),
    "visible": st.column_config.NumberColumn(
        "Could see",
        format="%.1f points",
        help="The smallest difference that a test on these items finds with 80 % power, as often as the two disagree",
    ),
}


def show_scores() -> None:
    """The curves, their key, and what must be said about them. A click on a mark chooses the plan and the budget."""
    chart = f"scores_{picked}_{budget}"  # a chart of its own for each choice: a click that repeats one still counts
    references = services.reference_points(model_id, domain, measure) if by == "domain" else None
    widgets.criteria_legend(score_charts.ordered(chosen))
    widgets.figure(
        drawn(
            score_charts.score_chart,
            points,
            envelope,
            full,
            model.n_layers,
            measure=measure,
            intervals=intervals,
            regimes=regimes if by == "domain" else None,
            boundaries=services.boundaries(model_id, domain, data) if by == "domain" else (),
            references=references,
            picked=(picked, budget) if picked else None,
        ),
        tables.drawn_numbers(points, envelope, references),
        name="scores",
        alt_text=f"{measure} on {group} against dropped layers, for {', '.join(chosen) or 'random plans only'}",
        columns=widgets.SHARES,
        on_select=lambda: state.pick_point(chart),
        selects="point",
        key=chart,
    )
    widgets.regime_legend(
        "A dashed line is where a regime ends or begins, the bar at its foot the 95 % interval. Grey: 10th to 90th "
        "percentile of the random plans, dotted their median. Marks of one budget stand slightly apart, so that equal "
        "scores do not hide each other."
    )
    if references is not None and len(references):
        sources = references[["benchmark", "origin"]].drop_duplicates().itertuples()
        named = ", ".join(f"{plain(s.benchmark)} ({s.origin})" for s in sources)
        st.caption(f":material/radio_button_unchecked: Hollow marks were not measured here: {named}.")
    same = tables.coinciding(points)
    if same:
        said = "; ".join(f"**{plain(names)}** at {tables.as_ranges(budgets)}" for names, budgets in same)
        st.caption(f":material/join: The same layers, so one plan: {said} layers dropped.")
    n = int(points.n.max()) if len(points) else int(table.n.max())
    widgets.runs_provenance([r for r in services.chosen_records(model_id, data) if r.domain == domain], model, n)


def show_flips() -> None:
    """The items that the picked plan answers differently from the full model; each opens in Compare."""
    plan = services.measured_as(model_id, picked, budget, data)
    flips = services.flips(model_id, picked, budget, domain, data)
    if by == "task":
        flips = flips[flips.task == group]
    if plan is None or flips.empty:
        st.info(
            f"{plain(picked)} was not measured at budget {budget} on {domain}: click a mark, or sweep this budget."
            if plan is None
            else f"No item of {group} changed at budget {budget} under {plain(picked)}.",
            icon=":material/info:",
        )
        return
    counts = flips.change.value_counts()
    st.caption(
        f"{plain(picked)} at budget {budget} drops layers {tables.as_ranges(plan.dropped)}. Of the items it answers "
        f"differently from the full model, {counts.get('lost', 0)} went from right to wrong and "
        f"{counts.get('gained', 0)} from wrong to right."
        + (" First come those whose gold answer changed most in likelihood." if flips.plan_nll.notna().any() else "")
    )
    left, right = st.columns([1, 2], gap="large")
    with left:
        tasks = tables.flips_by_task(flips, services.score_table(model_id, "task", data))
        widgets.figure(
            drawn(score_charts.flip_chart, tasks),
            tasks,
            name="flips-by-task",
            alt_text=f"Share of each task's items that {picked} loses or gains at budget {budget}",
        )
    with right:
        change = state.choice("change", "Show", [c for c in ("all", "lost", "gained") if c == "all" or c in counts])
        listed = flips if change == "all" else flips[flips.change == change]
        pages = -(-len(listed) // CARDS)
        link = state.plan_link(model_id, plan)
        cards = st.grid(4, min_column_width=140, gap="small")
        page = st.pagination(pages, key=f"page_{picked}_{budget}_{domain}_{group}_{change}") if pages > 1 else 1
        for item in listed.iloc[(page - 1) * CARDS : page * CARDS].itertuples():
            with cards.cell(), st.container(border=True, gap="xsmall", height="stretch"):
                show_item(item, link)
    widgets.twin(listed, name="flipped", title=f"All {len(listed)} items as a table")


def show_item(item, link: dict[str, str | list[str]]) -> None:
    picture = services.item_picture(model_id, str(item.item_id))
    if picture is not None:
        st.image(picture, width="stretch", alt=f"The picture of the question: {item.question}")
    lost = item.change == "lost"
    st.badge("right → wrong" if lost else "wrong → right", color="red" if lost else "green")
    st.text(item.question)
    st.text(f"Gold: {item.gold}")
    losses = f" · NLL {item.full_nll:.2f} → {item.plan_nll:.2f}" if item.plan_nll == item.plan_nll else ""
    st.caption(f"{plain(item.task)}{losses}")
    st.page_link(
        "views/compare/page.py",
        label="Compare",
        icon=":material/compare:",
        query_params=state.link(model_id, budget, sample=str(item.item_id), **link),
    )


def show_failures() -> None:
    """Pruning changes the form of answers before it changes what is known: both must be seen apart."""
    frame = tables.failure_table(services.answered_records(model_id, domain, data))
    frame = frame[frame.criterion.isin([picked, tables.FULL])].sort_values(["n_drop", "failure"])
    if frame.empty:
        return
    st.subheader("How do answers fail?", anchor=False)
    st.caption(
        f"Of the full model and of {plain(picked)}: answers that are wrong, and those from which none could be read "
        "(unparsable), that go round in circles, ran into the token limit, or are empty. A rise of the latter is a "
        "change of form, not of knowledge."
    )
    widgets.figure(
        drawn(score_charts.failure_chart, frame),
        frame,
        name="failures",
        alt_text=f"Share of each kind of failure against layers dropped, for {picked} on {domain}",
        columns={"share": st.column_config.NumberColumn(format="percent")},
    )


def show_figures() -> None:
    """Scores that somebody published or another harness wrote, without outcomes: never mixed with what is measured."""
    st.subheader("What others state", anchor=False)
    st.caption(
        "Figures that are published, or that another harness wrote without outcomes item by item, so that no test can "
        "compare them with runs. Those of this model that say how many layers were dropped are hollow marks above."
    )
    figures = tables.figure_table(services.figures())
    widgets.twin(figures, name="figures", title=f"{len(figures)} published and imported figures")


def show_regimes() -> None:
    evidence = services.regime_table(model_id, domain, data)
    if evidence.empty:
        st.info(
            "A regime needs several criteria and random plans at one budget: widen the sweep.", icon=":material/info:"
        )
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for label, rows in evidence.groupby("label", sort=False):
            widgets.regime_badge(str(label))
            st.caption(f"layers dropped: {tables.as_ranges([int(k) for k in rows.n_drop])}", width="content")
    for b in services.boundaries(model_id, domain, data):
        said = f"between {b.low} and {b.high}" if b.low != b.high else f"at {b.low} in nearly all resamples"
        st.caption(f"**{b.regime} {b.edge}** after {b.after} dropped layers (95 % interval: {said}).")
    found = services.regime_map(model_id, domain, data)
    if found:
        st.markdown(found.explain(budget))
    widgets.twin(evidence, name=f"regimes-{domain}", title=f"Evidence at every budget on {domain}")


def show_pairs() -> None:
    pairs = services.pairs(model_id, [tables.FULL, *chosen], budget, domain, data)
    if pairs.empty:
        budgets = tables.as_ranges([int(k) for k in points.n_drop.unique()])
        st.info(
            f"No two of these criteria were measured at budget {budget}: choose one of {budgets or 'none yet'}.",
            icon=":material/info:",
        )
        return
    st.caption(
        f"{budget} layers dropped, the same {int(pairs.n.min())} {domain} items: exact McNemar test, p also adjusted "
        f"for the {len(pairs)} pairs (Holm), and the paired bootstrap interval of the difference. A difference smaller "
        "than the last column may go unseen (80 % power, 5 % level)."
    )
    st.dataframe(
        tables.pairs_as_read(pairs),
        hide_index=True,
        placeholder="–",
        column_config=PAIR_COLUMNS,
        alt=f"Paired tests between criteria at {budget} dropped layers",
    )
    with st.container(horizontal=True):
        widgets.downloads(pairs, "pairs")


def show_costs() -> None:
    costs = services.plan_costs(model_id, data)
    known = {name: column for name, column in score_charts.COSTS.items() if column in costs}
    cost = known[state.choice("cost", "Against", list(known))]
    frame = tables.cost_frame(table, costs, cost, group, chosen)
    whole = costs[costs.plan_id.isin(table[table.n_drop == 0].plan_id)][cost]
    if frame.empty or whole.empty:
        st.info("The full model was not measured on these items: a sweep measures it first.", icon=":material/info:")
        return
    widgets.figure(
        drawn(score_charts.cost_chart, frame, cost, (float(whole.iloc[0]), tables.full_score(table, group))),
        frame,
        name="cost",
        alt_text=f"Score on {group} against {cost} of every measured plan, Pareto front marked",
        columns=widgets.SHARES,
    )
    st.caption(
        f"Ringed and joined: the Pareto front, {frame.plan_id[frame.front].nunique()} plans that no other measured one "
        "beats. It was chosen on these items, so it flatters its plans: confirm one on others. Grey: random plans."
    )
    widgets.provenance(services.cost_said(model, cost), f"scores as above, n = {int(frame.n.max())} items")


# ------------------------------------------------------------------------------------------------ the page

model_id = widgets.header(
    "How much does each criterion keep?",
    "Right answers of each measured plan, with 95 % Wilson intervals. Higher is better; grey: what random plans reach. "
    "Click a mark to see the items that flipped.",
)
try:
    model = services.spec(model_id)
    outcomes = services.outcomes(model_id)
except StrataError as error:
    st.error(str(error), icon=":material/error:")
    widgets.no_runs(model_id)
    st.stop()
if outcomes.empty:
    widgets.no_runs(model_id)
    st.stop()

domains = tables.ordered_groups(services.score_table(model_id).group)
with st.container(horizontal=True, vertical_alignment="bottom"):
    domain = state.domain(domains)
    by = state.choice("by", "Items of", ["domain", "task"])
    measure = state.choice("measure", "Measure", ["score", "retention"])
    intervals = state.choice("interval", "Intervals", ["bands", "bars", "none"])
    data = state.data_set(model_id, domain)
domain_table = services.score_table(model_id, "domain", data)
measured = domain_table[(domain_table.group == domain) & (domain_table.n_drop > 0)].criterion.unique()
chosen = state.curves(score_charts.ordered(c for c in measured if c != "random"))

table, group = domain_table, domain
if by == "task":
    table = services.score_table(model_id, "task", data)
    group = state.task(services.tasks(model_id, domain, data))
points = tables.curves(table, chosen, [group], measure)
envelope = tables.random_envelope(table, [group], measure)
full = tables.full_score(table, group) if measure == "score" else 1.0
if measure == "retention" and points.value.isna().all():
    st.info(
        "Retention needs the full model's score on these items: run a sweep, which measures it first.",
        icon=":material/info:",
    )
    st.stop()

regimes: dict[int, str] = {}
with widgets.show_errors():
    regimes = services.regime_labels(model_id, domain, data)

chart_slot = st.container()
st.subheader("Items that flipped", anchor=False)
if chosen:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        picked = state.picked_plan(chosen)
        with st.container(width=300):
            budget = state.budget(model)
    with widgets.show_errors():
        show_flips()
else:
    picked, budget = "", state.budget(model)
    st.info("Choose a criterion above to see its items.", icon=":material/info:")
with chart_slot, widgets.show_errors():
    show_scores()
with widgets.show_errors():
    show_failures()

st.subheader("Which differences are real?", anchor=False)
with widgets.show_errors():
    show_pairs()

st.subheader("Regimes and their evidence", anchor=False)
with widgets.show_errors():
    show_regimes()

st.subheader("Score against cost", anchor=False)
with widgets.show_errors():
    show_costs()
show_figures()
