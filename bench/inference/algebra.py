"""Networks as they are evaluated: what they were trained to compute, in fewer operations.

Batch normalisation disappears into the convolution or linear layer before it, activations overwrite what
they are given, and modules that know a cheaper form of themselves (`folded`) are replaced by it. On a
processor weights lie channels last, except where instance normalisation would lay its maps out again. The
outputs differ by rounding alone, about 1e-6.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import fx, nn
from torch.nn.utils import fusion

from bench.inference.winograd import with_winograd

Form = Literal["folded", "folded_channels_last", "winograd", "trained"]
"""As it is best where it runs; the same, channels last in any case; with Winograd's convolutions, which round
more; or the network itself."""

_Stamp = tuple[tuple[int, int], ...]

_wanted: Form = "folded"
_made: WeakKeyDictionary[nn.Module, dict[tuple[str, Form], tuple[_Stamp, nn.Module]]] = WeakKeyDictionary()


@contextmanager
def form(wanted: Form) -> Iterator[None]:
    """What `evaluated` answers inside: to compare the forms, and to train against networks as they are."""
    global _wanted
    before, _wanted = _wanted, wanted
    try:
        yield
    finally:
        _wanted = before


def evaluated(network: nn.Module, device: torch.device | str) -> nn.Module:
    """`network` for evaluation on `device`. Made once, and anew when its weights have changed.

    Nobody may call anything of it but `forward`, and its weights are not to be trained.
    """
    if _wanted == "trained":
        return network.to(device).eval()
    forms = _made.setdefault(network, {})
    key, stamp = (str(device), _wanted), _stamp(network)
    if key not in forms or forms[key][0] != stamp:
        found = folded(network)
        if _wanted == "winograd":
            with_winograd(found)
        found.to(device)
        forms[key] = stamp, _laid_out(found, always=_wanted == "folded_channels_last")
    return forms[key][1]


def made_of(network: nn.Module, wanted: Form) -> list[nn.Module]:
    """The forms of that kind that `evaluated` has made of `network`, one for each device."""
    forms = _made.get(network, {})
    return [found for (_, kind), (_, found) in forms.items() if kind == wanted]


def forget(network: nn.Module, kept: Collection[Form]) -> None:
    """Give back the memory of all forms that were made of `network` but those `kept`."""
    for key in [key for key in _made.get(network, {}) if key[1] not in kept]:
        del _made[network][key]


def folded(network: nn.Module) -> nn.Module:
    """A frozen copy of `network` in evaluation mode with fewer operations."""
    with torch.no_grad():
        replaced = _replaced(copy.deepcopy(network).eval())
        return _without_norms(replaced).eval().requires_grad_(False)


def _stamp(network: nn.Module) -> _Stamp:
    """Another one whenever a weight was written to or replaced."""
    return tuple((t.data_ptr(), t._version) for t in (*network.parameters(), *network.buffers()))


def _laid_out(network: nn.Module, *, always: bool) -> nn.Module:
    if not always and any(t.device.type != "cpu" for t in network.parameters()):
        return network  # where it runs fastest has not been measured; `paths` does
    planar = any(isinstance(m, nn.InstanceNorm2d) for m in network.modules())
    layout = torch.contiguous_format if planar and not always else torch.channels_last
    network.to(memory_format=layout)  # type: ignore[call-overload]
    return network


def _replaced(module: nn.Module) -> nn.Module:
    """With every module that has a `folded` form in that form, innermost ones first."""
    for name, child in list(module.named_children()):
        setattr(module, name, _replaced(child))
    if hasattr(module, "folded"):
        own: Any = module
        found: nn.Module = own.folded()
        module = found
    if isinstance(module, nn.Sequential):
        _let_activations_overwrite(module)
    return module


def _let_activations_overwrite(layers: nn.Sequential) -> None:
    """Those right behind a layer whose output nobody else is given: a pass over memory less."""
    for place in range(1, len(layers)):
        before, layer = layers[place - 1], layers[place]
        fresh = isinstance(before, nn.Conv2d | nn.ConvTranspose2d | nn.InstanceNorm2d) or _is_norm(before)
        if fresh and isinstance(layer, nn.ReLU | nn.LeakyReLU):
            own = copy.copy(layer)  # the same one may stand where it must not
            own.inplace = True
            layers[place] = own


# -- batch normalisation -----------------------------------------------------------------------------


class _Tracer(fx.Tracer):
    """Looks into everything but torch's own layers and batch normalisations."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return _is_norm(module) or super().is_leaf_module(module, qualified_name)


def _is_norm(module: nn.Module) -> bool:
    """Whether it normalises by stored statistics: torch's batch normalisation, or a module that looks like
    it."""
    # Not by attribute, which a tracer answers with a stand-in.
    held = {**module._parameters, **module._buffers}
    return all(held.get(name) is not None for name in ("running_mean", "running_var", "weight", "bias"))


def _without_norms(module: nn.Module) -> nn.Module:
    """Norms folded away where a convolution or linear layer feeds nothing but them.

    The order of layers is read from a trace; a module that decides by its input has none, but its parts may.
    """
    if _is_norm(module) or not any(map(_is_norm, module.modules())):
        return module
    tracer = _Tracer()
    try:
        graph = tracer.trace(module)
    except (fx.proxy.TraceError, TypeError, RuntimeError):
        for name, child in list(module.named_children()):
            setattr(module, name, _without_norms(child))
        return module
    traced = fx.GraphModule(tracer.root, graph)
    _fold_pairs(traced)
    return traced


def _fold_pairs(traced: fx.GraphModule) -> None:
    """In place; modules that are called from several places stay as they are."""
    calls = [n for n in traced.graph.nodes if n.op == "call_module"]
    targets = [n.target for n in calls]
    for node in calls:
        before = node.args[0]
        alone = isinstance(before, fx.Node) and before.op == "call_module" and len(before.users) == 1
        if not alone or targets.count(node.target) > 1 or targets.count(before.target) > 1:
            continue
        layer, norm = traced.get_submodule(str(before.target)), traced.get_submodule(str(node.target))
        merged = _merged(layer, norm) if _is_norm(norm) else None
        if merged is not None:
            _replace(traced, str(before.target), merged)
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()


def _merged(layer: nn.Module, norm: Any) -> nn.Module | None:
    """`layer` and `norm` as one layer; None where that is no layer of torch's."""
    statistics = norm.running_mean, norm.running_var, getattr(norm, "eps", 1e-5), norm.weight, norm.bias
    result: Any = copy.copy(layer)
    result._parameters = dict(layer._parameters)
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        transposed = isinstance(layer, nn.ConvTranspose2d)
        if transposed and layer.groups > 1:
            return None
        result.weight, result.bias = fusion.fuse_conv_bn_weights(
            layer.weight, layer.bias, *statistics, transpose=transposed
        )
    elif isinstance(layer, nn.Linear):
        result.weight, result.bias = fusion.fuse_linear_bn_weights(layer.weight, layer.bias, *statistics)
    else:
        return None
    return result  # type: ignore[no-any-return]


def _replace(root: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(root.get_submodule(parent), leaf, module)
