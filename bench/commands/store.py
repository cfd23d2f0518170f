"""`python -m bench store`: looks after finished work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.store import Store

app = typer.Typer(
    help="Finished work: whether it is intact, how much room it takes, and what may go.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_SOME_DAMAGED = 1
_Root = Annotated[Path, typer.Option("--store", help="the store of a run")]
_Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="show the traceback of an error")]
_DEFAULT = Path(".bench")


@app.command()
def verify(store: _Root = _DEFAULT, verbose: _Verbose = False) -> None:
    """Read all that is stored and compare it with its checksums; exit with 1 if anything is damaged.

    What is damaged is set aside, and the next run that needs it makes it again.
    """
    from bench.store import DamagedArtefactError

    kept, damaged = _opened(store), 0
    keys = kept.stored()
    for key in keys:
        try:
            kept.load(key)
        except DamagedArtefactError as error:
            damaged += 1
            print(f"damaged {key[:12]}: {error.reason}; set aside, the next run makes it again")
    print(f"{len(keys) - damaged} ok, {damaged} damaged; damaged ones are in {kept.root / 'aside'}")
    if damaged:
        raise typer.Exit(_SOME_DAMAGED)


@app.command()
def size(store: _Root = _DEFAULT, verbose: _Verbose = False) -> None:
    """Say how much room finished work takes by stage, and beside it checkpoints and what was set aside."""
    from bench.store import DamagedArtefactError

    kept = _opened(store)
    room: dict[str, list[int]] = {}
    for key in kept.stored():
        try:
            stage = str(kept.card(key)["provenance"].get("stage", "unknown"))
        except DamagedArtefactError:
            stage = "damaged"
        counted = room.setdefault(stage, [0, 0])
        counted[0] += 1
        counted[1] += _bytes(kept.folder(key))
    for stage, (number, taken) in sorted(room.items(), key=lambda entry: -entry[1][1]):
        print(f"{taken / 1e6:10.1f} MB  {number:6}  {stage}")
    for name, what in (("work", "checkpoints"), ("aside", "damaged"), ("new", "being written")):
        print(f"{_bytes(kept.root / name) / 1e6:10.1f} MB          {what}")


@app.command()
def prune(
    store: _Root = _DEFAULT,
    checkpoints: Annotated[
        bool,
        typer.Option("--checkpoints", help="also checkpoints of interrupted trainings; stop all runs first"),
    ] = False,
    verbose: _Verbose = False,
) -> None:
    """Remove what was set aside as damaged and what killed runs left half written; no finished work."""
    import shutil

    kept = _opened(store)
    before = sum(_bytes(kept.root / name) for name in ("work", "aside", "new"))
    kept.sweep()
    shutil.rmtree(kept.root / "aside", ignore_errors=True)
    if checkpoints:
        shutil.rmtree(kept.root / "work", ignore_errors=True)
    after = sum(_bytes(kept.root / name) for name in ("work", "aside", "new"))
    print(f"{(before - after) / 1e6:.1f} MB removed")


def _opened(root: Path) -> Store:
    from bench.errors import InputError
    from bench.store import Store

    if not root.is_dir():
        raise InputError(f"no such store: {root}; give --store as in the run")
    return Store(root)


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
