"""The machine and the libraries behind a row: rows of different ones are never ranked together."""

from __future__ import annotations

import os
import platform
import subprocess
from typing import Any


def environment(device: str) -> dict[str, Any]:
    """Facts that decide speed, in columns of every row; empty where they do not apply."""
    import torch

    on_gpu = device.startswith("cuda")
    return {
        "accelerator": torch.cuda.get_device_name(device) if on_gpu else "",
        "driver": _driver() if on_gpu else "",
        "cuda": torch.version.cuda or "" if on_gpu else "",
        "cudnn": torch.backends.cudnn.version() if on_gpu else "",
        "cudnn_benchmark": torch.backends.cudnn.benchmark if on_gpu else "",
        "tf32_convolutions": torch.backends.cudnn.allow_tf32 if on_gpu else "",
        "tf32_products": torch.backends.cuda.matmul.allow_tf32 if on_gpu else "",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def _driver() -> str:
    """Version of the GPU's driver, as its own tool tells it; empty where that tool is missing."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.splitlines()[0].strip() if found.stdout.strip() else ""


def _processor() -> str:
    """Model of the processor; Linux alone tells more than its architecture."""
    try:
        with open("/proc/cpuinfo") as file:
            models = [text.partition(":")[2].strip() for text in file if text.startswith("model name")]
    except OSError:
        models = []
    return models[0] if models else platform.processor()
