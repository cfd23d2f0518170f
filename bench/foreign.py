"""How a component names the foreign file it needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pretrained:
    """A file of foreign weights that a component needs; never part of the project.

    file: name in the weights folder. licence, source: for the user to judge.
    sha256: of its bytes. Empty: nobody but the user can know it, since it is the user who converts the
        published file; `weights add` pins it.
    modules: packages that must be installed; the first of them carries `file`, which then is looked for there
        and not in the weights folder. extra: the extra of this project that installs them.
    """

    file: str
    sha256: str
    licence: str
    source: str
    modules: tuple[str, ...] = ()
    extra: str = ""
