"""Calibration of the statistics on simulated sweeps: how often are they right where the truth was planted?

    python -m tests.calibration [--sweeps 200] [--jobs 2] [--kinds flat,rank] [--items 500]

The sweeps are those of simulated_sweeps.py; `KINDS` says what is planted. A label is right where it names what was
planted; where nothing was, "converged" and "undetermined" both are. Every budget at which the truth can be seen counts.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from core.analysis import RegimeMap, detect_regimes, mcnemar_exact, paired_bootstrap, smallest_detectable_difference
from core.analysis.regime_map import CONVERGED, RANKING, STRUCTURE, UNDETERMINED
from core.analysis.statistics import wilson_interval
from tests.simulated_sweeps import BUDGETS, FLAT, PER_LAYER, Effects, simulate

# ------------------------------------------------------------------------------------------------ regimes


@dataclass(frozen=True)
class Kind:
    """A kind of sweep: the effects below, between and above two change points, and which labels are right there.

    Without change points the first effects hold everywhere. What is not promised is shown to tell how soon power goes.
    """

    title: str
    effects: tuple[Effects, ...]
    right: tuple[tuple[str, ...], ...]
    promised: float | None = 0.9
    per_layer: float = PER_LAYER

    def parts(self, seed: int) -> dict[int, int]:
        """Budget -> which of the effects holds."""
        if len(self.effects) == 1:
            return dict.fromkeys(BUDGETS, 0)
        first, second = change_points(seed)
        return {k: int(k > first) + int(k > second) for k in BUDGETS}


ABSTAINS = (CONVERGED, UNDETERMINED)
RANK_6, RANK_3 = Effects(rank=0.06, own=0.03), Effects(rank=0.03, own=0.02)
RUNS_6, RUNS_3 = Effects(structure=0.06, own=0.03), Effects(structure=0.03, own=0.02)
RANK_2, RUNS_2 = Effects(rank=0.02, own=0.04), Effects(structure=0.02, own=0.04)
THREE = ((RANKING,), (CONVERGED,), (STRUCTURE,))
KINDS = {
    "flat": Kind("flat", (FLAT,), (ABSTAINS,), 0.95),
    "accidents": Kind("flat; layers fail on items of their own", (FLAT,), (ABSTAINS,), 0.95, per_layer=0.4),
    "own": Kind("plans differ by 6 for other reasons", (Effects(own=0.06),), (ABSTAINS,), 0.95),
    "rank": Kind("rank effect 6, other reasons 3", (RANK_6,), ((RANKING,),)),
    "rank3": Kind("rank effect 3, other reasons 2", (RANK_3,), ((RANKING,),), None),
    "structure": Kind("structure effect 6, other reasons 3", (RUNS_6,), ((STRUCTURE,),)),
    "structure3": Kind("structure effect 3, other reasons 2", (RUNS_3,), ((STRUCTURE,),), None),
    "changes": Kind("rank 6, then flat, then structure 6", (RANK_6, FLAT, RUNS_6), THREE),
    "changes3": Kind("rank 3, then flat, then structure 3", (RANK_3, FLAT, RUNS_3), THREE, None),
    "changes2": Kind("rank 2, flat, structure 2; other reasons 4", (RANK_2, FLAT, RUNS_2), THREE, None),
}


@dataclass(frozen=True)
class Outcome:
    """One simulated sweep: budget -> whether its label is right, and for each boundary its truth and what was said."""

    right: dict[int, bool]
    boundaries: tuple[tuple[int, tuple[int, int, int] | None], ...]


def change_points(seed: int) -> tuple[int, int]:
    """The last budget of each of the first two parts: 3 to 6, and at least two budgets later, up to 10."""
    rng = np.random.default_rng([seed, 1])
    first = int(rng.integers(3, 7))
    return first, int(rng.integers(first + 2, 11))


def sweep_outcome(kind: Kind, seed: int, n_items: int = 500, n_boot: int = 500) -> Outcome:
    """Simulate a sweep of a kind, detect its regimes, and compare them with what was planted."""
    parts = kind.parts(seed)
    planted = {k: kind.effects[part] for k, part in parts.items()}
    found = detect_regimes(simulate(seed, planted, n_items=n_items, per_layer=kind.per_layer), n_boot=n_boot)
    right = {k: found.label_at(k) in kind.right[part] for k, part in parts.items() if can_be_seen(k, planted[k])}
    edges = zip((RANKING, STRUCTURE), change_points(seed), strict=True) if len(kind.effects) > 1 else ()
    return Outcome(right, tuple((truth, _claim(found, regime)) for regime, truth in edges))


def can_be_seen(n_drop: int, effects: Effects) -> bool:
    """At 14 there is one plan, which has nothing to be compared with; at 1 all plans have the same longest run."""
    return n_drop < max(BUDGETS) and not (n_drop == 1 and effects.structure)


def _claim(found: RegimeMap, regime: str) -> tuple[int, int, int] | None:
    return next(((b.low, b.after, b.high) for b in found.boundaries if b.regime == regime), None)


def share_right(outcomes: Sequence[Outcome], budgets: Sequence[int] = BUDGETS) -> float:
    """Share of the budgets that can be seen, over all sweeps, whose label is right."""
    return float(np.mean([right for o in outcomes for k, right in o.right.items() if k in budgets]))


def claims(outcomes: Sequence[Outcome]) -> list[tuple[int, tuple[int, int, int]]]:
    """The true boundaries for which one was claimed, with the claims."""
    return [(truth, claim) for o in outcomes for truth, claim in o.boundaries if claim]


def coverage(outcomes: Sequence[Outcome]) -> float:
    """Share of claimed boundaries whose interval holds the true one."""
    return float(np.mean([low <= truth <= high for truth, (low, _, high) in claims(outcomes)]))


# ------------------------------------------------------------------------------------------------ intervals and tests


def wilson_coverage(n: int, p: float, repeats: int, seed: int = 0) -> float:
    """Share of Wilson intervals that hold the true accuracy p on n items."""
    counts = np.random.default_rng(seed).binomial(n, p, repeats)
    bounds = [wilson_interval(int(c), n) for c in counts]
    return float(np.mean([low <= p <= high for low, high in bounds]))


def _pairs(n: int, discordant: float, difference: float, repeats: int, seed: int) -> NDArray[np.int64]:
    """(repeats, 2) how many of n items only a, and only b, gets right."""
    shares = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    return np.random.default_rng(seed).multinomial(n, shares, repeats)[:, :2]


def paired_coverage(n: int, discordant: float, difference: float, repeats: int, seed: int = 0) -> float:
    """Share of paired bootstrap intervals that hold the true difference of accuracies."""
    hits = []
    for a_only, b_only in _pairs(n, discordant, difference, repeats, seed):
        a = np.arange(n) < a_only
        b = (np.arange(n) >= a_only) & (np.arange(n) < a_only + b_only)
        found = paired_bootstrap(a, b, n_boot=1000)
        hits.append(found.low <= difference <= found.high)
    return float(np.mean(hits))


def mcnemar_power(n: int, discordant: float, repeats: int, seed: int = 0) -> float:
    """Share of exact McNemar tests below 0.05 where the smallest detectable difference is true."""
    difference = smallest_detectable_difference(n, discordant)
    counts = _pairs(n, discordant, difference, repeats, seed)
    return float(np.mean([mcnemar_exact(int(a), int(b)) < 0.05 for a, b in counts]))


# ------------------------------------------------------------------------------------------------ the command


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=200, help="simulated sweeps of each kind")
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--kinds", default=",".join(KINDS), help="which, of " + ", ".join(KINDS))
    options = parser.parse_args()
    out = Console(width=140)

    title = "95 % intervals that hold the truth; power at the smallest detectable difference (80 %)"
    table = Table("items", "accuracy, Wilson", "difference, paired bootstrap", "power, exact McNemar", title=title)
    for n in (100, 300, 500, 1000):
        wilson = [wilson_coverage(n, p, 4000) for p in (0.1, 0.3, 0.5, 0.8, 0.95)]
        paired = [paired_coverage(n, s, d, 1000) for s, d in ((0.4, 0.0), (0.2, 0.05), (0.1, 0.05))]
        power = [mcnemar_power(n, s, 2000) for s in (0.5, 0.3, 0.1)]
        table.add_row(str(n), *(" ".join(f"{v:.1%}" for v in values) for values in (wilson, paired, power)))
    out.print(table)

    title = f"Regimes on {options.sweeps} simulated sweeps of each kind, {options.items} items, effects in points"
    headings = ("kind", "promised", "right", "by budget, 1 or 2 to 13 (%)", "edges claimed", "in interval", "width")
    table = Table(*headings, title=title)
    with ProcessPoolExecutor(options.jobs) as pool:
        for name in track(options.kinds.split(","), "simulating", console=Console(stderr=True)):
            kind = KINDS[name]
            found = list(pool.map(partial(sweep_outcome, kind, n_items=options.items), range(options.sweeps)))
            by_budget = (share_right(found, [k]) for k in BUDGETS if any(k in o.right for o in found))
            cells = [f"{share_right(found):.1%}", " ".join(f"{100 * share:.0f}" for share in by_budget)]
            if len(kind.effects) > 1:
                width = np.mean([high - low for _, (low, _, high) in claims(found)])
                cells += [f"{len(claims(found)) / (2 * len(found)):.0%}", f"{coverage(found):.1%}", f"{width:.1f}"]
            table.add_row(kind.title, f"{kind.promised:.0%}" if kind.promised else "", *cells)
    out.print(table)


if __name__ == "__main__":
    main()
