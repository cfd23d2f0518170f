"""Finds the photographs of a publisher who tells who is on a photograph by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.components.survey import Problem
from bench.datasets._file_trees import PHOTOS, find_tree
from bench.datasets._image_files import ImageFiles
from bench.errors import InputError


@dataclass(frozen=True)
class Found:
    """A photo and what its name says. match: of the layout's pattern, with the group `key`."""

    match: re.Match[str]
    name: str
    files: ImageFiles

    @property
    def key(self) -> str:
        return self.match["key"]

    def __getitem__(self, group: str) -> str:
        return self.match[group] or ""


@dataclass(frozen=True)
class Layout:
    """How a publisher names folders and files.

    folders: in which to look, in this order, each also as a zip; the empty one is the root itself.
    pattern: of the path of a photo, all of it, with a group `key` that is unique. example: such a path.
    """

    title: str
    folders: tuple[str, ...]
    pattern: re.Pattern[str]
    example: str
    endings: tuple[str, ...] = PHOTOS

    def tree(self, root: Path) -> ImageFiles | None:
        """The first place of `root` with a photo whose name fits, or None."""
        for folder in self.folders:
            tree = find_tree(root, (folder,), self.endings)
            if tree is not None and any(self.pattern.fullmatch(name) for name in tree.names()):
                return tree
        return None

    def find(self, roots: Sequence[Path]) -> list[Found]:
        """All photos, by key; one that is there twice with the same bytes counts once.

        Raises InputError where a root has none, or for two different photos of one key.
        """
        found: dict[str, Found] = {}
        for tree in self._trees(roots):
            for name in sorted(tree.names()):
                match = self.pattern.fullmatch(name)
                if match is None:
                    continue
                new = Found(match, name, tree)
                old = found.setdefault(new.key, new)
                if old is not new and old.files.crc(old.name) != tree.crc(name):
                    both = f"{old.files.where}/{old.name} and {tree.where}/{name}"
                    raise InputError(f"{new.key} differs between {both}; keep the publisher's")
        return sorted(found.values(), key=lambda f: f.key)

    def strangers(self, roots: Sequence[Path]) -> list[Problem]:
        """Photos beside the others whose names are none of the publisher's."""
        return [
            Problem("unused", f"{tree.where}/{name}", f"no name as {self.example}")
            for tree in self._trees(roots)
            for name in sorted(tree.names())
            if not self.pattern.fullmatch(name)
        ]

    def _trees(self, roots: Sequence[Path]) -> list[ImageFiles]:
        trees = []
        for root in roots:
            tree = self.tree(root)
            if tree is None:
                looked = ", ".join(f"{f}/ and {f}.zip" if f else "the folder itself" for f in self.folders)
                raise InputError(
                    f"no {self.title} in {root}: looked for photos as {self.example} in {looked}; "
                    "give --data the folder that holds them (unpack a tar first)"
                )
            trees.append(tree)
        return trees


def first_file(roots: Sequence[Path], *names: str) -> Path | None:
    """The first of the files `names` that one of the roots has."""
    return next((root / name for root in roots for name in names if (root / name).is_file()), None)
