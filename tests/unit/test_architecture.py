"""The boundaries of ARCHITECTURE.md hold, and its map names every file."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("core", "cache", "dashboard")
FILES = sorted(p.relative_to(ROOT).as_posix() for room in ROOMS for p in (ROOT / room).rglob("*.py"))
SPEAKING = [f for f in FILES if (ROOT / f).stat().st_size]  # an empty __init__.py has nothing to say


@cache
def tree(path: str) -> ast.Module:
    """A file's syntax tree, parsed once: every rule below reads all of them."""
    return ast.parse((ROOT / path).read_text())


@cache
def imports(path: str) -> frozenset[str]:
    """Full names of everything that a file imports, inside functions too."""
    return frozenset(names_imported(ast.walk(tree(path))))


def names_imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for n in nodes:
        if isinstance(n, ast.Import):
            yield from (alias.name for alias in n.names)
        elif isinstance(n, ast.ImportFrom):
            yield from (f"{n.module or '.' * n.level}.{alias.name}" for alias in n.names)


@cache
def imports_at_load(path: str) -> frozenset[str]:
    """Names imported when the file is: not inside functions, not for the type checker only."""
    found: list[str] = []
    stack: list[ast.AST] = list(tree(path).body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack += node.orelse
            continue
        found += names_imported([node])
        stack += ast.iter_child_nodes(node)
    return frozenset(found)


def package(name: str) -> str:
    return name.split(".")[0]


def offences(rule: Callable[[str], Collection[str]], files: Iterable[str]) -> dict[str, list[str]]:
    """What breaks a rule, by file: a failing test names each file and what it found there."""
    return {path: sorted(found) for path in files if (found := rule(path))}


# ------------------------------------------------------------------------------------------------ the map


def named_on_the_map(text: str) -> list[str]:
    """Every file of the map, from entries "- `folder/` what the room is for: `file.py` its purpose · `file.py` ..."."""
    section = re.search(r"^## The map$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert section, "ARCHITECTURE.md has a section 'The map'"
    rooms = re.findall(r"^- `([\w/]+/)`[^:]*:(.*?)(?=^- |^#|\Z|\n\n)", section[1], re.MULTILINE | re.DOTALL)
    named = []
    for folder, files in rooms:
        for entry in files.split(" ·"):
            file = re.match(r"\s*`(\w+\.py)` \S", " ".join(entry.split()))
            assert file, f"{folder}: {entry.strip()!r} does not name a file and its purpose"
            named.append(folder + file[1])
    return named


def test_the_map_names_every_file_once_and_no_other() -> None:
    named = named_on_the_map((ROOT / "ARCHITECTURE.md").read_text())
    assert set(SPEAKING) - set(named) == set(), "files that ARCHITECTURE.md does not name"
    assert set(named) - set(SPEAKING) == set(), "files that ARCHITECTURE.md names and that do not exist"
    assert sorted(named) == sorted(set(named)), "files that ARCHITECTURE.md names twice"


def test_the_map_is_read_as_it_is_written() -> None:
    text = "## The map\n\n- `core/a/` a room: `b.py` 1\n  2 · `c.py`\n  3\n- `core/` this: `d.py` more\n\n## End"
    assert named_on_the_map(text) == ["core/a/b.py", "core/a/c.py", "core/d.py"]
    with pytest.raises(AssertionError, match="does not name a file and its purpose"):
        named_on_the_map(text.replace("`d.py` more", "`d.py`"))


def test_the_map_stays_short() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 250, "measurements belong into docs/log.md"


def test_other_paths_named_there_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    paths = re.findall(
        r"`((?:core|cache|dashboard|tests|assets|docs|\.ci|\.streamlit)/[\w/.-]+"
        r"|Makefile|pyproject\.toml|requirements[\w-]*\.txt)`",
        text,
    )
    assert len(paths) > 20
    assert [p for p in paths if not (ROOT / p).exists()] == []


def test_files_state_their_purpose_first() -> None:
    def without_purpose(path: str) -> list[str]:
        purpose = ast.get_docstring(tree(path)) or ""
        return [] if len(purpose.split("\n")[0]) > 20 else [purpose or "no docstring"]

    assert offences(without_purpose, SPEAKING) == {}


def test_no_file_is_named_after_nothing_or_shadows_a_package() -> None:
    names = {Path(f).name for f in FILES}
    assert not names & {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert not {"dashboard/core.py", "dashboard/cache.py"} & set(FILES)
    assert not (ROOT / "dashboard" / "pages").exists()  # Streamlit would find it by itself


# ------------------------------------------------------------------------------------------------ the boundaries

OF_TORCH = {"torch", "transformers", "safetensors", "tokenizers", "huggingface_hub"}
UNPICKLING = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
EVALUATING = {"eval", "exec", "torch.load", "pd.read_pickle", "os.system", "print"}


def test_torch_is_loaded_in_core_vlm_only() -> None:
    """core.vlm brings torch, so that other rooms import it where they use it."""

    def heavy(path: str) -> set[str]:
        return {n for n in imports_at_load(path) if package(n) in OF_TORCH or n.startswith("core.vlm")}

    assert offences(heavy, (f for f in FILES if not f.startswith("core/vlm/"))) == {}


def test_the_library_knows_neither_streamlit_nor_the_dashboard() -> None:
    def pages(path: str) -> set[str]:
        return {n for n in imports(path) if package(n) in ("streamlit", "dashboard")}

    assert offences(pages, (f for f in FILES if not f.startswith("dashboard/"))) == {}
    assert offences(pages, FILES), "the dashboard does import them, so the rule can see it"


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
        for name in imports(path):
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
    starting = [
        f for f in FILES if not f.startswith("dashboard/") and re.search(r"""["']dashboard\.""", (ROOT / f).read_text())
    ]
    assert starting == ["core/bench/ui.py"]
    assert not [f for f in FILES if re.search(r"""["']-m["'], ["']core\.report""", (ROOT / f).read_text())]


def test_nothing_unpickles_evaluates_or_prints() -> None:
    def unsafe(path: str) -> set[str]:
        calls = {ast.unparse(n.func) for n in ast.walk(tree(path)) if isinstance(n, ast.Call)}
        return (calls & EVALUATING) | ({package(n) for n in imports(path)} & UNPICKLING)

    assert offences(unsafe, FILES) == {}


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
