"""Files that are either the old bytes or the new ones, never half of each.

What is being written has a temporary name that says which process writes it, so that what a killed process
left can be told from what is being written at this moment, by whatever command and on whatever machine.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import socket
import tempfile
from functools import cache
from pathlib import Path

_TEMPORARY = re.compile(r"\.new-([0-9a-f]{8})-([0-9]+)-")
_DAY = 86_400.0
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def permitted(mode: int) -> int:
    """`mode` less what the user's umask takes away: for files that begin as nobody else's to read."""
    return mode & ~_UMASK


def _umask() -> int:
    """Python tells it only by setting another one; the strictest, for as long as that takes."""
    found = os.umask(0o077)
    os.umask(found)
    return found


_UMASK = _umask()


def write_atomically(path: Path, data: bytes) -> Path:
    """Write `data` to `path`, making its folder; a reader sees the old file or the new one, never a part.

    After a crash of the machine as well: the bytes are on disk before they take the place of the old ones.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=temporary_prefix())
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, permitted(0o666))
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):  # that of a full disk does not say which file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    return path


def no_room(error: OSError) -> str:
    """What to tell of a disk that is full, read-only or above a quota; empty for any other error."""
    if error.errno not in _NO_ROOM:
        return ""
    where = f" {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
    return (
        f"cannot write{where}: {error.strerror}; make room there or choose another folder, then repeat the "
        "command: what is done is kept"
    )


def temporary_prefix() -> str:
    """How the names of this process's temporary files and folders begin."""
    return f".new-{_machine()}-{os.getpid()}-"


def sweep(folder: Path) -> int:
    """Remove the temporary files and folders directly in `folder` whose writers are gone; returns how many.

    A writer on this machine is gone when there is no such process; one on another machine when nothing has
    happened for a day by the clock of the file system. What cannot be removed is left.
    """
    try:
        found = [name for name in os.listdir(folder) if _TEMPORARY.match(name)]
    except OSError:  # no such folder yet
        return 0
    left = [folder / name for name in found if _is_left(folder / name)]
    for path in left:
        _remove(path)
    return len(left)


def _is_left(path: Path) -> bool:
    from psutil import pid_exists

    found = _TEMPORARY.match(path.name)
    assert found is not None
    machine, process = found.groups()
    if machine == _machine():
        return not pid_exists(int(process))
    return _age(path) > _DAY


def _age(path: Path) -> float:
    """Seconds since `path` changed; negative where that cannot be told. No clock of a machine is asked."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as now:
            return os.fstat(now.fileno()).st_mtime - path.stat().st_mtime
    except OSError:
        return -1.0


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError:  # as in a folder that cannot be written; nothing depends on it
        return


@cache
def _machine() -> str:
    """Of this machine since its start, and of this container: where a process number means one process."""
    known = [socket.gethostname()]
    for source in (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")):
        try:
            known.append(os.readlink(source) if source.is_symlink() else source.read_text())
        except OSError:  # not on this system
            known.append("")
    return hashlib.sha256("|".join(known).encode()).hexdigest()[:8]
