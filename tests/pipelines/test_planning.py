"""What an import may read."""

from pathlib import Path

import pytest

from pipelines.planning import resolve_import
from serving.job.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Pictures below a root, and beside it what must not be read."""
    (tmp_path / "root" / "boards").mkdir(parents=True)
    (tmp_path / "root" / "my boards").mkdir()
    (tmp_path / "root" / "one.jpg").touch()
    (tmp_path / "root-of-others" / "secrets").mkdir(parents=True)
    return tmp_path / "root"


@pytest.mark.parametrize("name", ["boards", "my boards", ".", "boards/../boards", "boards/"])
def test_folder_below_a_root_is_read(root: Path, name: str) -> None:
    wanted = (root / name).resolve().as_uri()
    assert resolve_import(f"{root}/{name}", (root,)) == wanted


def test_any_of_the_roots_will_do(root: Path) -> None:
    other = root.parent / "root-of-others"
    assert resolve_import(str(other / "secrets"), (root, other)) == (other / "secrets").as_uri()


def test_file_uri_is_a_path(root: Path) -> None:
    assert resolve_import((root / "boards").as_uri(), (root,)) == (root / "boards").as_uri()


def test_file_uri_is_decoded(root: Path) -> None:
    uri = (root / "my boards").as_uri()
    assert resolve_import(uri, (root,)) == uri


@pytest.mark.parametrize(
    "name", ["../root-of-others/secrets", "boards/../../root-of-others", "..", "/etc"]
)
def test_folder_outside_the_roots_is_refused(root: Path, name: str) -> None:
    for source in (str(root / name), f"file://{root / name}"):
        with pytest.raises(UserError) as raised:
            resolve_import(source, (root,))
        said = str(raised.value)
        assert repr(source) in said
        assert f"reads only below {root} (setting MODELMILL_IMPORT_ROOTS)" in said
        assert "./modelmill import" in said


def test_link_that_leaves_the_root_is_refused(root: Path) -> None:
    (root / "link").symlink_to(root.parent / "root-of-others")
    for name in ("link", "link/secrets"):
        with pytest.raises(UserError, match="reads only below"):
            resolve_import(str(root / name), (root,))


def test_link_inside_the_root_is_followed(root: Path) -> None:
    (root / "link").symlink_to(root / "boards")
    assert resolve_import(str(root / "link"), (root,)) == (root / "boards").as_uri()


def test_root_may_be_a_link_itself(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    assert resolve_import(str(link / "boards"), (link,)) == (root / "boards").as_uri()


def test_what_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(UserError, match="gone', but there is no such"):
        resolve_import(str(root / "gone"), (root,))


def test_relative_path_is_no_way_in(root: Path) -> None:
    with pytest.raises(UserError, match="reads only below"):
        resolve_import("root/boards", (root,))


@pytest.mark.parametrize("source", ["hdfs://nn:8020/photos", "hdfs:///photos"])
def test_hdfs_is_read_where_it_is(root: Path, source: str) -> None:
    assert resolve_import(source, (root,)) == source


@pytest.mark.parametrize("scheme", ["s3", "http", "mongodb", "ftp"])
def test_unknown_scheme_is_named_with_what_is_allowed(root: Path, scheme: str) -> None:
    with pytest.raises(UserError, match=f"{scheme}://h/photos', but allowed is: .*hdfs://HOST"):
        resolve_import(f"{scheme}://h/photos", (root,))


@pytest.mark.parametrize("source", ["hdfs://ada:s3cret@nn:8020/photos", "hdfs://ada@nn/photos"])
def test_secret_is_refused_and_not_repeated(root: Path, source: str) -> None:
    with pytest.raises(UserError, match="secrets do not belong in forms") as raised:
        resolve_import(source, (root,))
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("source", ["s3://ada:s3cret@h/photos", "file://ada:s3cret@h/etc"])
def test_secret_in_any_uri_is_refused_and_not_repeated(root: Path, source: str) -> None:
    with pytest.raises(UserError, match="secrets do not belong in forms") as raised:
        resolve_import(source, (root,))
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("source", ["//[x/photos", "/photos\0"])
def test_text_that_is_no_location_gets_a_sentence(root: Path, source: str) -> None:
    with pytest.raises(UserError, match="source was"):
        resolve_import(source, (root,))
