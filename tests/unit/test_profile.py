"""Where the time went, from made-up cells."""

import csv

from bench.cells import Cell
from bench.engines.outcome import Outcome, Spent
from bench.profile import profile_lines, write_profile


def made_up():
    faces = Cell("faces", {"n": 1}, title="faces <TEST>")
    slow = Cell("fit", {"n": 2}, {"faces": faces.key}, title="train slow")
    quick = Cell("fit", {"n": 3}, {"faces": faces.key}, title="train quick")
    score = Cell("score", {}, {"slow": slow.key}, {"quick": quick.key}, title="score all")
    planned = {cell.key: cell for cell in (faces, slow, quick, score)}
    spent = {
        faces.key: Spent(0, 0.0, 1.0, 1.0),
        slow.key: Spent(0, 1.0, 9.0, 4.0),
        quick.key: Spent(1, 1.0, 3.0, 2.0),
        score.key: Spent(1, 9.0, 10.0, 1.0),
    }
    return planned, Outcome(done={key: key for key in planned}, spent=spent, elapsed=10.0)


def test_stages_workers_and_the_last_chain_are_told():
    planned, outcome = made_up()
    text = "\n".join(profile_lines(planned, outcome, 2))
    assert "4 cells in 10.0 s on 2 workers" in text
    assert "60.0% of 20 s in cells, 40.0% computing" in text
    stages = [
        line.split() for line in text.splitlines() if line.strip().startswith(("fit", "faces", "score"))
    ]
    assert stages[0] == ["fit", "2", "10.0", "6.0", "83.3%"]
    chain = text.partition("chain of cells")[2]
    assert [name in chain for name in ("faces <TEST>", "train slow", "score all", "train quick")] == [
        True, True, True, False,
    ]  # fmt: skip


def test_nothing_computed_says_so():
    assert "nothing was computed" in "\n".join(profile_lines({}, Outcome(), 2))


def test_every_cell_is_written_in_the_order_of_its_end(tmp_path):
    planned, outcome = made_up()
    with write_profile(tmp_path / "profile.csv", planned, outcome).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["title"] for row in rows] == ["faces <TEST>", "train quick", "train slow", "score all"]
    assert rows[2] == {
        "stage": "fit", "title": "train slow", "worker": "0", "started_s": "1.000", "ended_s": "9.000",
        "processor_s": "4.000", "peak_mb": "",
    }  # fmt: skip
