"""A tally → the job's outcome, its report, and lines for a person."""

from collections import Counter
from datetime import UTC, datetime

from serving.bundle.manifest import Task
from serving.job import store
from serving.job.labels import list_classes
from serving.job.text import printable
from spark_jobs.importing.notes import ImportNotes
from spark_jobs.importing.sorting import Tally
from spark_jobs.report_models import ClassCount, ImportReport
from spark_jobs.spec import ImportOutcome, ImportTarget

REPORT_FILE = "import_report.json"
# A log is read by people: all names are in the report.
SHOWN = 100


def _note(tally: Tally) -> dict[str, int]:
    return {name: getattr(tally, name) for name in ImportNotes.model_fields}


def make_outcome(dataset: str, tally: Tally, task: Task) -> ImportOutcome:
    """The outcome's counts."""
    return ImportOutcome(
        dataset=dataset,
        task=task,
        read=tally.read,
        added=tally.added,
        already_there=tally.already_there,
        **_note(tally),
        conflicts=len(tally.conflicting),
        conflicting=tuple(conflict.name for conflict in tally.conflicting),
        rejected=tuple(tally.rejected),
        added_per_class=dict(sorted(tally.added_per_class.items())),
    )


def write_report(
    spec: ImportTarget, tally: Tally, task: Task, *, source: str, found: str, started_at: datetime
) -> ImportReport:
    """Write import_report.json beside the outcome."""
    conflicts = Counter(
        name for conflict in tally.conflicting for name in list_classes(conflict.claimed, task)
    )
    labels = sorted(tally.added_per_class | tally.already_there_per_class | conflicts)
    report = ImportReport(
        dataset=spec.dataset,
        task=task,
        source=source,
        found=found,
        actor=spec.actor,
        started_at=started_at,
        seconds=round((datetime.now(UTC) - started_at).total_seconds(), 3),
        read=tally.read,
        added=tally.added,
        already_there=tally.already_there,
        **_note(tally),
        classes=tuple(
            ClassCount(
                label=label,
                added=tally.added_per_class[label],
                already_there=tally.already_there_per_class[label],
                conflicts=conflicts[label],
            )
            for label in labels
        ),
        conflicts=tuple(tally.conflicting),
        rejected=tuple(tally.rejected),
    )
    store.write_model(store.join(spec.output_uri, REPORT_FILE), report)
    return report


def print_report(report: ImportReport, output_uri: str) -> None:
    """The counts, the first names of what was left out, and where the rest is."""
    for conflict in report.conflicts[:SHOWN]:
        print(
            f"conflict: {printable(conflict.name)} claims {printable(conflict.claimed)!r}, but its "
            f"bytes are in the dataset as {printable(conflict.label)!r}; left out until a person "
            "decides"
        )
    for rejection in report.rejected[:SHOWN]:
        print(f"rejected: {printable(rejection.name)}: {rejection.reason}")
    hidden = len(report.conflicts[SHOWN:]) + len(report.rejected[SHOWN:])
    if hidden:
        print(f"… and {hidden} more")
    for note in report.notes:
        print(note)
    print(
        f"{report.dataset}: read {report.read}, added {report.added}, "
        f"already there {report.already_there}, conflicts {len(report.conflicts)}, "
        f"rejected {len(report.rejected)}"
    )
    print(f"What became of each file: {store.join(output_uri, REPORT_FILE)}", flush=True)
