"""Every component that is discovered keeps the contract of its kind."""

import pytest

from bench import discover
from bench.contract import check_component
from bench.errors import Unavailable

NAMES = [(kind, name) for kind in discover.PACKAGES for name in discover.components(kind)]


@pytest.mark.parametrize(("kind", "name"), NAMES, ids=[f"{k}-{n}" for k, n in NAMES])
def test_component_keeps_the_contract(kind, name):
    try:
        findings = check_component(name, kind)
    except Unavailable as error:
        pytest.skip(f"{kind} {name}: {error}")
    assert findings
    assert not [f"{f.what}: {f.why}" for f in findings if not f.ok]
