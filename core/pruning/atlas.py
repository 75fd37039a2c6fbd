"""The similarity atlas: how little each layer, and each span of layers, changes the activations of a domain.

Holds one value per calibration sample, token kind and span, so that means, intervals, split halves and the samples
behind a number all come from the same record. It may also carry the greedy drop order, which takes many passes of the
model. Nothing here knows torch.
"""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.errors import CalibrationError, suggest

Array = NDArray[np.float64]

TOKEN_KINDS = ("all", "image", "prompt", "answer", "last")
"""`last` is the last token of the prompt, from which the answer starts; the others are means over their tokens."""
N_BOOTSTRAP = 1000
FORMAT = 1


@dataclass(frozen=True)
class CalibrationSample:
    """What an atlas keeps of a sample."""

    sample_id: str
    domain: str
    task: str
    source: str = ""


@dataclass(frozen=True)
class GreedyOrder:
    """The order in which greedy removal drops layers (core.measure.greedy), or the first part of it after a stop.

    Attributes:
        layers: the first is dropped first.
        losses: mean gold NLL (nats per token, domains with equal weight) of the full model, then after each drop.
        protected: the layers that it may not drop; the order depends on them.
        data_hash: of the samples that the losses were measured on.
        n_samples: (domain, number of them).
    """

    layers: tuple[int, ...]
    losses: tuple[float, ...]
    protected: tuple[int, ...]
    data_hash: str
    n_samples: tuple[tuple[str, int], ...]
    device: str = ""
    created: str = ""  # ISO date

    def __post_init__(self) -> None:
        # lists come back from JSON
        for name in ("layers", "losses", "protected"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "n_samples", tuple((str(d), int(n)) for d, n in self.n_samples))
        if len(self.losses) != len(self.layers) + 1 or len({*self.layers, *self.protected}) != len(
            (*self.layers, *self.protected)
        ):
            raise CalibrationError("damaged greedy order: run python -m core calibrate --greedy again")


@dataclass(frozen=True)
class SimilarityAtlas:
    """Similarities of every span of decoder layers on a set of calibration samples.

    Attributes:
        values: (S, K, L, L) float32; values[s, k, i, n - 1] is the mean over the tokens of kind k of
            cos(x_i[t], y_{i+n-1}[t]) on sample s. NaN where i + n > L or the sample has no such token.
        n_tokens: (S, K) tokens of each kind.
        structural: layers that no plan may drop.
        greedy: the greedy drop order, if it was calibrated. It has samples of its own, on which `data_hash` does not
            depend: that names the samples of the similarities.
    """

    model_id: str
    revision: str
    n_layers: int
    structural: tuple[int, ...]
    samples: tuple[CalibrationSample, ...]
    values: NDArray[np.float32] = field(repr=False)
    n_tokens: NDArray[np.int32] = field(repr=False)
    device: str = ""
    created: str = ""  # ISO date
    greedy: GreedyOrder | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        expected = (len(self.samples), len(TOKEN_KINDS), self.n_layers, self.n_layers)
        if self.values.shape != expected or self.n_tokens.shape != expected[:2]:
            raise CalibrationError(
                f"damaged atlas: values {self.values.shape} where {expected} is due; calibrate again"
            )

    def __repr__(self) -> str:
        counts = ", ".join(f"{d} n={len(self.rows(d))}" for d in self.domains)
        made = f"; {self.created}, {self.device}" if self.created else ""
        return f"SimilarityAtlas({self.model_id!r} at {self.revision[:10]}, {self.n_layers} layers: {counts}{made})"

    # -------------------------------------------------------------------------------------------- what is in it

    @property
    def domains(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(s.domain for s in self.samples))

    def tasks(self, domain: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(s.task for s in self.samples if s.domain == domain))

    @cached_property
    def data_hash(self) -> str:
        return hashlib.sha256("".join(s.sample_id for s in self.samples).encode()).hexdigest()[:16]

    def rows(self, domain: str, task: str | None = None) -> NDArray[np.intp]:
        """Indices of a domain's samples (of one task if given)."""
        rows = [i for i, s in enumerate(self.samples) if s.domain == domain and task in (None, s.task)]
        if not rows:
            known = self.domains if task is None else self.tasks(domain)
            what = f"domain '{domain}'" if task is None else f"task '{task}'"
            raise CalibrationError(f"the atlas has no {what}: {suggest(task or domain, known)}")
        return np.array(rows)

    def sample_values(self, domain: str, task: str | None = None, kind: str = "all", length: int = 1) -> Array:
        """(S, L - length + 1) similarity of each span of one length, per sample of the domain."""
        if kind not in TOKEN_KINDS:
            raise CalibrationError(f"unknown token kind '{kind}': {suggest(kind, TOKEN_KINDS)}")
        if not 1 <= length <= self.n_layers:
            raise CalibrationError(f"span length {length} is outside 1 to {self.n_layers}")
        rows = self.rows(domain, task)
        return self.values[rows, TOKEN_KINDS.index(kind), : self.n_layers - length + 1, length - 1].astype(np.float64)

    def merged(self, other: "SimilarityAtlas") -> "SimilarityAtlas":
        """This atlas with the domains of another one of the same model; the other's replace those of the same name.

        Raises:
            CalibrationError: the atlases are of different models or revisions.
        """
        if (self.model_id, self.revision, self.n_layers) != (other.model_id, other.revision, other.n_layers):
            raise CalibrationError(
                f"the atlases are of {self.model_id} at {self.revision} and of {other.model_id} at {other.revision}: "
                "recompute both with one model"
            )
        domains = dict.fromkeys((*self.domains, *other.domains))
        parts = [(a, a.rows(d)) for d in domains for a in [other if d in other.domains else self]]
        return replace(
            self,
            samples=tuple(a.samples[i] for a, rows in parts for i in rows),
            values=np.concatenate([a.values[rows] for a, rows in parts]),
            n_tokens=np.concatenate([a.n_tokens[rows] for a, rows in parts]),
            device=other.device,
            created=other.created,
            greedy=other.greedy or self.greedy,
        )

    # -------------------------------------------------------------------------------------------- what it says

    def mean(self, domain: str, task: str | None = None, kind: str = "all", length: int = 1) -> Array:
        """(L - length + 1,) a domain's similarity: the mean over its samples, each with the same weight."""
        return np.asarray(np.nanmean(self.sample_values(domain, task, kind, length), axis=0))

    def interval(
        self,
        domain: str,
        task: str | None = None,
        kind: str = "all",
        length: int = 1,
        level: float = 0.95,
        seed: int = 0,
    ) -> tuple[Array, Array]:
        """Seeded percentile bootstrap interval of `mean` over samples."""
        return _percentiles(_bootstrap_means(self.sample_values(domain, task, kind, length), seed), level)

    def difference(
        self, a: str, b: str, kind: str = "all", length: int = 1, level: float = 0.95, seed: int = 0
    ) -> tuple[Array, Array, Array]:
        """Mean of domain a minus mean of domain b, with the percentile bootstrap interval (low, high)."""
        x, y = self.sample_values(a, None, kind, length), self.sample_values(b, None, kind, length)
        boot = _bootstrap_means(x, seed) - _bootstrap_means(y, seed + 1)
        return np.nanmean(x, axis=0) - np.nanmean(y, axis=0), *_percentiles(boot, level)

    def split_half_agreement(
        self, domain: str, sizes: Sequence[int], kind: str = "all", n_splits: int = 50, seed: int = 0
    ) -> pd.DataFrame:
        """How far two disjoint halves of n samples agree on the ranking of layers: is the calibration set large enough?

        Returns:
            Columns `n` (samples in a half), `spearman` (median over random splits), `low` and `high` (5th and 95th
            percentile).
        """
        x = self.sample_values(domain, None, kind)
        rng = np.random.default_rng(seed)
        rows = []
        for n in sizes:
            if not 1 <= n <= len(x) // 2:
                continue
            rhos = []
            for _ in range(n_splits):
                order = rng.permutation(len(x))
                halves = [np.nanmean(x[order[part]], axis=0) for part in (slice(0, n), slice(n, 2 * n))]
                ranks = [pd.Series(h).rank().to_numpy() for h in halves]
                rhos.append(float(np.corrcoef(ranks[0], ranks[1])[0, 1]))
            rows.append((n, float(np.median(rhos)), float(np.quantile(rhos, 0.05)), float(np.quantile(rhos, 0.95))))
        return pd.DataFrame(rows, columns=["n", "spearman", "low", "high"])

    def to_frame(self, kind: str = "all", tasks: bool = True) -> pd.DataFrame:
        """One row per (domain, task, layer): `task` is "" for the whole domain; columns mean, low, high, n."""
        rows = []
        for domain in self.domains:
            for task in (None, *self.tasks(domain)) if tasks else (None,):
                values = self.sample_values(domain, task, kind)
                n = int((~np.isnan(values[:, 0])).sum())
                if n == 0:
                    continue  # e.g. no image tokens in a text-only task
                low, high = self.interval(domain, task, kind)
                for layer, m in enumerate(np.nanmean(values, axis=0)):
                    rows.append((domain, task or "", layer, float(m), float(low[layer]), float(high[layer]), n))
        return pd.DataFrame(rows, columns=["domain", "task", "layer", "mean", "low", "high", "n"])

    # -------------------------------------------------------------------------------------------- on disk

    def _header(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "model_id": self.model_id,
            "revision": self.revision,
            "n_layers": self.n_layers,
            "structural": list(self.structural),
            "token_kinds": list(TOKEN_KINDS),
            "device": self.device,
            "created": self.created,
            "samples": [asdict(s) for s in self.samples],
            "greedy": asdict(self.greedy) if self.greedy else None,
        }

    def save(self, path: Path) -> None:
        """One .npz without pickled objects: a JSON header and two arrays."""
        path.parent.mkdir(parents=True, exist_ok=True)
        header = np.frombuffer(json.dumps(self._header()).encode(), np.uint8)
        tmp = path.with_suffix(f".{os.getpid()}.tmp.npz")  # two calibrations may run at once
        np.savez_compressed(tmp, header=header, values=self.values.astype(np.float32), n_tokens=self.n_tokens)
        tmp.rename(path)

    @classmethod
    def load(cls, path: Path) -> "SimilarityAtlas":
        try:
            with np.load(path, allow_pickle=False) as data:
                header = json.loads(data["header"].tobytes())
                values, n_tokens = data["values"], data["n_tokens"]
            if header["format"] != FORMAT or tuple(header["token_kinds"]) != TOKEN_KINDS:
                raise CalibrationError(
                    f"{path.name} is an atlas of another version: run python -m core calibrate again"
                )
            return cls(
                header["model_id"],
                header["revision"],
                int(header["n_layers"]),
                tuple(header["structural"]),
                tuple(CalibrationSample(**s) for s in header["samples"]),
                values,
                n_tokens,
                header["device"],
                header["created"],
                GreedyOrder(**header["greedy"]) if header.get("greedy") else None,
            )
        except FileNotFoundError:
            raise CalibrationError(f"no atlas at {path}: run python -m core calibrate first") from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise CalibrationError(
                f"cannot read the atlas {path}: {error}; run python -m core calibrate again"
            ) from error


def _bootstrap_means(x: Array, seed: int) -> Array:
    """(N_BOOTSTRAP, L) means of resampled rows; resampling by counts, so that one matrix product does it all."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(x), np.full(len(x), 1 / len(x)), size=N_BOOTSTRAP).astype(np.float64)
    present = ~np.isnan(x)
    with np.errstate(invalid="ignore"):
        return np.asarray((counts @ np.where(present, x, 0.0)) / (counts @ present))


def _percentiles(boot: Array, level: float) -> tuple[Array, Array]:
    tail = (1 - level) / 2
    low, high = np.nanquantile(boot, [tail, 1 - tail], axis=0)
    return low, high
