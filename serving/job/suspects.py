"""Labels that are likely wrong: suspects.json of a run."""

from serving.job.spec import Spec

SUSPECTS_FILE = "suspects.json"


class Suspect(Spec):
    """A sample whose label is likely wrong. suspicion: 0 to 1; suspected: what it rather shows."""

    sha256: str
    name: str
    side: str
    label: str
    suspected: str
    suspicion: float


class Suspects(Spec):
    """suspects.json: the likeliest first. sides: those that were looked through."""

    suspects: tuple[Suspect, ...]
    sides: tuple[str, ...]
