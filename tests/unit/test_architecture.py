"""The boundaries of ARCHITECTURE.md hold, and it names the files that there are."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("core", "cache", "dashboard")
FILES = sorted(p.relative_to(ROOT).as_posix() for room in ROOMS for p in (ROOT / room).rglob("*.py"))
SPEAKING = [f for f in FILES if (ROOT / f).read_text().strip()]  # an empty __init__.py has nothing to say


def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def imports(node: ast.AST) -> Iterator[str]:
    """Full names of everything that is imported below a node."""
    for n in ast.walk(node):
        if isinstance(n, ast.Import):
            yield from (alias.name for alias in n.names)
        elif isinstance(n, ast.ImportFrom):
            yield from (f"{n.module or '.' * n.level}.{alias.name}" for alias in n.names)


def imports_at_load(module: ast.Module) -> Iterator[str]:
    """Names imported when the module is: not inside functions, not for the type checker only."""
    stack: list[ast.AST] = list(module.body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack += node.orelse
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)
        else:
            stack += ast.iter_child_nodes(node)


def package(name: str) -> str:
    return name.split(".")[0]


# ------------------------------------------------------------------------------------------------ the map


def test_architecture_names_every_file_once_and_no_other() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`((?:core|cache|dashboard)/[\w/.-]+\.py)`", text))
    assert set(SPEAKING) - named == set(), "files that ARCHITECTURE.md does not name"
    assert named - set(FILES) == set(), "files that ARCHITECTURE.md names and that do not exist"
    rows = re.findall(r"^\| `([\w/.-]+\.py)` \|", text, re.MULTILINE)
    assert set(rows) == set(SPEAKING), "each file has a row in one of the tables"
    assert sorted(rows) == sorted(set(rows)), "and no other"


def test_other_paths_named_there_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    paths = re.findall(
        r"`((?:tests|assets|\.ci|\.streamlit)/[\w/.-]+|Makefile|pyproject\.toml|requirements[\w-]*\.txt)`", text
    )
    assert [p for p in paths if not (ROOT / p).exists()] == []


@pytest.mark.parametrize("path", SPEAKING)
def test_files_state_their_purpose_first(path: str) -> None:
    purpose = ast.get_docstring(tree(path))
    assert purpose and len(purpose.splitlines()[0]) > 20


def test_no_file_is_named_after_nothing_or_shadows_a_package() -> None:
    names = {Path(f).name for f in FILES}
    assert not names & {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert not {"dashboard/core.py", "dashboard/cache.py"} & set(FILES)
    assert not (ROOT / "dashboard" / "pages").exists()  # Streamlit would find it by itself


# ------------------------------------------------------------------------------------------------ the boundaries


@pytest.mark.parametrize("path", FILES)
def test_torch_is_loaded_in_core_vlm_only(path: str) -> None:
    loaded = {package(name) for name in imports_at_load(tree(path))}
    if not path.startswith("core/vlm/"):
        assert not loaded & {"torch", "transformers", "safetensors", "tokenizers", "huggingface_hub"}
        names = set(imports_at_load(tree(path)))
        assert not {n for n in names if n.startswith("core.vlm")}, "core.vlm brings torch: import it where it is used"


@pytest.mark.parametrize("path", FILES)
def test_streamlit_is_imported_in_the_dashboard_only(path: str) -> None:
    if not path.startswith("dashboard/"):
        assert "streamlit" not in {package(name) for name in imports(tree(path))}


@pytest.mark.parametrize("path", [f for f in FILES if not f.startswith("dashboard/")])
def test_the_library_does_not_know_the_dashboard(path: str) -> None:
    assert "dashboard" not in {package(name) for name in imports(tree(path))}


@pytest.mark.parametrize("path", FILES)
def test_nothing_unpickles_or_evaluates(path: str) -> None:
    module = tree(path)
    assert not {package(name) for name in imports(module)} & {
        "pickle",
        "cloudpickle",
        "dill",
        "joblib",
        "shelve",
        "marshal",
    }
    calls = {ast.unparse(n.func) for n in ast.walk(module) if isinstance(n, ast.Call)}
    assert not calls & {"eval", "exec", "torch.load", "pd.read_pickle", "os.system", "print"}


def loaded_by(code: str) -> set[str]:
    """Top-level packages in memory after running code in a fresh interpreter."""
    program = f"import sys\n{code}\nsys.stdout.write(' '.join(m for m in sys.modules if '.' not in m))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_core_and_cache_is_light() -> None:
    assert not loaded_by("import core, cache") & {"torch", "transformers", "streamlit"}


def test_everything_but_core_vlm_runs_without_torch() -> None:
    """What replays recorded runs, and `python -m core --help`, must not wait for torch."""
    names = [f.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for f in FILES]
    light = [n for n in names if package(n) != "dashboard" and not n.startswith("core.vlm") and n != "core.__main__"]
    assert "core.cli.main" in light and "cache.run_store" in light
    assert not loaded_by("import " + ", ".join(light)) & {"torch", "transformers", "streamlit"}


def test_pages_are_light_to_import() -> None:
    """The viewer of recorded runs starts without torch."""
    names = [f.removesuffix(".py").replace("/", ".") for f in FILES if re.fullmatch(r"dashboard/(?!app)\w+\.py", f)]
    assert not loaded_by("import " + ", ".join(n for n in names if "__init__" not in n)) & {"torch", "transformers"}
