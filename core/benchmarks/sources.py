"""Where a benchmark's Parquet files are: a mirror, the Hub's cache, or the Hub; or one line that says how to get them.

`STRATA_DATASETS` names a folder of mirrors, for machines without network: `<owner>--<name>/<config>/<split>*.parquet`,
for example `lmms-lab-encoder--ChartQA/default/test-00000-of-00001.parquet`. What lies there is used before anything
else. Otherwise files come from the Hub's cache and, unless `HF_HUB_OFFLINE` is set, from the Hub.

No dataset's own code is ever run (only its Parquet files are read), and a branch is resolved to the commit it is at.
"""

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path

from core.benchmarks.registry import Benchmark
from core.errors import SampleError

TIMEOUT = 10  # seconds until the Hub counts as not reachable


@dataclass(frozen=True)
class Source:
    """The files of a split. `revision` is a commit of 40 hex digits, "mirror" or "local"."""

    dataset: str
    revision: str
    config: str
    split: str
    files: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{self.dataset}@{self.revision}:{self.config}/{self.split}"

    @property
    def described(self) -> str:
        """For messages."""
        return f"{self.dataset} (revision {self.revision}, {self.config}/{self.split})"


def find_source(benchmark: Benchmark, config: str, split: str, revision: str, fetch: bool = True) -> Source:
    """
    Args:
        fetch: from the Hub, if the files are not on this machine.
    Raises:
        SampleError: the files are nowhere to be had; the message has the command that fetches them.
    """
    pattern = benchmark.files.format(config=config, split=split)
    for dataset in benchmark.ids:
        files = _mirrored(dataset, config, split)
        if files:
            return Source(dataset, "mirror", config, split, files)
    first: _UnavailableError | None = None
    for dataset in benchmark.ids:
        try:
            commit, files = _from_hub(dataset, pattern, revision, benchmark.streaming, fetch)
        except _UnavailableError as error:
            first = first or error
        else:
            return Source(dataset, commit, config, split, files)
    assert first is not None
    older = f" (or its other id {', '.join(benchmark.aliases)})" if benchmark.aliases else ""
    at = "" if revision == "main" else f" --revision {revision}"
    command = (
        f"run hf download {benchmark.dataset} --repo-type dataset{at} --include '{pattern}' with HF_HUB_OFFLINE unset, "
        "and copy its cache here if this machine has no network; or put a mirror into STRATA_DATASETS"
    )
    raise SampleError(
        f"{benchmark.key} needs {benchmark.dataset}{older}, configuration {config}, split {split}, but {first.why}: "
        + (first.advice.format(key=benchmark.key) or command)
    ) from first


class _UnavailableError(Exception):
    def __init__(self, why: str, advice: str = "") -> None:
        super().__init__(why)
        self.why, self.advice = why, advice


def _mirrored(dataset: str, config: str, split: str) -> tuple[str, ...]:
    root = os.environ.get("STRATA_DATASETS")
    if not root:
        return ()
    folder = Path(root).expanduser() / dataset.replace("/", "--") / config
    return tuple(str(p) for p in sorted(folder.glob(f"{glob.escape(split)}*.parquet")) if _is_of(p.name, split))


def _is_of(name: str, split: str) -> bool:
    """Is a file one of the split? ("test" is not "testmini".)"""
    return re.fullmatch(rf"{re.escape(split)}([-_.].*)?\.parquet|{re.escape(split)}\.parquet", name) is not None


def _from_hub(dataset: str, pattern: str, revision: str, streaming: bool, fetch: bool) -> tuple[str, tuple[str, ...]]:
    """The commit and its files in the cache, fetched if they are not there yet; of a stream, the files' addresses.

    A commit that is cached is not asked for again; a branch is, unless the Hub cannot be reached.
    """
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HTTPError, RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import filter_repo_objects

    wanted = glob.escape(pattern).replace("[*]", "*")
    cached, lacking = _cached(dataset, wanted, revision)
    online = fetch and not constants.HF_HUB_OFFLINE
    if cached and (not online or cached[0] == revision):
        return cached
    if not online:
        why = "HF_HUB_OFFLINE is set and its cache" if fetch else "the Hub's cache on this machine"
        raise _UnavailableError(f"{why} lacks {lacking}")
    try:
        info = HfApi().dataset_info(dataset, revision=revision, timeout=TIMEOUT)
        names = [sibling.rfilename for sibling in info.siblings or []]
        paths = sorted(filter_repo_objects(names, allow_patterns=[wanted]))
        if not paths or not info.sha:
            raise _UnavailableError(f"it has no files {pattern}", "name another revision, {key}@REVISION")
        if streaming:
            return info.sha, tuple(f"hf://datasets/{dataset}@{info.sha}/{path}" for path in paths)
        folder = Path(snapshot_download(dataset, repo_type="dataset", revision=revision, allow_patterns=[wanted]))
        return folder.name, tuple(str(folder / path) for path in paths)
    except GatedRepoError:
        raise _UnavailableError("its terms must be accepted", "do so on its page, then run hf auth login") from None
    except RevisionNotFoundError:
        raise _UnavailableError(f"it has no revision {revision}", "{key}@main follows its branch") from None
    except RepositoryNotFoundError:
        raise _UnavailableError(
            "the Hub has no such data set, or it is private", "check the name, or run hf auth login"
        ) from None
    except (HTTPError, OSError, ValueError) as error:
        if cached:
            return cached
        raise _UnavailableError(
            f"the Hub cannot be reached ({str(error).splitlines()[0][:120]}) and its cache lacks {lacking}"
        ) from error


def _cached(dataset: str, wanted: str, revision: str) -> tuple[tuple[str, tuple[str, ...]] | None, str]:
    """The commit and the files of a revision as the cache has them; or nothing, and what it lacks."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                dataset, repo_type="dataset", revision=revision, allow_patterns=[wanted], local_files_only=True
            )
        )
    except (OSError, ValueError):  # not there, or known to be incomplete
        return None, "the files"
    files = tuple(str(p) for p in sorted(folder.glob(wanted)))
    missing = missing_shards(files)
    if missing or not files:
        return None, f"{missing} of the files" if missing else "the files"
    return (folder.name, files), ""


def missing_shards(files: tuple[str, ...]) -> int:
    """How many files of "...-00001-of-00005.parquet" are not there."""
    totals = [int(m[1]) for m in (re.search(r"-of-(\d+)", Path(f).name) for f in files) if m]
    return max(totals) - len(totals) if totals else 0
