"""Entry of the jobs that need no server: python -m serving.offline.main --spec '<json>'."""

import sys

from serving.job.main import run_job
from serving.job.spec import Spec
from serving.offline.spec import OFFLINE_SPEC, OfflineSpec


def run(spec: OfflineSpec) -> Spec:
    """Do what the spec's kind asks."""
    from serving.offline.predict_folder import predict_folder

    return predict_folder(spec)


if __name__ == "__main__":
    sys.exit(run_job(OFFLINE_SPEC, run))
