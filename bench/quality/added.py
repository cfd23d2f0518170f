"""Whether a file that a user adds under the name of a network or model of image quality can be that."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

from bench.errors import InputError, Unavailable
from bench.quality.features import COUNTER
from bench.weights_format import read_header

_SHOWN = 3
_LONGEST = 120.0
_UNUSED = ("classifier.", "fc.")


def check_quality_file(name: str, file: Path) -> None:
    """Raises InputError, saying what differs, where `file` lacks what the entry `name` of the catalogue has.

    Classifiers on top of networks are not used and may be there or not. Entries that are no image quality's
    pass.
    """
    if name == "nrqm_model":
        _read_apart(file)
        return
    expected = _expected(name)
    if not expected:
        return
    found = {
        k: t.shape
        for k, t in read_header(file).items()
        if not k.startswith(_UNUSED) and not k.endswith(COUNTER)
    }
    problems = [f"{k} {s} is missing" for k, s in expected.items() if k not in found]
    problems += [f"{k} is {found[k]}, expected {s}" for k, s in expected.items() if found.get(k, s) != s]
    problems += [f"{k} {s} is unknown" for k, s in found.items() if k not in expected]
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise InputError(f"{file} does not hold {name}: {'; '.join(problems[:_SHOWN])}{more}")


def _read_apart(file: Path) -> None:
    """Raises InputError where `file` holds no model of NRQM, as a process of its own finds: what reads MAT
    files can crash on a damaged one. Afterwards the checksum vouches for the bytes."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_judge, args=(file, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        problem = ours.recv() if ours.poll(_LONGEST) else f"reading it takes more than {_LONGEST:.0f} s"
    except EOFError:
        problem = "reading it ends the program that reads it"
    finally:
        process.kill()
        process.join()
        ours.close()
    if problem:
        raise InputError(problem if str(file) in problem else f"{file} does not hold NRQM's model: {problem}")


def _judge(file: Path, pipe: Connection) -> None:
    from bench.quality.naturalness import nrqm_parameters

    try:
        nrqm_parameters(file)
    except Unavailable as error:
        pipe.send(str(error))
    else:
        pipe.send("")


def _expected(name: str) -> dict[str, tuple[int, ...]]:
    """Shape by name of what is used; empty for what is no network of image quality. No memory is taken."""
    import torch

    with torch.device("meta"):
        if name == "inception_fid_2015":
            from bench.quality.features import inception

            network, prefix = inception(), ""
        elif name == "alexnet_features":
            from torchvision.models import AlexNet

            network, prefix = AlexNet().features, "features."
        elif name == "vgg16_features":
            from torchvision.models.vgg import cfgs, make_layers

            network, prefix = make_layers(cfgs["D"], batch_norm=False), "features."
        else:
            return {}
    return {prefix + k: tuple(v.shape) for k, v in network.state_dict().items() if not k.endswith(COUNTER)}
