"""A plan in the formats of other tools: mergekit's configuration and a Python snippet. Nothing here knows torch."""

import json

from core.records.plan import PruningPlan


def kept_runs(plan: PruningPlan) -> list[tuple[int, int]]:
    """Half-open runs [start, stop) of consecutive kept layers."""
    runs: list[tuple[int, int]] = []
    for i in plan.kept:
        if runs and runs[-1][1] == i:
            runs[-1] = (runs[-1][0], i + 1)
        else:
            runs.append((i, i + 1))
    return runs


def mergekit_yaml(plan: PruningPlan, model_ref: str) -> str:
    """A passthrough merge that keeps the plan's layers.

    mergekit treats a vision-language model as several modules and slices each on its own. The names are those of its
    own definitions (Qwen-VL, Gemma 3, Mistral 3); for a family that it infers, its log shows the names to use.

    Args:
        model_ref: a Hub id or a folder.
    """
    model = json.dumps(model_ref)  # a JSON string is a quoted YAML string
    dropped = ", ".join(map(str, plan.dropped)) or "none"
    lines = [
        f"# {plan.criterion}: drops layers {dropped} of 0 to {plan.n_layers - 1}",
        "# num_hidden_layers of the text config becomes " + str(len(plan.kept)),
        "merge_method: passthrough",
        "modules:",
        "  text_decoder:",
        "    slices:",
    ]
    for start, stop in kept_runs(plan):
        lines += ["    - sources:", f"      - model: {model}", f"        layer_range: [{start}, {stop}]"]
    for module in ("vision_tower", "multi_modal_projector"):
        lines += [f"  {module}:", "    models:", f"    - model: {model}"]
    return "\n".join(lines) + "\n"


def python_snippet(plan: PruningPlan) -> str:
    """Python that loads the model and applies the plan as a view, sharing all weights."""
    criterion = "".join(c for c in plan.criterion if c.isprintable())
    return "\n".join(
        [
            "from core.vlm import load_vlm, pruned_view",
            "",
            f"vlm = load_vlm({plan.model_id!r})",
            f"dropped = {list(plan.dropped)!r}  # {criterion}",
            "model = pruned_view(vlm.model, dropped)  # shares every weight with vlm.model",
            "",
        ]
    )
