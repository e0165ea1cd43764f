"""What a task stands on: after the machine's start, tasks may begin before their stores do."""

import os
from collections.abc import Sequence

from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from pipelines.local.environment import SUPERVISOR_VARIABLE
from pipelines.local.layout import Layout
from pipelines.local.services import SERVICES, Service, check_service
from pipelines.settings import Settings

# Service → the setting by which others find it.
STORES = {
    "namenode": "webhdfs_address",
    "datanode": "webhdfs_address",
    "mongo": "mongo_address",
    "mlflow": "mlflow_address",
}
PATIENCE_S, POLL_S = 180, 1


def wait_for_stores(
    settings: Settings, layout: Layout, services: Sequence[Service] = SERVICES
) -> None:
    """Return once the stores that this installation starts answer, or the patience is over.

    A run that was on its way when the machine ended is taken up with everything else, and would
    have tried for the last time before HDFS has left its safe mode. What a task meets without them
    has a sentence of its own. Nothing is waited for where they are not ours.
    """
    if not os.environ.get(SUPERVISOR_VARIABLE):
        return
    # What the supervisor starts has every address as a setting, whoever listens there.
    given = ("mongo_uri", "hdfs_uri", "webhdfs_uri", "mlflow_uri")
    own = settings.model_copy(update=dict.fromkeys(given, ""))
    ours = {
        name
        for name, address in STORES.items()
        if getattr(own, address) == getattr(settings, address)
    }
    _poll([one for one in services if one.name in ours], settings, layout)


@retry(
    retry=retry_if_result(bool),
    stop=stop_after_delay(PATIENCE_S),
    wait=wait_fixed(POLL_S),
    retry_error_callback=lambda _: [],
)
def _poll(services: Sequence[Service], settings: Settings, layout: Layout) -> list[str]:
    """Names of those that do not answer."""
    missing = [one.name for one in services if check_service(one, settings, layout) is not None]
    if missing:
        print(f"Waiting for {', '.join(missing)}", flush=True)
    return missing
