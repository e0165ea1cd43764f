"""./modelmill import, through a real job: what a person reads at the end."""

from pathlib import Path

from tests.pipelines.conftest import Run, make_png


def test_what_became_of_many_classes_and_odd_names(run: Run, dataset: str, tmp_path: Path) -> None:
    for number in range(45):
        (tmp_path / "photos" / f"{number:02}").mkdir(parents=True)
        (tmp_path / "photos" / f"{number:02}" / "1.png").write_bytes(make_png(number))
    (tmp_path / "photos" / "00" / "bro\nken\x1b[2J").write_bytes(b"no picture")
    done = run("import", str(tmp_path / "photos"), "--dataset", dataset)
    assert done.code == 0, done.err
    assert "read 46, added 45, already there 0, conflicts 0, rejected 1" in done.out
    assert done.out.count("\n       1  ") == 40
    assert "       5  in 5 more classes\n" in done.out
    assert "  rejected: 00/bro\\nken\\x1b[2J: not an image" in done.out
    told = done.err.splitlines()[-1]
    assert told.startswith("What became of each file: ")
    assert Path(told.rpartition("file://")[2]).is_file()
