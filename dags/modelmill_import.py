"""### Bring labelled pictures into a dataset

**What you need:** one of these.

* A folder with one sub-folder per class, each holding that class's pictures. Sub-folders `train/`,
  `val/` and `test/` above the classes keep that split.
* A table of labels, CSV or JSON lines, beside its pictures: a column `file` (or `path`, `image`,
  `filename`), a column `label` (or `class`, `category`), and, if you like, `split` and `group`.
* A MongoDB collection, one document per picture: its label, and its bytes, a GridFS id or a path.
  Name the Airflow connection to it, never its address. The collection is only read.

A picture may have several labels: `a|b` in a CSV's cell (choose *Labels a picture*: Several), or a
list in JSON lines or a document.

**What happens:** the bytes go into HDFS as they are, the labels into MongoDB. Files that are no
pictures, are empty or cannot be read are listed with the reason, and the rest goes on; where HDFS
is down, the task fails and a retry goes on. Importing the same folder again changes nothing, but
for bytes that HDFS has lost: it brings them back. The same bytes under two labels are set aside
until a person decides. Everything that was read is counted in `import_report.json`, beside the
task's outcome.

**Where it may read:** below the folders of the setting `MODELMILL_IMPORT_ROOTS`, and on HDFS.

**Next:** trigger `modelmill_train` with the same dataset name.
"""

from airflow.sdk import DAG

from pipelines.form import make_params
from pipelines.import_request import ImportRequest
from pipelines.tasks.flows import add_import

with DAG(
    dag_id="modelmill_import",
    dag_display_name="Import pictures",
    description="A folder, a table or a collection of labelled pictures into a dataset",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    params=make_params(ImportRequest),
    tags=["modelmill"],
):
    add_import()
