"""What each cell has to do, in numbers that its time and its storage are proportional to.

Read off a cell's stage, parameters and inputs alone, so that it is the same for cells that were measured and
for cells that are planned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.stages.scores import IMAGES

ONE = "one"
"""The term that is 1 for every cell: what a cell takes however little it has to do."""
_ADAPTIVE_FACES = {"folded": 250, "recovery": 150, "generator": 300}
"""Faces of ATTACK that a rung looks at, see `PEOPLE_WITH` in the stages."""
_PHOTOS = {"recovery": 3, "generator": 2}
"""Photographs of a test person that a rung attacks, see `PHOTOS` in the stages."""
_DRAWS = 2
"""Outputs under which the pooled attackers see each face, see `DRAWS` in the stage."""
_HALF_TRAINED = ("stage_steps", "steps")
_SHARED_KERNEL = 6000
"""Samples up to which the support vector machine holds its kernel, see `attackers/svm.py`."""
_CACHED_KERNEL = 500_000_000
_DEFAULT_BATCH = 32
_OF_STEPS = frozenset({"step megapixels", "trained megapixels", "trained images"})

Params = Mapping[str, Any]
Terms = Mapping[str, float]


@dataclass(frozen=True)
class Made:
    """What a cell leaves, as far as the work of its readers depends on it.

    images, people, side: of faces and of what was made of them; side in pixels. samples: that something
    trained has learned from. output: method and variant, empty for originals.
    """

    images: int = 0
    people: int = 0
    side: int = 0
    samples: int = 0
    output: str = ""


@dataclass(frozen=True)
class Work:
    """What one cell has to do.

    component: what does it; cells of one stage and component grow alike. terms: what its seconds are
    proportional to; where cells of one size alone are known, all is put down to the last. storage: the same
    of the bytes that it leaves beside `known`, those that follow from the shapes of its arrays. held: bytes
    of matrices that it keeps in memory while it works, beside what it reads and leaves.
    passes: images that go through a network (a training step's counting once each), of `network`, the
    component that a table of `bench throughput` has a rate of: kind, name and variant; side in pixels.
    """

    stage: str
    component: str
    terms: Mapping[str, float]
    storage: Mapping[str, float]
    known: float = 0.0
    held: float = 0.0
    made: Made = field(default_factory=Made)
    passes: float = 0.0
    network: tuple[str, str, str] = ("", "", "")
    trains: bool = False


def work_of(stage: str, params: Params, inputs: Mapping[str, Made], faces: Made | None = None) -> Work:
    """The work of a cell. inputs: role -> what that cell makes. faces: of a cell of stage `faces` without
    inputs, how many images and people its pool has."""
    if stage == "faces":
        return _faces(params, inputs, faces)
    describe = _STAGES.get(stage, _other)
    component, terms, storage, more = describe(params, inputs)
    # A training is its steps: what it takes beside them cannot be told from them where images have one size.
    start = {} if terms.keys() & _OF_STEPS else {ONE: 1.0}
    return Work(stage, component, {**start, **terms}, {ONE: 1.0, **storage}, **more)


def limited(pool: Made, most: int) -> Made:
    """Whole people of a pool with about so many images; all for 0."""
    if not most or most >= pool.images:
        return pool
    each = pool.images / max(1, pool.people)
    return Made(most, max(2, round(most / each)), pool.side)


# -- faces, and what is trained --------------------------------------------------------------------------

Described = tuple[str, Terms, Terms, dict[str, Any]]


def _faces(params: Params, inputs: Mapping[str, Made], faces: Made | None) -> Work:
    if "joined" in params:
        parts = [made for role, made in inputs.items() if role.startswith("part:")]
        whole = Made(sum(p.images for p in parts), sum(p.people for p in parts), inputs["frame"].side)
        made, component = limited(whole, params.get("most", 0)), "join"
        pixels = whole.images * _pixels(whole.side)
    else:
        assert faces is not None
        whole = Made(faces.images, faces.people, int(params["size"]))
        made, component = limited(whole, params.get("most", 0)), str(params["dataset"])
        pixels = made.images * _pixels(made.side)
    return Work(
        "faces",
        component,
        {ONE: 1.0, "megapixels": pixels},
        {ONE: 1.0, "images": made.images},
        known=3e6 * made.images * _pixels(made.side),
        made=made,
    )


def _auxiliary(params: Params, inputs: Mapping[str, Made]) -> Described:
    pool = inputs["develop"]
    terms = {
        "step megapixels": _pixels(pool.side),  # as many steps of as many images whatever the data
        "megapixels": pool.images * _pixels(pool.side),
    }
    return str(params["network"]), terms, {}, {"made": Made(samples=pool.images)}


def _fit(params: Params, inputs: Mapping[str, Made]) -> Described:
    pool, settings = inputs["develop"], params["settings"]
    side = int(settings.get("size") or pool.side)
    steps = max((int(settings[n]) for n in _HALF_TRAINED if settings.get(n)), default=0)
    passes = steps * int(settings.get("batch") or _DEFAULT_BATCH)
    terms = {"megapixels": pool.images * _pixels(pool.side), "trained megapixels": passes * _pixels(side)}
    more = {
        "made": Made(samples=pool.images),
        "passes": passes,
        "network": ("method", str(params["method"]), ""),
        "trains": True,
    }
    return f"{_named(params, 'part')} {_shape(settings)}".strip(), terms, {}, more


def _matcher_fit(params: Params, inputs: Mapping[str, Made]) -> Described:
    if params.get("weights"):
        return "shipped", {}, {}, {}
    settings, pool = params["settings"], inputs["faces"]
    side = int(settings.get("size") or pool.side)
    passes = int(settings.get("steps") or 0) * int(settings.get("batch") or _DEFAULT_BATCH)
    terms = {"megapixels": pool.images * _pixels(pool.side), "trained megapixels": passes * _pixels(side)}
    more = {"passes": passes, "network": ("matcher", str(params["matcher"]), ""), "trains": True}
    return f"{params['matcher']} {_shape(settings)}".strip(), terms, {"people": pool.people}, more


def _attacker_fit(params: Params, inputs: Mapping[str, Made]) -> Described:
    name, n, attributes = str(params["attacker"]), inputs["faces"].images, len(params["attributes"])
    terms, held = _learning(name, params["settings"], n, attributes)
    component = f"{name} {_shape(params['settings'])}".strip()
    return component, terms, {"images": n}, {"made": Made(samples=n), "held": held}


def _learning(attacker: str, settings: Mapping[str, Any], n: float, attributes: int) -> tuple[Terms, float]:
    """Terms of the training of one attacker on `n` samples, and bytes of its matrices.

    Kernel machines solve for a matrix of samples by samples; networks take as many steps whatever the
    samples; what is not known to be either is taken to be linear.
    """
    if settings.get("steps"):
        trained = int(settings["steps"]) * int(settings.get("batch") or _DEFAULT_BATCH)
        return {"samples": n, "trained images": trained}, 0.0
    if attacker == "svm":
        held = 16.0 * n * n if n <= _SHARED_KERNEL else _CACHED_KERNEL
        return {"samples x attributes": n * attributes, "samples^2 x attributes": n * n * attributes}, held
    if attacker in ("pixel_kernel", "kernel_ridge"):
        return {"samples": n, "samples^2": n * n, "samples^3": float(n) ** 3}, 24.0 * n * n
    return {"samples": n, "samples x attributes": n * attributes}, 0.0


def _template_fit(params: Params, inputs: Mapping[str, Made]) -> Described:
    n = inputs["develop"].images
    return _named(params, "part"), {"templates": n}, {}, {"made": Made(samples=n)}


def _niqe_fit(params: Params, inputs: Mapping[str, Made]) -> Described:
    faces = inputs["faces"]
    return "niqe", {"megapixels": faces.images * _pixels(faces.side)}, {}, {}


def _told(params: Params, inputs: Mapping[str, Made]) -> Described:
    faces, learned = inputs["faces"], inputs.get("develop", Made()).images
    terms = {"images": faces.images, "pairs": faces.images * learned, "samples^2": learned * learned}
    labels = {"images": faces.images * len(params["attributes"])}
    return str(params["label_source"]), terms, labels, {"made": faces}


# -- images and templates --------------------------------------------------------------------------------


def _protect(params: Params, inputs: Mapping[str, Made]) -> Described:
    faces, output = inputs["faces"], _named(params, "variant")
    made = Made(faces.images, faces.people, faces.side, output=output)
    megapixels = faces.images * _pixels(faces.side)
    more = {
        "made": made,
        "known": 3e6 * megapixels + faces.images,
        "passes": faces.images,
        "network": ("method", str(params["method"]), str(params["variant"])),
    }
    return f"{output} {_shape(params['settings'])}".strip(), {"megapixels": megapixels}, {}, more


def _embed(params: Params, inputs: Mapping[str, Made]) -> Described:
    faces = inputs["faces"]
    made = Made(faces.images, faces.people, output=inputs.get("images", Made()).output)
    network = ("matcher", str(params["matcher"]), "")
    more = {"made": made, "passes": faces.images, "network": network}
    return str(params["matcher"]), {"images": faces.images}, {"images": faces.images}, more


def _template_protect(params: Params, inputs: Mapping[str, Made]) -> Described:
    faces, output = inputs["faces"], _named(params, "variant")
    made = Made(faces.images, faces.people, output=output)
    return output, {"images": faces.images}, {"images": faces.images}, {"made": made}


def _pairs(params: Params, inputs: Mapping[str, Made]) -> Described:
    return str(params["dataset"]), {"images": inputs["faces"].images}, {"images": inputs["faces"].images}, {}


# -- what is measured ------------------------------------------------------------------------------------


def _attack(params: Params, inputs: Mapping[str, Made]) -> Described:
    source = inputs[IMAGES] if IMAGES in inputs else inputs["embeddings"]
    n, learned = source.images, _samples(inputs)
    reader = IMAGES if IMAGES in inputs else "embeddings"
    read = {"images": n, "images x samples": n * learned}
    # Where one size alone is known it is put down to the last: networks on images, kernels on embeddings.
    terms = dict(reversed(read.items())) if reader == IMAGES else read
    units = len(params["units"])
    return f"{reader}: {_units(params)}", terms, {"images x attackers": n * units}, {"made": source}


def _rung(stage: str) -> Callable[[Params, Mapping[str, Made]], Described]:
    """folded, aware, neighbours and recovery."""

    def describe(params: Params, inputs: Mapping[str, Made]) -> Described:
        here, known = inputs["faces"], inputs["known"].images
        hunted, samples = len(params.get("hunted", ())), _samples(inputs)
        some = min(known, _ADAPTIVE_FACES.get(stage, known))
        read = min(here.images, _PHOTOS[stage] * here.people) if stage in _PHOTOS else here.images
        shown = some + read
        terms: Terms = {
            "folded": {"images x attackers": here.images * len(params["units"]), "pairs": some * samples},
            "aware": {"images x samples": read * known, "samples x attributes": known * hunted},
            "neighbours": {"samples x attributes": known * hunted, "images x samples": read * known},
            "recovery": {"images x samples": shown * samples, "images": shown},
        }[stage]
        kernel = 24.0 * known * known if stage == "aware" else 0.0
        storage = {"images x attackers x attributes": here.images * max(1, len(params["units"])) * hunted}
        component = f"{params.get('level', '')} {_units(params)}".strip()
        return component, terms, storage, {"made": here, "held": kernel}

    return describe


def _generator(params: Params, inputs: Mapping[str, Made]) -> Described:
    here, hunted = inputs["faces"], max(1, len(params["hunted"]))
    shown = min(inputs["known"].images, _ADAPTIVE_FACES["generator"])
    shown += min(here.images, _PHOTOS["generator"] * here.people)
    more = {
        "made": here,
        "passes": shown * hunted,
        "network": ("method", str(params["method"]), str(params["variant"])),
    }
    terms = {"images x attributes": shown * hunted, "megapixels": shown * hunted * _pixels(here.side)}
    storage = {"images x attackers x attributes": here.images * max(1, len(params["units"])) * hunted}
    return f"{_named(params, 'variant')} {_shape(params['settings'])}".strip(), terms, storage, more


def _pooled_fit(params: Params, inputs: Mapping[str, Made]) -> Described:
    known, outputs = inputs["known"].images, len(params["outputs"])
    n = _DRAWS * known
    terms = {"images x outputs": known * outputs, "samples x attributes": n * len(params["hunted"])}
    level = IMAGES if any(role.startswith("known_images:") for role in inputs) else "templates"
    held = 24.0 * n * n
    return f"{level} {_units(params)}", terms, {"samples": n}, {"made": Made(samples=n), "held": held}


def _pooled(params: Params, inputs: Mapping[str, Made]) -> Described:
    n, learned = inputs["faces"].images, inputs["fit"].samples
    level = IMAGES if IMAGES in inputs else "templates"
    terms = {"images": n, "images x samples": n * learned}
    storage = {"images x attackers x attributes": n * len(params["units"]) * len(params["hunted"])}
    return f"{level} {_units(params)}", terms, storage, {"made": inputs["faces"]}


def _oracle(params: Params, inputs: Mapping[str, Made]) -> Described:
    n = inputs["faces"].images
    members = sum(role.startswith("member:") for role in inputs)
    return "oracle", {"images x members": n * members}, {"images": n}, {"made": inputs["faces"]}


def _match(params: Params, inputs: Mapping[str, Made]) -> Described:
    """Searches go through all pairs whatever list is compared; the kernel streams them."""
    faces, conditions = inputs["faces"], 2 if {"baseline", "reference"} <= inputs.keys() else 1
    terms = {
        "resamples x people": int(params["resamples"]) * faces.people * conditions,
        "pairs": conditions * faces.images * faces.images / 2,
    }
    kind = "variant" if "baseline" in inputs else "originals"
    return kind, terms, {"resamples": int(params["resamples"]) * conditions}, {}


def _quality(params: Params, inputs: Mapping[str, Made]) -> Described:
    faces, measures = inputs["faces"], sorted({*params["networks"], *params["sets"]})
    looked_at = min(faces.images, int(params["images"]))
    sets = min(faces.images, int(params["set_images"])) if params["sets"] else 0
    terms = {"images": looked_at + sets, "megapixels": looked_at * _pixels(faces.side)}
    return "+".join(measures) or "without networks", terms, {"images": looked_at}, {}


def _metric(params: Params, inputs: Mapping[str, Made]) -> Described:
    looked_at = min(inputs["faces"].images, int(params["images"]) or inputs["faces"].images)
    return str(params["metric"]), {"images": looked_at}, {"images": looked_at}, {}


def _score(params: Params, inputs: Mapping[str, Made]) -> Described:
    faces, attackers = inputs["faces"], max(1, len(params["attackers"]))
    rungs = len(params["rungs"])
    figures = attackers * (len(params["obfuscates"]) * rungs + len(params["kept"]))
    terms = {
        "figures": figures,
        "resamples x people x figures": int(params["resamples"]) * faces.people * figures,
        "images x figures": faces.images * figures,
    }
    rows = len(params["obfuscates"]) * (1 + rungs) + len(params["kept"]) + len(params["matchers"])
    return str(params["level"]), terms, {"figures": figures, "resamples": int(params["resamples"]) * rows}, {}


def _other(params: Params, inputs: Mapping[str, Made]) -> Described:
    """A stage of which nothing is known: it reads the faces that it is given."""
    n = max((made.images for made in inputs.values()), default=0)
    return "", {"images": n}, {"images": n}, {}


_STAGES: Mapping[str, Callable[[Params, Mapping[str, Made]], Described]] = {
    "auxiliary": _auxiliary,
    "fit": _fit,
    "matcher_fit": _matcher_fit,
    "attacker_fit": _attacker_fit,
    "template_fit": _template_fit,
    "niqe_fit": _niqe_fit,
    "told": _told,
    "protect": _protect,
    "embed": _embed,
    "template_protect": _template_protect,
    "pairs": _pairs,
    "attack": _attack,
    **{stage: _rung(stage) for stage in ("folded", "aware", "neighbours", "recovery")},
    "generator": _generator,
    "pooled_fit": _pooled_fit,
    "pooled": _pooled,
    "oracle": _oracle,
    "match": _match,
    "quality": _quality,
    "metric": _metric,
    "score": _score,
}


# -- shared ----------------------------------------------------------------------------------------------


def _pixels(side: int) -> float:
    """Megapixels of a square image."""
    return side * side / 1e6


def _samples(inputs: Mapping[str, Made]) -> int:
    """On how many samples the trained attackers among the inputs have learned."""
    return max((made.samples for role, made in inputs.items() if role.startswith("fit:")), default=0)


def _units(params: Params) -> str:
    """The attackers, whoever's embeddings they read."""
    return "+".join(sorted({str(unit["attacker"]) for unit in params["units"].values()}))


def _named(params: Params, of: str) -> str:
    """Method and its part or variant."""
    more = params.get(of, "")
    return str(params["method"]) + (f":{more}" if more and more != "default" else "")


_OF_LENGTH = frozenset(
    {
        *("steps", "stage_steps", "epochs", "batch", "snapshots", "decay_from", "average", "rate", "size"),
        *("samples", "detector_epochs", "id_from", "matching_from"),
    }
)
"""Settings of a training that change how long it is, not what a step of it takes."""


def _shape(settings: Mapping[str, Any]) -> str:
    """What tells a network from another of the same name: a short digest of its settings."""
    from bench.store import digest

    shape = {k: v for k, v in settings.items() if k not in _OF_LENGTH and not k.startswith("lambda")}
    return digest(shape)[:6] if shape else ""
