"""Stage `metric`: a figure of image quality that a plug-in brings, of images one by one."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from bench.cells import Job
from bench.components.metric import Metric
from bench.discover import load_class
from bench.stages.quality import spread
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: metric, source, settings, pretrained, images (how many faces are looked at). inputs: faces,
    images, originals.

    Arrays and facts as `bench.stages.quality` stores them, of this one metric; further facts, by metric:
    units, higher_is.
    """
    name = job.params["metric"]
    metric = job.once("metric", "", lambda: _prepared(job))
    rows, failed = spread(job, job.params["images"])
    originals, images = (job.artefact(role).arrays["images"][rows] for role in ("originals", "images"))
    arrays: dict[str, NDArray[Any]] = {}
    if len(rows):
        arrays = {f"value:{name}": metric.measure(originals, images, job.context), f"rows:{name}": rows}
    facts = {
        "recipes": {name: metric.recipe(*images.shape[1:3])},
        "failed": {name: failed},
        "sets": {},
        "set_images": 0,
        "refused": {},
        "units": {name: metric.unit},
        "higher_is": {name: metric.higher_is},
    }
    return Artefact(arrays, facts)


def _prepared(job: Job) -> Metric:
    metric: Metric = load_class("metric", job.params["metric"])(**job.params["settings"])
    metric.prepare(job.context)
    return metric
