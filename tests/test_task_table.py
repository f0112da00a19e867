"""How far tasks are, as a table without empty columns."""

import re

from test_written_plan import job, unit, written

from latent_lab import progress


def test_a_column_that_no_task_fills_is_left_out(tmp_path, capsys):
    written(tmp_path, unit(tmp_path, "a", job("one")), unit(tmp_path, "b", job("two")))
    progress.Status(tmp_path, 0, "a").write()
    assert shown(tmp_path, capsys) == [["task", "state", "how far", "where"], ["0", "running", "a"]]
    (tmp_path / "plan" / "logs" / "1.log").touch()
    progress.Status(tmp_path, 1, "b").write(state="failed", error="ValueError: no\nmore")
    head, failed, error, running = shown(tmp_path, capsys)
    assert head == ["task", "state", "how far", "where", "log"]
    assert failed[:3] == ["1", "failed", "b"] and failed[-1] == "plan/logs/1.log" and error == ["ValueError: no"]
    assert running[:3] == ["0", "running", "a"]


def shown(folder, capsys) -> list[list[str]]:
    """The lines of the table, in cells, without the processes."""
    progress.show(folder, [])
    lines = [re.split(r" {2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    start = next(number for number, line in enumerate(lines) if line[0] == "task")
    rows = [line for line in lines[start:] if line != [""] and not line[0].startswith("nothing runs")]
    return [[cell for cell in row if not cell.startswith("process ")] for row in rows]
