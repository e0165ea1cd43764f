"""What an import tells beside its counts."""

from serving.job.spec import Spec


class ImportNotes(Spec):
    """What else there is to say of files that count as already there.

    restored: samples whose bytes were lost and are back. deleted: their sample was, by a person.
    other_split: they claim another split than their sample has.
    """

    restored: int = 0
    deleted: int = 0
    other_split: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each of them that occurred."""
        told = {
            f"{self.restored} samples had lost their bytes; they have them back": self.restored,
            f"{self.deleted} of those already there were deleted by a person, and stay so; "
            "./modelmill relabel brings one back": self.deleted,
            f"{self.other_split} of those already there lie under another of train/, val/ and "
            "test/ than their first copy, which counts": self.other_split,
        }
        return tuple(sentence for sentence, count in told.items() if count)
