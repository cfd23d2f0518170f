"""What became of one file of the user's: the row of the table, and what a repeated run goes by."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PROTECTED, PARTLY, UNPROTECTED = "protected", "partly", "unprotected"
NO_FACE, UNREADABLE, SKIPPED, FAILED = "no_face", "unreadable", "skipped", "failed"
STATUSES = {
    PROTECTED: "every face that was found is protected",
    PARTLY: "some faces are; the others were left out, or blacked out in the picture",
    UNPROTECTED: "no face could be, for the reason that stands there; there is no output",
    NO_FACE: "no face was found; there is no output, as one may have been missed",
    UNREADABLE: "not a complete picture",
    SKIPPED: "a link, a folder, a hidden or a special file",
    FAILED: "the method or the disk failed; repeating the command tries again",
}


@dataclass(frozen=True)
class Output:
    """path: below the target folder, as in `Entry`. sha256: of its bytes."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Record:
    """path: as in `Entry`. key: digest of the settings, the file's bytes and its labels; empty if there are
    none. width, height: upright, in the file. labels, label_source: attribute=value, in the order of outputs'
    faces."""

    path: str
    key: str = ""
    status: str = SKIPPED
    reason: str = ""
    faces_found: int = 0
    faces_protected: int = 0
    outputs: tuple[Output, ...] = ()
    width: int = 0
    height: int = 0
    format: str = ""
    note: str = ""
    labels: str = ""
    label_source: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Record:
        """Raises TypeError or KeyError for anything that `to_json` did not write."""
        outputs = tuple(Output(str(o["path"]), str(o["sha256"])) for o in values["outputs"])
        return cls(**{**values, "outputs": outputs})
