"""The claims table: as CSV beside the leaderboard, and as lines for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from bench.report.tables import write_csv

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "claim": "Name of the claim.",
    "method": "Method beside which it is declared.",
    "seed": "Training seed of the results.",
    "answer": "held, not held or cannot tell.",
    "decided_by": "The inequality of the claim that decides it.",
    "value": "Its left side less its right side (for < and <= the other way round): the claim wants it "
    "above 0.",
    "low": "Lower end of its interval from paired resamples of identities; all of a claim's intervals hold "
    "together in 95 % of runs.",
    "high": "Upper end.",
    "reason": "Why the claim cannot be decided.",
    "text": "The claim in words.",
    "paper": "Who claims it.",
    "source": "Where it is printed, and which bound was chosen here because none is.",
}
_NUMBERS = ("value", "low", "high")
FILE = "claims.csv"


def to_table(lines: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The lines with fixed columns and types; what is absent is NaN or <NA>."""
    import pandas as pd

    table = pd.DataFrame.from_records(list(lines), columns=list(COLUMNS))
    types: dict[str, Any] = dict.fromkeys(COLUMNS, "string")
    table = table.astype(types | dict.fromkeys(_NUMBERS, "float64") | {"seed": "int64"})
    return table.mask(table == "")


def write_claims(table: pd.DataFrame, folder: Path) -> Path:
    """Write claims.csv into `folder`, atomically; return its path."""
    return write_csv(table, folder / FILE)


def to_lines(table: pd.DataFrame) -> Iterator[str]:
    """The table for people: an answer a line, what decides it below, and the count of the answers."""
    seeds = table["seed"].nunique() > 1
    for line in table.to_dict("records"):
        seed = f" (seed {line['seed']})" if seeds else ""
        yield f"{line['answer']:<12} {line['claim']}{seed}"
        yield fill(str(line["text"]), 100, initial_indent=" " * 13, subsequent_indent=" " * 13)
        yield fill(f"[{_grounds(line)}]", 100, initial_indent=" " * 13, subsequent_indent=" " * 14)
    counts = Counter(table["answer"])
    yield ", ".join(f"{count} {answer}" for answer, count in sorted(counts.items())) or "no claims"


def _grounds(line: Mapping[Hashable, Any]) -> str:
    import pandas as pd

    if not pd.isna(line["reason"]):
        return str(line["reason"])
    return f"{line['decided_by']}: by {line['value']:+.3f} ({line['low']:+.3f} to {line['high']:+.3f})"
