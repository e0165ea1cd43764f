"""Run in a process of its own: what each DAG file imports, and the DAGs that come out.

load_dags.py DAGS OUTPUT PRESETS…: the nightly file is read once with each of the PRESETS folders,
and all files with the first.
"""

import json
import multiprocessing
import os
import runpy
import sys
import warnings
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

BARE = set(sys.modules)
NIGHTLY = "modelmill_nightly.py"


def find_imports(path: str) -> dict[str, list[str]]:
    """Top-level modules after loading one file: all of them, and those Airflow does not bring."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runpy.run_path(path)
    loaded = {name.partition(".")[0] for name in sys.modules}
    return {
        "all": sorted(loaded),
        "own": sorted(loaded - {name.partition(".")[0] for name in BARE}),
    }


def describe_dag(dag: DAG) -> dict[str, Any]:
    """What a person, or the scheduler, sees of a DAG."""
    params = {}
    for name in dag.params:
        param = dag.params.get_param(name)
        params[name] = {**param.schema, "has_default": param.has_value, "value": param.value}
        if not param.has_value:
            del params[name]["value"]
    return {
        "file": Path(dag.fileloc).name,
        "title": dag.dag_display_name,
        "description": dag.description,
        "doc": dag.doc_md,
        "tags": sorted(dag.tags),
        "schedule": dag.schedule,
        "catchup": dag.catchup,
        "paused": dag.is_paused_upon_creation,
        "runs_at_once": dag.max_active_runs,
        "params": params,
        "tasks": {
            task.task_id: {
                "next": sorted(task.downstream_task_ids),
                "doc": task.doc_md,
                "pool": task.pool,
                "reason": getattr(task, "reason", ""),
            }
            for task in dag.tasks
        },
    }


def load(path: Path) -> dict[str, Any]:
    """What Airflow's own loader makes of a file, or of a folder: DAGs by id, and errors by file."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(path))
    dags = {dag_id: describe_dag(dag) for dag_id, dag in bag.dags.items()}
    return {"dags": dags, "errors": bag.import_errors}


def main(dags: Path, output: Path, *presets: str) -> None:
    """Write what was found."""
    os.environ["MODELMILL_PRESETS"] = presets[0]
    files = sorted(dags.glob("modelmill_*.py"))
    # A fork for each file, so that each starts from the bare import.
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        imports = pool.map(find_imports, map(str, files), chunksize=1)
    found: dict[str, Any] = {
        "imports": dict(zip([path.name for path in files], imports, strict=True)),
        **load(dags),
        "nightly": [],
    }
    for folder in presets:
        os.environ["MODELMILL_PRESETS"] = folder
        found["nightly"].append(load(dags / NIGHTLY))
    output.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
