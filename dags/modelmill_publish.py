"""### Decide about a deployment by hand

| what to do | what happens |
|---|---|
| rollback | the version that served before serves again, and the deployment is frozen |
| promote | a version of your choice goes in service, without asking the gate |
| freeze | no new version is let in: a nightly run then ends with a sentence that says so |
| release | new versions are let in again |
| set | as many replicas as you say share the requests from now on |

**Where to look:** `./modelmill deployments NAME` shows who did what, when and why. The commands
`./modelmill rollback NAME`, `promote`, `freeze`, `release` and
`deploy NAME --set replicas=3` do the same.
"""

from airflow.sdk import DAG

from pipelines.form import make_params
from pipelines.publish_request import PublishRequest
from pipelines.tasks.flows import add_publishing

with DAG(
    dag_id="modelmill_publish",
    dag_display_name="Decide about a deployment",
    description="Promote, freeze, roll back, release or resize a deployment",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    params=make_params(PublishRequest),
    tags=["modelmill"],
):
    add_publishing()
