"""What every job accepts and answers: frozen models that refuse unknown fields."""

import hashlib
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, StringConstraints

USER_ERROR_EXIT_CODE = 64
OUTCOME_FILE = "outcome.json"
ERROR_FILE = "error.json"

NAME_PATTERN = r"^[a-z][a-z0-9-]{0,39}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class Spec(BaseModel):
    """A frozen message between two processes.

    only_shown: fields that a person is shown, and that decide nothing of the work; each has a
    default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    only_shown: ClassVar[tuple[str, ...]] = ()

    def fingerprint(self) -> str:
        """Hash of every field, those that are only shown as if they had their defaults."""
        fields = type(self).model_fields
        bare = self.model_copy(update={name: fields[name].default for name in self.only_shown})
        return hashlib.sha256(bare.model_dump_json().encode()).hexdigest()


class JobSpec(Spec):
    """What a job accepts. It writes below output_uri, and nowhere else in the run's folder.

    The folder belongs to one attempt of one task; the caller commits it.
    """

    output_uri: str

    def fingerprint_work(self) -> str:
        """Hash of what is asked but for where it is written, which differs between attempts."""
        return self.model_copy(update={"output_uri": ""}).fingerprint()


class JobError(Spec):
    """The sentence that a job leaves in error.json when its user can mend what was wrong."""

    message: str
