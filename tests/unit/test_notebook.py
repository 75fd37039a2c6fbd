"""The notebook of examples/ runs from its first cell to its last, as Jupyter runs it."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from core import settings
from core.analysis.regime_map import LABELS

NOTEBOOK = settings.ROOT / "examples" / "quickstart.ipynb"


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_kept_without_outputs() -> None:
    """They would change at every run, and a chart holds its data."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert len(code_cells(notebook)) > 10
    assert not any(cell.outputs or cell.execution_count for cell in code_cells(notebook))


@pytest.mark.slow
def test_every_cell_runs_and_shows_what_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STRATA_HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", str(settings.ROOT))  # this tree, whatever is installed
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    in_another_folder = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=in_another_folder).execute()
    shown = [json.dumps(cell.outputs) for cell in code_cells(notebook)]
    assert sum("vegaEmbed" in s for s in shown) == 5  # charts, drawn without Streamlit
    assert sum("image/png" in s for s in shown) == 1
    text = " ".join(shown)
    assert "VLM('tiny'" in text and "SimilarityAtlas('tiny'" in text
    assert "(10, " in text  # the view of 16 layers without six
    assert "SweepReport(scored=" in text and "reused=0" in text
    assert any(f"At 8 dropped layers the regime is {label}" in text for label in LABELS)
    assert "On math, by the number of dropped layers, the regimes are" in text
    assert not (tmp_path / "STRATA_HOME" / "runs").exists()  # the sweep has a store of its own
