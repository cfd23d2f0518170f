"""What one attempt at a cell takes of the machine: seconds, processor time and memory."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_RESET_PEAK = "5"
"""Written to `clear_refs` it sets the peak back to what the process holds now, see proc(5)."""

OF_CELL, OF_WORKER = "cell", "worker"
"""What a peak of memory is of: of this cell, or of all that its worker has done so far (an upper bound)."""


class Meter:
    """Starts with the work; `spent` ends it. device: a torch device."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.resets = _reset_peak()
        if _on_gpu(device):
            import torch

            torch.cuda.reset_peak_memory_stats(device)
        self.modules = len(sys.modules)
        self.started, self.used = time.monotonic(), time.process_time()

    def spent(self) -> dict[str, Any]:
        """For a card's provenance: device; elapsed and processor in seconds; peak_bytes, most memory that
        the process held, and of what (`OF_CELL`, `OF_WORKER`); imported, how many modules were, which takes
        a worker's first cells long; gpu_peak_bytes, most that was allocated."""
        found = {
            "device": self.device,
            "elapsed": time.monotonic() - self.started,
            "processor": time.process_time() - self.used,
            "imported": len(sys.modules) - self.modules,
            "peak_bytes": _peak() if self.resets else _peak_of_process(),
            "peak_of": OF_CELL if self.resets else OF_WORKER,
        }
        if _on_gpu(self.device):
            import torch

            found["gpu_peak_bytes"] = torch.cuda.max_memory_allocated(self.device)
        return found


def _on_gpu(device: str) -> bool:
    return device.partition(":")[0] == "cuda"


def _reset_peak() -> bool:
    """Whether the peak of this process could be set back."""
    try:
        _CLEAR.write_text(_RESET_PEAK)
        return bool(_peak())
    except OSError:  # no Linux, or a container that forbids it: the peak of the whole process is what is left
        return False


def _peak() -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _peak_of_process() -> int:
    """Since the process began. Windows tells it no way that Python knows: 0 there."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
