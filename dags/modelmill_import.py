"""### Bring labelled pictures into a dataset

**What you need:** a folder with one sub-folder per class, each holding that class's pictures.
Sub-folders `train/`, `val/` and `test/` above the classes keep that split.

**What happens:** the bytes go into HDFS as they are, the labels into MongoDB. Files that are no
pictures, are empty or cannot be read are listed with the reason, and the rest goes on. Importing
the same folder again changes nothing. The same bytes under two labels are set aside until a person
decides.

**Where it may read:** below the folders of the setting `MODELMILL_IMPORT_ROOTS`, and on HDFS.

**Next:** trigger `modelmill_train` with the same dataset name.
"""

from airflow.sdk import DAG

from pipelines.form import make_params
from pipelines.request import ImportRequest
from pipelines.tasks.flows import add_import

with DAG(
    dag_id="modelmill_import",
    dag_display_name="Import pictures",
    description="A folder of labelled pictures into a dataset",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    params=make_params(ImportRequest),
    tags=["modelmill"],
):
    add_import()
