"""Whether a file that a user adds under the name of a network or model of image quality can be that."""

from __future__ import annotations

from pathlib import Path

from bench.errors import InputError, Unavailable
from bench.quality.features import COUNTER
from bench.weights_format import read_header

_SHOWN = 3
_UNUSED = ("classifier.", "fc.")


def check_quality_file(name: str, file: Path) -> None:
    """Raises InputError, saying what differs, where `file` lacks what the entry `name` of the catalogue has.

    Classifiers on top of networks are not used and may be there or not. Entries that are no image quality's
    pass.
    """
    if name == "nrqm_model":
        from bench.quality.naturalness import nrqm_parameters

        try:
            nrqm_parameters(file)
        except Unavailable as error:
            raise InputError(str(error)) from error
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
