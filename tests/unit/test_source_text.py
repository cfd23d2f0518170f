"""What hashes of source are made of."""

import hashlib

import pytest

from bench.source_text import code_of

SOURCE = '''
"""Words."""
from bench.api import Claim, Method


class Good(Method):
    """More words."""
    claims = (Claim("x"),)

    def protect(self, images: np.ndarray, *rest, quality=.5, **more) -> np.ndarray:
        """Words."""
        match rest:
            case [first, *_] if (n := len(rest)) > 1:
                return f"{first!r:>{n}} is {{'an'}} f-string of {more['key']:.2f}" "and a tail"
        return images if quality is not None else ...
'''


def code(tmp_path, text):
    path = tmp_path / f"{hashlib.sha256(text.encode()).hexdigest()[:8]}.py"
    path.write_text(text)
    return code_of(path)


def test_every_version_of_python_spells_code_alike(tmp_path):
    found = hashlib.sha256(code(tmp_path, SOURCE).encode()).hexdigest()
    assert found[:16] == "35cdba3e87ccaa81"  # of 3.11.7, 3.12.1 and 3.13.0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("quality=.5", "quality = 0.50"),
        ("More words", "Other words"),
        ('Claim("x")', 'Claim("y")'),
        ("return images if", "# why\n        return images  if"),
    ],
)
def test_words_and_layout_do_not_count(tmp_path, old, new):
    assert code(tmp_path, SOURCE.replace(old, new)) == code(tmp_path, SOURCE)


@pytest.mark.parametrize(
    ("old", "new"), [(".5", ".6"), ("is not", "is"), ("*rest", "*, rest"), (":.2f", ":.3f"), ("> 1", ">= 1")]
)
def test_what_is_done_counts(tmp_path, old, new):
    assert code(tmp_path, SOURCE.replace(old, new, 1)) != code(tmp_path, SOURCE)
