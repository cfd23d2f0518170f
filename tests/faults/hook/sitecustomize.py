"""Put on PYTHONPATH by the fault tests: shoots processes of a run at chosen events, and turns their clock.

FAULT_SHOT: JSON with `log` (beginning of the name of a file that each shot makes), `most` (number of shots),
`kind` of the event, `skip` (how many of that kind each process lets pass), `victim` (`worker`, `parent` or
`all`) and the folders `store` and `out`. The event is one that Python itself announces (an audit event), just
before the thing is done.
FAULT_CLOCK: seconds to add to the time of day; FAULT_CLOCK_JUMP: seconds that it jumps by at every look.
"""

import json
import os
import signal
import sys


def _shoot(shot):
    store, out, left, trained = shot["store"], shot["out"], [shot["skip"]], []

    def kind_of(event, arguments):
        """What the event means to the store or the report; empty for all others."""
        if event == "open" and isinstance(arguments[1], str) and arguments[1].startswith("w"):
            path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else ""
            if path.startswith(f"{store}/new/"):
                if path.endswith("card.json"):
                    return "between data and card"
                return "after a checkpoint" if trained == [shot["kind"]] else "before the data"
        elif event == "os.rename":
            source, target = os.fsdecode(arguments[0]), os.fsdecode(arguments[1])
            if source.startswith(f"{store}/new/"):
                return "before the rename"
            if target.endswith(".checkpoint"):
                trained[:] = ["after a checkpoint"]
                return "in a checkpoint"
            if target.startswith(f"{out}/"):
                return "in the report"
        elif event == "shutil.rmtree" and os.fsdecode(arguments[0]).startswith(f"{store}/new/"):
            return "after the rename"
        return ""

    def claimed(path):
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        return True

    def hook(event, arguments):
        if event not in ("open", "os.rename", "shutil.rmtree") or kind_of(event, arguments) != shot["kind"]:
            return
        left[0] -= 1
        if left[0] >= 0:
            return
        if not any(claimed(f"{shot['log']}.{number}") for number in range(shot["most"])):
            return
        import multiprocessing

        child = multiprocessing.parent_process() is not None
        if shot["victim"] == "all":
            os.killpg(0, signal.SIGKILL)
        # What the parent does, no worker can be shot for.
        os.kill(os.getppid() if child and shot["victim"] == "parent" else os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _turn(shift, jump):
    """Turn what `time` tells; what C code asks of the system stays, as the program asks nothing else."""
    import time

    looks = [0]
    now, now_ns = time.time, time.time_ns

    def seconds():
        looks[0] += 1
        return shift + jump * (looks[0] % 7)

    time.time = lambda: now() + seconds()
    time.time_ns = lambda: now_ns() + int(seconds() * 1e9)


if "FAULT_SHOT" in os.environ:
    _shoot(json.loads(os.environ["FAULT_SHOT"]))
if "FAULT_CLOCK" in os.environ:
    _turn(float(os.environ["FAULT_CLOCK"]), float(os.environ.get("FAULT_CLOCK_JUMP", "0")))
