"""Which datasets and deployments there are."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from serving.job.errors import UserError
from serving.job.mongo import use_database
from serving.job.text import suggest


class Deployment(BaseModel):
    """The part of a deployment's desired state that the command line shows."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int
    port: int
    image_tag: str
    bundle_uri: str


def check_dataset(name: str) -> None:
    """Raise UserError, with the names that are there, unless the dataset has been imported."""
    with use_database() as database:
        names = sorted(str(one["_id"]) for one in database.datasets.find({}, {"_id": 1}))
    if name in names:
        return
    if not names:
        raise UserError(
            f"dataset was {name!r}, but nothing has been imported yet: "
            f"./modelmill import PATH --dataset {name}"
        )
    raise UserError(
        f"dataset was {name!r}, but imported are only: {', '.join(names)}.{suggest(name, names)}"
    )


def find_deployment(name: str) -> Deployment | None:
    """A deployment's desired state; None where there is no such deployment."""
    with use_database() as database:
        document: dict[str, Any] | None = database.deployments.find_one({"_id": name})
    return None if document is None else Deployment.model_validate(document)


def read_deployment(name: str) -> Deployment:
    """The same; UserError, with the names that are there, where there is none."""
    found = find_deployment(name)
    if found is not None:
        return found
    with use_database() as database:
        names = sorted(str(one["_id"]) for one in database.deployments.find({}, {"_id": 1}))
    there = f"there are only: {', '.join(names)}." if names else "nothing is in service yet."
    raise UserError(f"deployment was {name!r}, but {there}{suggest(name, names)}")
