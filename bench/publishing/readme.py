"""The page that a git host shows of a folder of results: a table, a picture and a command for each."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import record
from bench.errors import InputError
from bench.files import write_atomically
from bench.publishing.results import PUBLISHED, ROWS, board_of, told_apart
from bench.report import markdown
from bench.report.dictionary import Entry
from bench.report.style import slug
from bench.report.tables import GROUP, METRICS, groups, label

if TYPE_CHECKING:
    import pandas as pd

README = "README.md"
_BEGIN = "<!-- Written by `python -m bench publish`; what stands between these two lines is replaced. -->"
_END = "<!-- End of what `python -m bench publish` writes. -->"
_TITLE = "# Published results\n"
_TELLING = tuple(key for key in GROUP if key not in ("dataset", "attribute"))
_FEW = 12


def write_readme(to: Path) -> Path:
    """Write `to`/README.md anew from what is published there; text of its own around it stays.

    Raises InputError when only one of the two lines is left that mark the place.
    """
    path = to / README
    before, after = _own(path)
    return write_atomically(path, f"{before}{_BEGIN}\n\n{generated(to)}\n{_END}\n{after}".encode())


def generated(to: Path) -> str:
    """The text on everything published under `to`."""
    folders = published(to)
    parts = [part for folder in folders for part in _section(folder)]
    if folders:
        parts += _dictionary(folders)
    else:
        parts.append("Nothing is published yet.\n")
    return "\n".join(parts)


def published(to: Path) -> list[Path]:
    """The folders of results, by name."""
    return sorted(path.parent for path in to.glob(f"*/{PUBLISHED}") if not path.parent.name.startswith("."))


def shown_text(to: Path) -> str:
    """What README.md says of what is published; empty where it says nothing."""
    path = to / README
    text = path.read_text("utf-8") if path.is_file() else ""
    return text.partition(f"{_BEGIN}\n\n")[2].partition(f"\n{_END}\n")[0]


def _own(path: Path) -> tuple[str, str]:
    """What somebody wrote before and after the generated part."""
    text = path.read_text("utf-8") if path.is_file() else _TITLE
    if (text.count(_BEGIN), text.count(_END)) not in ((0, 0), (1, 1)):
        raise InputError(f"{path} has lost one of the lines that mark the generated part; delete both")
    before, begin, rest = text.partition(f"{_BEGIN}\n")
    if not begin:
        return text.rstrip("\n") + "\n\n", ""
    return before, rest.partition(f"{_END}\n")[2]


# -- one folder --------------------------------------------------------------------------------------


def _section(folder: Path) -> Iterator[str]:
    about, board = record.read(folder / PUBLISHED), board_of(folder / ROWS)
    name = folder.name
    yield f"## {markdown.text(about['title'])} ({markdown.text(name)})\n"
    yield _about(about, board)
    page = f"{name}/index.html"
    yield f"Page with every table and figure: [{page}]({markdown.link(page)}). {_FILES}\n"
    for picture in _pictures(folder, board):
        path = f"{name}/plots/{picture}"
        yield f"![leak of the strongest attacker against TMR]({markdown.link(path)})\n"
    yield _table(board)
    yield _LEGEND
    if note := told_apart(about["runs"]):
        yield f"{markdown.text(note)}\n"
    yield _runs(about["runs"])


_FILES = (
    "Beside it `leaderboard.csv`, every measured value as one row (`rows.parquet`), the ROC curves "
    "(`curves.parquet`), figures for print (`plots`), the meaning of every column (`columns.csv`), and "
    "`published.json`: configuration, versions, code and fingerprints of data and weights."
)
_LEGEND = (
    "Figures with their 95 % intervals over identities. Leak: 2 |AUC - .5| of the attacker that reads most, "
    "0 is nothing and 1 everything. TMR: true match rate at a false match rate of 1 %, protected against "
    "original. Reduction: of static attackers, 1 is chance, above 1 inverted. Equal ranks cannot be told "
    "apart.\n"
)


def _about(about: dict[str, Any], board: pd.DataFrame) -> str:
    first = about["runs"][0]
    methods = board[board["role"] != "control"]
    outputs = len(methods[["method", "variant"]].fillna("").drop_duplicates())
    parts = [
        f"{_count(outputs, 'output')} of {_count(methods['method'].nunique(), 'method')}, beside controls"
    ]
    if test := first["pools"].get("test"):
        parts.append(f"{test['images']:,} test faces of {test['identities']:,} people")
    parts.append(f"{first['size']} px, preset {first['config']['preset']}, seed {first['config']['seed']}")
    parts.append(f"rungs {', '.join(first['rungs'])}")
    if not about["photographs"]:
        parts.append("the faces are drawn by a program")
    return markdown.text("; ".join(parts)) + ".\n"


def _pictures(folder: Path, board: pd.DataFrame) -> list[str]:
    """The plane of the group with the most lines."""
    largest_first = sorted(groups(board), key=lambda group: -len(group[1]))
    found = [f"plane_{slug(name)}.png" for name, _ in largest_first]
    return [name for name in found if (folder / "plots" / name).is_file()][:1]


def _table(board: pd.DataFrame) -> str:
    """One table: a line for each output and attribute, with what tells groups apart in front; first the
    attributes that most outputs hide."""
    hidden = board[board["role"] != "control"].groupby("attribute").size()
    often = board["attribute"].map(hidden).fillna(0).sort_values(ascending=False, kind="stable")
    board = board.loc[often.index]
    telling = ["attribute", *(key for key in _TELLING if board[key].nunique(dropna=False) > 1)]
    quality = [m for m in ("lpips", "lpips_alex", "niqe", "niqe_fitted", "ssim") if board[m].notna().any()][
        :2
    ]
    headings = [
        *(key.replace("_", " ") for key in telling),
        *("method", "rank", "leak", "read by", "TMR", "TMR kept", "Reduction", "kept CAC"),
        *(METRICS[metric].title for metric in quality),
        "notes",
    ]
    numbers = [place for place, heading in enumerate(headings) if heading in ("rank", "TMR kept", "kept CAC")]
    rows = [
        [
            *(_word(line[key]) for key in telling),
            label(line["method"], _word(line["variant"])),
            _word(line["rank"]),
            _figure(line, "leak"),
            _word(line["worst_by"]),
            _figure(line, "tmr"),
            _number(line["tmr_kept"]),
            _figure(line, "reduction"),
            _number(line["kept_cac"]),
            *(_number(line[metric]) for metric in quality),
            "; ".join(part for part in (_word(line["flags"]), _word(line["reason"])) if part),
        ]
        for line in board.to_dict("records")
    ]
    return markdown.table(headings, rows, numbers=numbers)


def _runs(runs: Sequence[dict[str, Any]]) -> str:
    """The command behind each result, and what is missing or went wrong."""
    parts = []
    for run in runs:
        whom = "" if len(runs) == 1 else f" of {_some(run['outputs'])}"
        parts.append(f"The same numbers{whom} come from\n\n{markdown.code(run['command'])}")
        code, machine = run["code"], run["machine"]
        commit = f" ({code['commit']})" if code["commit"] else ""
        versions = ", ".join(f"{name} {found}" for name, found in machine["versions"].items())
        parts.append(
            markdown.text(
                f"with veilbench {code['veilbench']}{commit}, Python {machine['python']}, {versions}, on "
                f"{machine['platform']}."
            )
            + _folders(run["command"])
            + "\n"
        )
        if missing := _by_kind(run["unavailable"]):
            parts.append(f"Not at hand, so not in the table: {markdown.text(missing)}.\n")
        if failed := [one for one in run["failures"] if not one["blocked"]]:
            says = "; ".join(f"{one['title']}: {one['message']}" for one in failed)
            parts.append(f"**Failed**, so not in the table: {markdown.text(says)}.\n")
    return "\n".join(parts)


def _folders(command: str) -> str:
    if not {"--data", "--weights"} & set(shlex.split(command)):
        return ""
    return " Words in capitals stand for folders: a dataset as its publisher packs it, pretrained networks."


def _by_kind(unavailable: Sequence[dict[str, str]]) -> str:
    kinds = dict.fromkeys(one["kind"] for one in unavailable)
    return "; ".join(
        f"{kind} {', '.join(one['name'] for one in unavailable if one['kind'] == kind)}" for kind in kinds
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return markdown.text(", ".join(names[:_FEW])) + more


def _figure(line: dict[Any, Any], name: str) -> str:
    low, high = _number(line[f"{name}_low"]), _number(line[f"{name}_high"])
    return f"{_number(line[name])} ({low} to {high})" if low and high else _number(line[name])


def _number(value: Any) -> str:
    import pandas as pd

    return "" if pd.isna(value) else f"{float(value):.3f}"


def _word(value: Any) -> str:
    import pandas as pd

    return "" if pd.isna(value) else str(value)


# -- the dictionary ----------------------------------------------------------------------------------


def _dictionary(folders: Iterable[Path]) -> list[str]:
    """What all columns of all folders mean, once."""
    import pandas as pd

    found: dict[Entry, None] = {}
    for folder in folders:
        table = pd.read_csv(folder / "columns.csv", keep_default_na=False)
        found |= dict.fromkeys(Entry(*row) for row in table.itertuples(index=False))
    parts = ["## Columns\n", "Files are UTF-8; absent is empty, never 0; shares and rates lie in 0 to 1.\n"]
    for file in dict.fromkeys(entry.table for entry in found):
        rows = [entry[1:] for entry in found if entry.table == file]
        parts += [f"`{file}`\n", markdown.table(("column", "unit", "meaning"), rows)]
    return parts
