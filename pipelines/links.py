"""Links from a task's page to MLflow and to the report."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink, XCom

from pipelines.settings import read_settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey
