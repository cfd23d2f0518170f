"""Every damage to an artefact, on a store by itself: noticed, named, and made good by storing it again."""

import numpy as np
import pytest

from bench.store import Artefact, DamagedArtefactError, Store, digest

from .corruptions import HARMLESS, OF_ARTEFACTS
from .counting import counted

KEY, OTHER = digest("some work"), digest("other work")


def _artefact(value: float) -> Artefact:
    return Artefact({"x": np.full((3, 5), value, np.float32)}, {"value": value})


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    store.save(KEY, _artefact(1), {})
    store.save(OTHER, _artefact(2), {})
    return store


@pytest.mark.parametrize("name", OF_ARTEFACTS)
def test_damage_is_noticed_and_made_good(store, name):
    OF_ARTEFACTS[name](store.folder(KEY), store.folder(OTHER))
    with pytest.raises(DamagedArtefactError, match=KEY[:12]):
        store.load(KEY)
    assert not store.has(KEY)
    store.save(KEY, _artefact(1), {})
    assert store.load(KEY).facts == {"value": 1}
    assert store.load(OTHER).facts == {"value": 2}
    counted("damaged artefact, by itself", name, "repaired")
    told = list(store.set_aside_so_far().values())
    assert [key for key, reason in told if reason] == ([] if name == "folder: missing" else [KEY])


@pytest.mark.parametrize("name", OF_ARTEFACTS)
def test_nothing_damaged_counts_as_done_but_by_the_size_of_its_data(store, name):
    OF_ARTEFACTS[name](store.folder(KEY), store.folder(OTHER))
    if store.has(KEY):  # the card is whole: what is wrong is seen by whoever reads the data
        assert store.card(KEY)["key"] == KEY
        with pytest.raises(DamagedArtefactError, match="checksum"):
            store.load(KEY)
    store.save(KEY, _artefact(1), {})
    assert store.load(KEY).facts == {"value": 1}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_no_damage_is_left_alone(store, name):
    HARMLESS[name](store.folder(KEY), store.folder(OTHER))
    assert store.has(KEY)
    assert store.load(KEY).facts == {"value": 1}
