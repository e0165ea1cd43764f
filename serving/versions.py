"""Which bundle a version of a deployment is."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.bundle_files import read_served_files
from serving.desired import PastVersion, list_names, read_desired
from serving.job.errors import UserError
from serving.job.mongo import use_database
from serving.job.text import suggest
from serving.registry import Registry


def find_version(deployment: str, version: int = 0) -> PastVersion:
    """The version in service (0), or the one of that number; raises UserError."""
    with use_database() as database:
        state = read_desired(database, deployment)
        if state is None:
            names = list_names(database)
            there = f"there are: {', '.join(names)}" if names else "nothing is in service yet"
            raise UserError(
                f"deployment was {deployment!r}, but there is no such deployment; {there}."
                f"{suggest(deployment, names)}"
            )
    known = (state.past, *state.history)
    wanted = version or state.version
    found = next((one for one in known if one.version == wanted), None)
    if found is not None:
        return found
    return PastVersion(
        version=wanted, image_tag="", bundle_uri=Registry().find_bundle(deployment, wanted)
    )


@contextmanager
def use_bundle(bundle_uri: str) -> Iterator[Path]:
    """A local copy of what a server needs of a bundle, removed at the end; raises UserError."""
    with tempfile.TemporaryDirectory(prefix="modelmill-bundle-") as name:
        for file, content in read_served_files(bundle_uri).items():
            Path(name, file).write_bytes(content)
        yield Path(name)
