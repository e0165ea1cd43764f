"""What stages found beyond their rows, for the report."""

from dataclasses import dataclass

from spark_jobs.report_models import Balance, NearDuplicates, SideFindings


@dataclass
class Findings:
    """Filled in by the stages as they run; None: that stage did not run."""

    near_duplicates: NearDuplicates | None = None
    sides: SideFindings | None = None
    balance: Balance | None = None
