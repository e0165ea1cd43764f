"""Every path, URI and image tag; pure strings."""

import hashlib
import re
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

ROOT = "modelmill"
RUN_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")


def make_run_id(dag_id: str, airflow_run_id: str, at: datetime) -> str:
    """<UTC yyyymmddThhmmss>-<6 hex>: Airflow's own ids hold a colon, which HDFS forbids."""
    digest = hashlib.sha256(f"{dag_id}/{airflow_run_id}".encode()).hexdigest()[:6]
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S}-{digest}"


class Artifacts(BaseModel):
    """Where things lie. hdfs: hdfs://HOST:PORT; scratch: a local folder's file:// URI."""

    model_config = ConfigDict(frozen=True)

    hdfs: str
    scratch: str

    @property
    def root(self) -> str:
        """The root of everything on HDFS."""
        return f"{self.hdfs}/{ROOT}"

    @property
    def snapshots(self) -> str:
        """Root of the snapshots."""
        return f"{self.root}/snapshots"

    @property
    def features(self) -> str:
        """Root of the feature caches."""
        return f"{self.root}/features"

    @property
    def facts(self) -> str:
        """Root of the facts cache."""
        return f"{self.root}/facts"

    @property
    def pairs(self) -> str:
        """Root of the pairs cache."""
        return f"{self.root}/pairs"

    @property
    def backbones(self) -> str:
        """Folder of the backbones' ONNX files and their cards."""
        return f"{self.root}/backbones"

    def predictions(self, deployment: str, run_id: str) -> str:
        """Folder of what a run of modelmill_predict answered."""
        return f"{self.root}/predictions/{deployment}/{run_id}"

    def trained(self, key: str) -> str:
        """Which run has trained on some data with some settings."""
        return f"{self.root}/trained/{key}.json"

    def raw(self, dataset: str) -> str:
        """Folder of a dataset's raw segments."""
        return f"{self.root}/raw/{dataset}"

    def backbone_card(self, backbone: str) -> str:
        """The outcome of a backbone's export."""
        return f"{self.backbones}/{backbone}/outcome.json"

    def run(self, run_id: str) -> str:
        """Folder of a run."""
        return f"{self.root}/runs/{run_id}"

    def plan(self, run_id: str) -> str:
        """The run's plan."""
        return f"{self.run(run_id)}/plan.json"

    def task(self, run_id: str, task: str) -> str:
        """Folder of a task: its attempts, and the marker of the one that was committed."""
        return f"{self.run(run_id)}/{task}"

    def scratch_folder(self, run_id: str, task: str) -> str:
        """Local folder that outlives an attempt."""
        return f"{self.scratch}/{run_id}/{task}"
