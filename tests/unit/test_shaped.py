"""Models of a given shape with random weights."""

import json
from pathlib import Path

import pytest
import torch

from core import settings
from core.cli import main as cli
from core.errors import ModelError
from core.records.plan import PruningPlan
from core.scenes.samples import draw_samples
from core.vlm.forest import score_plans
from core.vlm.loading import load_outline
from core.vlm.shaped import load_random

SHIPPED = settings.ASSETS / "shapes" / "llava-8b"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The shipped shape, cut down."""
    shape = json.loads((SHIPPED / "config.json").read_text())
    shape["vision_config"] |= {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 42,
    }
    shape["text_config"] |= {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "vocab_size": 800,
    }
    (tmp_path / "config.json").write_text(json.dumps(shape))
    return tmp_path


def test_the_shipped_shape_has_eight_billion_parameters() -> None:
    spec = load_outline(str(SHIPPED)).spec
    assert spec.n_layers == 32 and 8.0e9 < spec.n_parameters < 8.6e9


@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
def test_a_shape_becomes_a_model_that_scores_samples(small: Path, dtype: str) -> None:
    vlm = load_random(str(small), "cpu", dtype)
    assert vlm.spec.n_layers == 3 and vlm.model.dtype == (torch.float32 if dtype == "auto" else torch.bfloat16)
    assert len({float(p.float().std()) for p in vlm.model.parameters() if p.ndim == 2}) > 10  # drawn, not left empty
    scores = score_plans(vlm, [PruningPlan("", 3, (1,))], draw_samples("test", 0, 2))
    assert (scores.gold_nll > 1).all()


def test_what_is_missing_is_said_in_one_line(small: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no shape in .* a folder that holds a config\.json"):
        load_random(str(tmp_path / "nothing"))
    shape = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps(shape | {"model_type": "llava_next"}))
    with pytest.raises(ModelError, match="holds no processor that can be read"):
        load_random(str(small))


def test_a_bench_takes_a_shape(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.app(["bench", "view", "--random-weights", str(small), "--rounds", "1", "--json"], standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    assert report["machine"]["model"] == f"random weights of {small.name}"
    assert report["cases"][0]["agree"] is True
