"""Safetensors files without some decoder layers: bytes are copied from file to file, a few megabytes at a time.

No tensor is built, so neither the size of a model nor its number format matters. A safetensors file is the length of
its header (8 bytes, little-endian), the header (JSON: name -> dtype, shape, offsets), then the bytes of the tensors.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from core.errors import ExportError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
MOST_HEADER = 100 * 2**20  # bytes, the limit of the safetensors library
BLOCK = 4 * 2**20  # bytes copied at a time
LAYER = re.compile(r"^(?P<prefix>(?:.*?\.)?layers)\.(?P<index>\d+)\.(?P<rest>.+)$")


@dataclass(frozen=True)
class Shard:
    """One safetensors file: its tensors' header entries, and where their bytes begin."""

    path: Path
    metadata: dict[str, str]
    tensors: dict[str, dict[str, Any]]
    start: int


def read_shards(folder: Path) -> list[Shard]:
    """The headers of a checkpoint's files, in order.

    Raises:
        ExportError: the folder has no safetensors checkpoint, or a damaged one.
    """
    try:
        if (folder / SINGLE).is_file():
            names = [SINGLE]
        else:
            names = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
        if any(Path(name).name != name for name in names):
            raise ExportError(f"damaged checkpoint in {folder}: its index names files of other folders")
        return [_read_shard(folder / name) for name in names]
    except FileNotFoundError as error:
        raise ExportError(
            f"no {Path(error.filename).name} in {folder}: only complete checkpoints can be exported"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"damaged checkpoint in {folder}: {error}") from error


def _read_shard(path: Path) -> Shard:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(MOST_HEADER, size - 8):
            raise ValueError(f"{path.name} has a header of {length} bytes")
        header = json.loads(file.read(length))
    metadata = header.pop("__metadata__", {})
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        if not 0 <= begin <= end <= size - 8 - length:
            raise ValueError(f"{path.name} is cut short: {name} lies outside of it")
    return Shard(path, metadata, header, 8 + length)


def find_layers(shards: Iterable[Shard], layer_shapes: Sequence[Mapping[str, tuple[int, ...]]]) -> str:
    """Prefix of the decoder's layers in a checkpoint (its names are often older than the model's).

    Args:
        layer_shapes: name -> shape of each decoder layer's parameters, in the model.
    Raises:
        ExportError: no run of layers in the checkpoint looks like the decoder.
    """
    found: dict[str, set[int]] = {}
    agreeing: Counter[str] = Counter()
    for shard in shards:
        for name, entry in shard.tensors.items():
            match = LAYER.match(name)
            if match is None:
                continue
            prefix, index = match["prefix"], int(match["index"])
            found.setdefault(prefix, set()).add(index)
            if index < len(layer_shapes) and layer_shapes[index].get(match["rest"]) == tuple(entry["shape"]):
                agreeing[prefix] += 1
    complete = [p for p, indices in found.items() if indices >= set(range(len(layer_shapes)))]
    best = max(complete, key=lambda p: agreeing[p], default="")
    if not agreeing[best]:
        raise ExportError(f"the checkpoint does not name {len(layer_shapes)} decoder layers as the model does")
    return best


def write_pruned(shards: list[Shard], out: Path, prefix: str, kept: Iterable[int]) -> tuple[int, int]:
    """Write a checkpoint that keeps these layers, renumbered from 0, and everything that is not a layer.

    Layers beyond the model's depth (of multi-token prediction, say) are left out too.

    Returns:
        (files, bytes of tensors) written.
    """
    position = {layer: i for i, layer in enumerate(kept)}
    renamed = [_renamed(shard, prefix, position) for shard in shards]
    jobs = [(shard, names) for shard, names in zip(shards, renamed, strict=True) if names]
    weight_map: dict[str, str] = {}
    total = 0
    for i, (shard, names) in enumerate(jobs):
        file = SINGLE if len(jobs) == 1 else f"model-{i + 1:05d}-of-{len(jobs):05d}.safetensors"
        total += _write_shard(shard, names, out / file)
        weight_map |= dict.fromkeys(names.values(), file)
    if len(jobs) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        (out / INDEX).write_text(json.dumps(index, indent=2) + "\n")
    return len(jobs), total


def pruned_bytes(shards: Iterable[Shard], prefix: str, kept: Iterable[int]) -> int:
    """Bytes of the tensors that `write_pruned` would write."""
    position = {layer: i for i, layer in enumerate(kept)}
    return sum(_size(shard.tensors[old]) for shard in shards for old in _renamed(shard, prefix, position))


def _renamed(shard: Shard, prefix: str, position: Mapping[int, int]) -> dict[str, str]:
    """Old name -> new name of the kept tensors, in the order of their bytes."""
    names = {}
    for name in sorted(shard.tensors, key=lambda n: shard.tensors[n]["data_offsets"][0]):
        match = LAYER.match(name)
        if match is None or match["prefix"] != prefix:
            names[name] = name
        elif int(match["index"]) in position:
            names[name] = f"{prefix}.{position[int(match['index'])]}.{match['rest']}"
    return names


def _size(entry: Mapping[str, Any]) -> int:
    begin, end = entry["data_offsets"]
    return int(end - begin)


def _write_shard(shard: Shard, names: Mapping[str, str], path: Path) -> int:
    header: dict[str, Any] = {"__metadata__": {**shard.metadata, "format": "pt"}}
    offset = 0
    for old, new in names.items():
        entry = shard.tensors[old]
        header[new] = {**entry, "data_offsets": [offset, offset + _size(entry)]}
        offset += _size(entry)
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)  # the tensors begin at a multiple of 8
    with shard.path.open("rb") as source, path.open("wb") as target:
        target.write(len(encoded).to_bytes(8, "little"))
        target.write(encoded)
        for old in names:
            source.seek(shard.start + shard.tensors[old]["data_offsets"][0])
            _copy(source, target, _size(shard.tensors[old]))
    return offset


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size:
        block = source.read(min(size, BLOCK))
        if not block:
            raise ExportError(f"{source.name} became shorter while it was read")
        target.write(block)
        size -= len(block)
