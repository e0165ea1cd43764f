"""What the jobs that answer without a server accept and answer."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from serving.bundle.manifest import Lineage
from serving.job.spec import JobSpec, Name, Spec

DEFAULT_TOP = 3
# How answers are written, by the file's ending.
AnswerFormat = Literal["csv", "jsonl"]


class PredictFolderSpec(JobSpec):
    """Answer every picture below folder_uri, a local folder, in one file.

    version 0: the one in service. top: classes a picture. min_score: below it a picture counts as
    none of the classes; None: below what the bundle itself declines, if it does. Where a picture
    may have several labels, each class is said from min_score on; None: from its own threshold on.
    cores 0: all that the job may use. force: the file may be there already.
    """

    kind: Literal["predict_folder"] = "predict_folder"
    deployment: Name
    version: int = Field(default=0, ge=0)
    folder_uri: str
    target_uri: str
    format: AnswerFormat
    top: int = Field(default=DEFAULT_TOP, ge=1)
    min_score: float | None = Field(default=None, ge=0, le=1)
    cores: int = Field(default=0, ge=0)
    force: bool = False


class PredictFolderOutcome(Spec):
    """files == predicted + unreadable; declined is a part of predicted. seconds: of the work.

    decline_below: the score below which a picture is declined; 0: none is, or each class has its
    own threshold.
    """

    deployment: str
    version: int
    files: int
    predicted: int
    declined: int
    decline_below: float = 0.0
    unreadable: int
    seconds: float
    target_uri: str


PackageKind = Literal["docker", "sdk"]
# Endings of the file, by what is in it.
PACKAGE_ENDINGS: dict[PackageKind, tuple[str, ...]] = {
    "docker": (".tar.gz", ".tgz"),
    "sdk": (".zip",),
}


class PackageSpec(JobSpec):
    """Put a version in one file to carry: an image with its server, or a bundle for Python.

    version 0: the one in service. force: the file may be there already.
    """

    kind: Literal["package"] = "package"
    deployment: Name
    version: int = Field(default=0, ge=0)
    contents: PackageKind
    target_uri: str
    force: bool = False


class PackageOutcome(Spec):
    """folder: the one that unpacking makes."""

    deployment: str
    version: int
    contents: PackageKind
    folder: str
    size_bytes: int
    sha256: str
    target_uri: str


class CarriedLineage(Lineage):
    """lineage.json of a package: where its model comes from."""

    deployment: str
    version: int


OfflineSpec = Annotated[PredictFolderSpec | PackageSpec, Field(discriminator="kind")]
OFFLINE_SPEC: TypeAdapter[OfflineSpec] = TypeAdapter(OfflineSpec)
