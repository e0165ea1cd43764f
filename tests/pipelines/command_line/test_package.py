"""./modelmill package: what it refuses before a job starts, and a job's own sentence."""

from pathlib import Path

from tests.pipelines.conftest import Run


def test_mistakes_are_sentences(run: Run, dataset: str, tmp_path: Path) -> None:
    for kind, name, sentence, code in (
        ("sdk", "a.tar.gz", "for sdk it ends in .zip", 2),
        ("docker", "a.zip", "for docker it ends in .tar.gz or .tgz", 2),
        ("sdk", "a.zip", "there is no such deployment", 1),
        ("sdk", "gone/a.zip", "There is no folder", 1),
    ):
        done = run("package", dataset, "--kind", kind, "--out", str(tmp_path / name))
        assert (done.code, sentence in done.err) == (code, True), done.err
