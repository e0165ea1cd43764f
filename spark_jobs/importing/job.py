"""The import job: a folder or a table of pictures → raw segments and labelled samples."""

from datetime import UTC, datetime

from serving.bundle.manifest import Task
from serving.job.errors import UserError
from serving.job.progress import Progress
from spark_jobs.database import connect
from spark_jobs.importing.detecting import LAYOUTS, find_layout
from spark_jobs.importing.items import Layout
from spark_jobs.importing.labelling import fit_item, settle_task
from spark_jobs.importing.ledger import Ledger
from spark_jobs.importing.reading import count_processes, read_pictures
from spark_jobs.importing.reports import make_outcome, print_report, write_report
from spark_jobs.importing.sorting import Sorter, Tally, batched_pictures
from spark_jobs.spec import ImportOutcome, ImportSpec


def check_classes(found: list[str], ledger: Ledger, place: str) -> None:
    """UserError where the dataset would end with fewer than two classes."""
    if len(set(found) | set(ledger.known_classes())) < 2:
        told = f"a single class, {found[0]!r}" if found else "no class"
        raise UserError(f"{place} holds {told}. At least two classes are needed. {LAYOUTS}")


def count_items(layout: Layout) -> int:
    """How many files there are; UserError where there is none."""
    count = sum(1 for _ in layout.items())
    if not count:
        raise UserError(f"{layout.tree.root} holds no pictures ({layout.found}). {LAYOUTS}")
    return count


def _import_layout(layout: Layout, task: Task, sorter: Sorter, progress: Progress) -> Tally:
    items = (fit_item(item, task, several=layout.several) for item in layout.items())
    for batch in batched_pictures(read_pictures(layout.tree, items, count_processes())):
        sorter.take(batch)
        progress.advance(len(batch))
    sorter.flush()
    progress.close()
    return sorter.tally


def run_import(spec: ImportSpec) -> ImportOutcome:
    """Import a folder or a table; what is there already stays as it is."""
    started_at = datetime.now(UTC)
    layout = find_layout(spec.source_uri, spec.fields, spec.labels)
    print(f"{spec.source_uri}: {layout.found}", flush=True)
    with connect() as database:
        ledger = Ledger(database, spec.dataset, spec.actor)
        count = count_items(layout)
        check_classes(layout.classes(), ledger, layout.tree.root)
        task = settle_task(ledger, spec.title, layout.tree.root, several=layout.several)
        sorter = Sorter(ledger, spec.raw_uri, task)
        tally = _import_layout(layout, task, sorter, Progress(f"import {spec.dataset}", count))
    report = write_report(
        spec, tally, task, source=spec.source_uri, found=layout.found, started_at=started_at
    )
    print_report(report, spec.output_uri)
    return make_outcome(spec.dataset, tally, task)
