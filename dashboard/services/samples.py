"""Samples: the gallery, items of measured benchmarks with their pictures, and a user's own question."""

from contextlib import suppress

import streamlit as st
from PIL import Image

from core.analysis.tables import domain_order
from core.benchmarks.images import open_image
from core.errors import SampleError, StrataError
from core.library.finding import GALLERY_SIZE, gallery_sources
from core.library.recordings import image_hash
from core.records.items import BenchmarkItem, ItemSet
from core.records.samples import Sample
from core.scenes.questions import domain_tasks
from core.scenes.samples import DOMAINS, draw_from_source, draw_samples
from dashboard.services import models, scores, similarities

GALLERY_SEED = 7


def gallery_tasks(model_id: str) -> list[str]:
    """Tasks that the gallery can show: those of the measured items, math first; else every drawn task."""
    sets = sorted(scores.view(model_id).items.values(), key=lambda s: domain_order(s.domain))
    measured = [i.task for s in sets for i in s.items if i.source.startswith("drawn:")]
    return list(dict.fromkeys(measured)) or [t for d in DOMAINS for t in domain_tasks(d)]


def gallery(model_id: str, task: str | None = None) -> tuple[Sample, ...]:
    """The samples that Compare offers: measured items if there are any, else fresh ones.

    Args:
        task: only samples of it; by default one of each task, math and general in turn.
    """
    return _gallery(tuple(gallery_sources(scores.view(model_id).items.values(), task)), task)


@st.cache_resource(max_entries=32, show_spinner=False)
def _gallery(sources: tuple[str, ...], task: str | None) -> tuple[Sample, ...]:
    if not sources:
        return tuple(draw_samples("test", GALLERY_SEED, GALLERY_SIZE, [task] if task else None))
    return tuple(draw_from_source(s) for s in sources)


def sample(model_id: str, sample_id: str) -> Sample:
    """A gallery sample, an item of a measured benchmark, or a calibration sample, with the picture if it is here."""
    for known in gallery(model_id):
        if known.sample_id == sample_id:
            return known
    for items in scores.sources().items.values():
        for item in items.items:
            if item.item_id == sample_id:
                return _item_sample(items, item)
    for source in similarities.sources(model_id):
        for calibrated in similarities.atlas(model_id, source).samples:
            if calibrated.sample_id == sample_id and calibrated.source.startswith("drawn:"):
                return draw_from_source(calibrated.source)
    raise StrataError(f"no sample '{sample_id[:32]}' here: pick one of the gallery")


def _item_sample(items: ItemSet, item: BenchmarkItem) -> Sample:
    if item.source.startswith("drawn:"):
        return draw_from_source(item.source)
    more = (item.choices, item.accepted, item.precision, items.metric)
    picture, _ = _benchmark_picture(items.benchmark, item.source, item.item_id)
    return Sample(item.item_id, items.domain, item.task, item.question, item.answer, picture, item.source, *more)


@st.cache_resource(max_entries=64, show_spinner=False)
def _benchmark_picture(benchmark: str, source: str, item_id: str) -> tuple[Image.Image | None, bool]:
    """The picture of an item, and whether it is known to have one or none."""
    from core.benchmarks.loading import find_picture

    with suppress(SampleError):  # its files are not on this machine, or are others now
        return find_picture(benchmark, source, item_id), True
    return None, False


def lacks_picture(model_id: str, sample: Sample) -> bool:
    """Does an item have a picture, for all that is known here, that is not on this machine?"""
    if sample.image is not None:
        return False
    named = [
        s.benchmark for s in scores.sources().items.values() if any(i.item_id == sample.sample_id for i in s.items)
    ]
    return not any(_benchmark_picture(b, sample.source, sample.sample_id)[1] for b in named)


def item_picture(model_id: str, item_id: str) -> Image.Image | None:
    """The picture of a measured item; None where it has none, or its files are not on this machine."""
    with suppress(StrataError):
        return sample(model_id, item_id).image
    return None


@st.cache_resource(max_entries=64, show_spinner=False)
def drawn_sample(source: str) -> Sample | None:
    """The drawn sample that a source names; None for a picture that was not kept, or a name that makes no sense."""
    try:
        return draw_from_source(source) if source.startswith("drawn:") else None
    except SampleError:  # sources also come from imported files
        return None


def uploaded(data: bytes, question: str) -> Sample:
    """A user's own picture and question; it has no gold answer."""
    models.limits().check_question(question, len(data))
    image: Image.Image = open_image(data)
    return Sample("upload", "own", "upload", question, "", image, "upload")


def picture_hash(sample: Sample) -> str:
    return image_hash(sample.image)
