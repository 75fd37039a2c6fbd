"""What a visitor can see of a model here: live, recorded, their own, or missing."""

from dashboard.services import models, scores, similarities


def availability(model_id: str) -> list[tuple[str, str, str]]:
    """What a visitor can see of a model: (what, live | recorded | yours | missing, details)."""
    found = []
    if models.live(model_id):
        found.append(("Answers, calibration, sweeps", "live", f"on {models.device()}"))
    else:
        found.append(("Answers", "missing", "torch or the weights are not here, so pages show what was recorded"))
    for source in similarities.sources(model_id):
        held = similarities.atlas(model_id, source)
        found.append(
            (
                "Similarities",
                "yours" if source == "own" else source,
                f"of {len(held.samples)} samples, {held.created[:10]}",
            )
        )
    for runs, how in ((scores.sources().recorded, "recorded"), (scores.sources().own, "yours")):
        ours = [r for r in runs if r.model.model_id == model_id]
        if ours:
            found.append(("Scores", how, f"of {len(ours)} runs, {max(r.created for r in ours)[:10]}"))
    return found
