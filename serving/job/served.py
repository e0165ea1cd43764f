"""Pictures that a deployment was asked about: in the review queue before they are samples.

Their bytes lie in a raw segment of the dataset, as samples' do, but nothing of the dataset points
there until a person has decided: then the picture becomes a sample, and its document says from
which deployment and request it came.
"""

from datetime import datetime
from typing import Any

from serving.job.samples import Sample, make_sample, name_sample, read_sample, relabel_sample
from serving.job.spec import Spec


class ServedPicture(Spec):
    """Where a picture of the queue came from. picture: its place in the request.

    feedback: the label that the caller said is right; None where nobody did.
    """

    deployment: str
    version: int
    request_id: str
    picture: int
    at: datetime
    segment: str
    size_bytes: int
    feedback: str | None = None


def stands_outside(sample: Sample | None, withdrawn: int | None) -> bool:
    """Whether a served picture is no sample: never was, or its decision was undone.

    withdrawn: how long its history was when it was undone.
    """
    if sample is None:
        return True
    return sample.state == "deleted" and len(sample.history) == withdrawn


def admit_picture(
    database: Any,
    dataset: str,
    sha256: str,
    *,
    name: str,
    served: ServedPicture,
    label: str,
    by: str,
) -> Sample:
    """Make it a sample with this label, as an import does; the sample as it is then."""
    key = name_sample(dataset, sha256)
    document = make_sample(
        dataset,
        sha256,
        name,
        label,
        segment=served.segment,
        size_bytes=served.size_bytes,
        by=by,
        origin="feedback",
    )
    source = served.model_dump(include={"deployment", "version", "request_id", "picture"})
    database["samples"].update_one(
        {"_id": key}, {"$setOnInsert": document | {"served": source}}, upsert=True
    )
    return relabel_sample(database, read_sample(database, dataset, sha256), label, by)
