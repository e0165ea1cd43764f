"""Buttons on a task's page."""

from typing import TYPE_CHECKING

from airflow.sdk.bases.operatorlink import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class _ShownLink(BaseOperatorLink):
    """A button whose address the operator has found out while it ran."""

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:  # noqa: ARG002 - as Airflow calls it
        """The operator's `shown_at`; empty before it has ended."""
        return str(getattr(operator, "shown_at", ""))


class MlflowLink(_ShownLink):
    """The training's run in MLflow."""

    @property
    def name(self) -> str:
        """Text on the button."""
        return "MLflow"


class ReportLink(_ShownLink):
    """The evaluation's report."""

    @property
    def name(self) -> str:
        """Text on the button."""
        return "Report"
