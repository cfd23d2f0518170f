"""The one page that component authors import from.

A component is one class in one file: `methods/my_idea.py`, `attackers/...`, `matchers/...`,
`bench/datasets/...`, `bench/quality/metrics/...`. The file's stem is its name; nothing else has to be edited.

    from bench.api import Method, Request

    class MyIdea(Method):
        title = "My idea"
        obfuscates = ("gender",)

        def _protect(self, images, request):
            return images.flip(-1)

Sealed methods without an underscore check what goes in and out; hooks with one are the author's.
"""

from bench.auxiliaries import KeptAuxiliaries, revive
from bench.components.attacker import Attacker, KernelAttacker, Scores
from bench.components.base import (
    Component,
    Context,
    State,
    load_module,
    module_state,
)
from bench.components.claim import Claim, Figure
from bench.components.dataset import Dataset
from bench.components.embedding_method import EmbeddingMethod, Templates
from bench.components.matcher import Matcher
from bench.components.method import (
    Auxiliaries,
    AuxiliaryMatcher,
    Classifier,
    Method,
    Protected,
    Verdict,
    resize,
    to_tensor,
    to_uint8,
)
from bench.components.method_base import Request, Variant
from bench.components.metric import Metric
from bench.components.products import Products
from bench.errors import (
    BenchError,
    ContractError,
    InputError,
    MetricError,
    Unavailable,
    UsageError,
)
from bench.faces import ATTACK, DEVELOP, POOLS, SOFT_BIOMETRICS, TEST, VALIDATION, Attribute, Faces, yes_no
from bench.foreign import Pretrained

__all__ = [
    "ATTACK",
    "DEVELOP",
    "POOLS",
    "SOFT_BIOMETRICS",
    "TEST",
    "VALIDATION",
    "Attacker",
    "Attribute",
    "Auxiliaries",
    "AuxiliaryMatcher",
    "BenchError",
    "Claim",
    "Classifier",
    "Component",
    "Context",
    "ContractError",
    "Dataset",
    "EmbeddingMethod",
    "Faces",
    "Figure",
    "InputError",
    "KeptAuxiliaries",
    "KernelAttacker",
    "Matcher",
    "Method",
    "Metric",
    "MetricError",
    "Pretrained",
    "Products",
    "Protected",
    "Request",
    "Scores",
    "State",
    "Templates",
    "Unavailable",
    "UsageError",
    "Variant",
    "Verdict",
    "load_module",
    "module_state",
    "resize",
    "revive",
    "to_tensor",
    "to_uint8",
    "yes_no",
]
