"""### Let a model in service answer a folder of pictures

**What it reads:** every file below a folder on HDFS, or the active samples of a dataset. Give one
of the two.

**What comes out:** Parquet files with a row a picture: `path`, `label`, `score` (of that label),
`scores` (of all classes), `declined` (whether the server would say that it is none of them) and
`error`, which says why there is no answer. Where a picture may have several labels, `label` is all
of them, `a|b`, or empty, and `score` is how sure the least sure decision is. `_summary.json` beside
them holds the version, the classes in the order of `scores`, and the counts: files = predicted +
failed; declined ones are predicted, too. The folder is there whole or not at all.

**Which model:** the bundle of the version in service, or of another one, with the very code that
its server runs. The server itself is not asked.

**From the command line:** `./modelmill predict --deployment NAME hdfs://HOST:PORT/PATH`. Folders of
this machine need no Spark: `./modelmill predict --deployment NAME DIR --out results.csv`.
"""

from airflow.sdk import DAG

from pipelines.form import make_params
from pipelines.predict_request import PredictRequest
from pipelines.tasks.flows import add_predicting

with DAG(
    dag_id="modelmill_predict",
    dag_display_name="Predict a folder",
    description="A model in service answers a folder or a dataset on HDFS",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    params=make_params(PredictRequest),
    tags=["modelmill"],
):
    add_predicting()
