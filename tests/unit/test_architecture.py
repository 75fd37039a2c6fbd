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


def source(path: str) -> str:
    return (ROOT / path).read_text()


def tree(path: str) -> ast.Module:
    return ast.parse(source(path))


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


# From the ground up: a file imports from its own room and from rooms below it, inside functions too. Files of `core`
# itself that everything may use (errors, settings ...) are the ground; `core/__init__.py` is the front door: it names
# what others import, lazily, and nothing in the house goes through it.
FLOORS = (
    "ground",
    "core.records",
    "core.scoring",
    "core.scenes",
    "core.pruning",
    "core.benchmarks",
    "core.vlm",
    "cache",
    "core.analysis",
    "core.library",
    "core.charts",
    "core.measure",
    "core.interop",
    "core.report",
    "core.bench",
    "core.serve",
    "core.cli",
    "dashboard",
)
GROUND = ("core", "core.errors", "core.settings", "core.limits", "core.log", "core.interrupts", "core.files")


def room(module: str) -> str:
    """The room that a module lies in."""
    parts = module.split(".")
    name = ".".join(parts[:2]) if parts[0] == "core" and len(parts) > 1 else parts[0]
    return "ground" if name in GROUND else name


def test_imports_go_downward_only() -> None:
    """`cache` imported `core.runs`, `core.analysis` imported `core.runs`, and that imported `core.vlm`."""
    upward = []
    for path in FILES:
        if path in ("core/__init__.py", "core/__main__.py"):
            continue
        here = room(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        assert here in FLOORS, f"{path} lies in no room: give {here} a floor"
        for name in imports(tree(path)):
            # `from core import settings` names a module, `from core import __version__` the front door
            there = room(".".join(name.split(".")[:2])) if package(name) in ROOMS else ""
            if there and there not in FLOORS:
                there = "ground" if package(name) == "core" else package(name)
            if there and FLOORS.index(there) > FLOORS.index(here):
                upward.append(f"{path} -> {name}")
    assert upward == []


def test_nobody_starts_the_dashboard_to_compute_something() -> None:
    """The report and the bench ran `python -m dashboard...`, where no test sees an import. Only the bench of the pages
    may start it, since it measures them."""
    starting = [f for f in FILES if not f.startswith("dashboard/") and re.search(r"""["']dashboard\.""", source(f))]
    assert starting == ["core/bench/ui.py"]
    assert not [f for f in FILES if re.search(r"""["']-m["'], ["']core\.report""", source(f))]


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
