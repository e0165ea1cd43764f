"""What every job accepts and answers: frozen models that refuse unknown fields."""

import hashlib
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

USER_ERROR_EXIT_CODE = 64
OUTCOME_FILE = "outcome.json"
ERROR_FILE = "error.json"

NAME_PATTERN = r"^[a-z][a-z0-9-]{0,39}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class Spec(BaseModel):
    """A frozen message between two processes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def fingerprint(self) -> str:
        """Hash of every field: equal specs, and only those, share it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class JobSpec(Spec):
    """What a job accepts. It writes below output_uri, and nowhere else in the run's folder.

    The folder belongs to one attempt of one task; the caller commits it.
    """

    output_uri: str


class JobError(Spec):
    """The sentence that a job leaves in error.json when its user can mend what was wrong."""

    message: str
