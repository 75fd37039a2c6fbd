"""The greedy drop order: round by round, the layer goes whose removal raises the loss on the calibration set least.

After Song et al. 2024 (arXiv:2402.09025). A round is one call of the forest, with one plan for each layer that is left;
orders are nested, so a stopped one is a shorter one, and is continued rather than begun again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.pruning.atlas import GreedyOrder
from core.records.plan import PruningPlan, protected_layers
from core.records.samples import Sample, data_hash

if TYPE_CHECKING:
    from core.vlm.loading import VLM


def greedy_orders(
    vlm: "VLM",
    samples_by_domain: Mapping[str, Sequence[Sample]],
    held: GreedyOrder | None = None,
    *,
    protect_ends: bool = True,
    batch_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[GreedyOrder]:
    """The order after each round, one layer longer each time; a caller that stops asking loses nothing it was given.

    Args:
        samples_by_domain: calibration samples; a domain's loss is the mean over its samples; domains weigh the same.
        held: an order to continue; used only if it is of these samples and of this protection.
        progress: called with (outcomes done, outcomes in all), an outcome being one plan on one sample.
    """
    from core.vlm.forest import score_plans
    from core.vlm.similarity import device_name

    samples = [s for group in samples_by_domain.values() for s in group]
    domains = np.repeat(np.arange(len(samples_by_domain)), [len(group) for group in samples_by_domain.values()])
    protected = protected_layers(vlm.spec.n_layers, vlm.spec.structural, protect_ends)
    blank = GreedyOrder(
        layers=(),
        losses=(np.nan,),
        protected=tuple(sorted(protected)),
        data_hash=data_hash(samples),
        n_samples=tuple((name, len(group)) for name, group in samples_by_domain.items()),
        device=device_name(vlm),
        created=datetime.now(UTC).date().isoformat(),
    )
    parts = ("data_hash", "n_samples", "protected")
    same = held is not None and all(getattr(held, part) == getattr(blank, part) for part in parts)
    order = held if held is not None and same else blank
    left = [i for i in range(vlm.spec.n_layers) if i not in protected | set(order.layers)]
    done, total = 0, len(samples) * (len(left) * (len(left) + 1) // 2 + (not order.layers))

    def losses(dropped: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
        nonlocal done

        def report(n: int, _of: int) -> None:
            if progress is not None:
                progress(done + n * len(dropped), total)

        plans = [PruningPlan(vlm.spec.model_id, vlm.spec.n_layers, d, "greedy") for d in dropped]
        nll = score_plans(vlm, plans, samples, batch_size=batch_size, progress=report).gold_nll
        done += len(dropped) * len(samples)
        found = np.mean([nll[:, domains == d].mean(1) for d in range(len(samples_by_domain))], axis=0)
        return np.where(np.isnan(found), np.inf, found)  # a model that overflows is the worst of all

    if not order.layers:
        order = replace(order, losses=(float(losses([()])[0]),))
    while left:
        found = losses([(*order.layers, layer) for layer in left])
        best = max(range(len(left)), key=lambda i: (-found[i], left[i]))  # ties go to the deeper layer
        order = replace(order, layers=(*order.layers, left.pop(best)), losses=(*order.losses, float(found[best])))
        yield order
