"""Worker processes that do not outlive the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """From now on this process, which multiprocessing started, ends when its parent does, however that ends.

    Without it, the workers of a run that was killed would finish the cells they are at, beside those of the
    command that was repeated.
    """
    threading.Thread(target=_follow, name="end with parent", daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
