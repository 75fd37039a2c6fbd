"""The command `models`: known models and where they would run."""

from rich.table import Table

from core.cli.shared import JsonOption, err, out, print_json


def models(as_json: JsonOption = False) -> None:
    """Known models: the embedded one and those in the local Hub cache, with depth, size, and where they would run."""
    from core.vlm.loading import known_models, quiet_transformers
    from core.vlm.placement import loaded_bytes, memory_bytes, roomy_place

    quiet_transformers()
    room = memory_bytes()
    specs, skipped = known_models()
    rows = []
    for spec in specs:
        size = loaded_bytes(spec)
        place = roomy_place(size)
        rows.append({**spec.to_dict(), "weights_bytes": size, "fits": place is not None, "runs_on": place})
    if as_json:
        print_json({"memory_bytes": room, "models": rows, "unsupported": skipped})
        return
    table = Table(title=f"Models ({room / 2**30:.1f} GiB of memory free)")
    for heading in ("model", "family", "layers", "parameters", "weights here", "attention", "runs on"):
        table.add_column(heading)
    for row in rows:
        weights = f"{row['weights_bytes'] / 2**20:,.1f} MiB"
        cells = (row["model_id"], row["family"], str(row["n_layers"]), f"{row['n_parameters']:,}", weights)
        table.add_row(*cells, row["attention"], row["runs_on"] or "does not fit")
    out.print(table)
    for name, why in skipped.items():
        err.print(f"{name}: {why}", markup=False, highlight=False)
