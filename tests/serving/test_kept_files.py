"""Kept requests lie where a server that was broken into may write, at any moment."""

from pathlib import Path
from typing import Any

import pytest

from serving.job.reviews import list_reviews
from serving.keeping import Keeper, Keeping
from serving.kept_files import MOST_BYTES, NoFileError, read_kept
from serving.queue_kept import Queueing, list_kept
from tests.serving.console.conftest import draw


def test_what_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.bin"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(NoFileError, match="larger than any request"):
        read_kept(path)


@pytest.mark.parametrize("kind", ["other", "link", "nothing"])
def test_one_that_is_changed_while_it_is_read_is_left_alone(
    database: Any, dataset: str, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, secret = tmp_path / "kept", tmp_path / "secret"
    secret.write_bytes(b"not theirs")
    keeper = Keeper(Keeping(share=1, folder=folder), version=3)
    for number, colour in enumerate(("teal", "gold")):
        keeper.keep(f"request {number}", 0, draw(colour), "cat", 0.5)
    keeper.close()
    found = list(list_kept(folder))
    spoilt = found[0].picture
    spoilt.unlink()
    if kind == "other":
        spoilt.write_bytes(b"another")
    elif kind == "link":
        spoilt.symlink_to(secret)
    queueing = Queueing(database, "door", dataset, (tmp_path / "raw").as_uri())
    queueing.take(found)
    (asked,) = list_reviews(database, dataset).items
    assert asked.sha256 == found[1].sha256
    assert queueing.queued == 1
    assert (spoilt.exists(), found[1].picture.exists()) == (kind != "nothing", False)
    assert (str(spoilt) in capsys.readouterr().out) is (kind != "nothing")
