"""Makes a table of rates of what the cells in a store took."""

from __future__ import annotations

from pathlib import Path

from bench.costs.fit import fit_rates
from bench.costs.samples import Sample, samples_of
from bench.costs.table import Table, write_table
from bench.errors import InputError

_LIBRARIES = ("torch", "numpy", "scikit-learn", "xgboost")


def calibrate(store: Path, path: Path) -> Path:
    """Write `path`. Raises InputError for a store in which no cell says what it took."""
    samples = samples_of(store)
    if not samples:
        raise InputError(
            f"no cell in {store} says what it took: run something there first, or give --store another one"
        )
    return write_table(path, table_of(samples))


def table_of(samples: list[Sample]) -> Table:
    """Rates of cells that are all of this machine, or of machines that are taken to be like it."""
    from bench.inference.environment import environment

    told = samples[-1].machine
    versions = {name: told.get("versions", {}).get(name, "unknown") for name in _LIBRARIES}
    about = ", ".join([f"veilbench {told['veilbench']}", f"python {told['python']}"])
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    processor = f"{environment('cpu')['processor']}, {told['cores']} cores, {told['platform']}"
    return Table(fit_rates(samples), processor, f"{about}, {libraries}", _today())


def _today() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).date().isoformat()
