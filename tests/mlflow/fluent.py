"""Logs with MLflow's own client and reads everything back: python fluent.py URL"""
import math
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient, MlflowException
from mlflow.entities import Metric, Param, RunStatus, RunTag, ViewType

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()


def refuses(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except MlflowException as error:
        assert error.error_code == code, error
    else:
        raise AssertionError(f"{call} is not refused")


def experiments():
    assert client.get_experiment("0").name == "Default"
    assert client.get_experiment_by_name("none") is None
    made = client.create_experiment("digits", tags={"team": "audio"})
    assert client.get_experiment(made).tags == {"team": "audio"}
    refuses("RESOURCE_ALREADY_EXISTS", client.create_experiment, "digits")
    client.rename_experiment(made, "numbers")
    client.set_experiment_tag(made, "team", "video")
    assert client.get_experiment_by_name("numbers").tags == {"team": "video"}
    client.delete_experiment(made)
    deleted = client.search_experiments(view_type=ViewType.DELETED_ONLY)
    assert [one.name for one in deleted] == ["numbers"]
    client.restore_experiment(made)
    assert {one.name for one in client.search_experiments()} == {"Default", "numbers"}


def fluent_run():
    mlflow.set_experiment("fluent")
    with mlflow.start_run(run_name="outer", description="a *note*") as outer:
        mlflow.log_params({"lr": 0.1, "model": "wide", "layers": [1, 2]})
        for step in range(10):
            mlflow.log_metric("val/loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"accuracy": 0.5, "odd": math.nan, "top": math.inf}, step=3)
        mlflow.set_tags({"team": "audio"})
        mlflow.log_text("hello", "notes/größe 1.txt")
        mlflow.log_dict({"a": 1}, "a.json")
        with mlflow.start_run(nested=True, run_name="inner") as inner:
            mlflow.log_metric("depth", 1)
    run = mlflow.get_run(outer.info.run_id)
    assert run.info.status == "FINISHED" and run.info.run_name == "outer"
    assert run.info.end_time >= run.info.start_time
    assert run.data.params == {"lr": "0.1", "model": "wide", "layers": "[1, 2]"}
    assert run.data.metrics["val/loss"] == 0.1 and math.isnan(run.data.metrics["odd"])
    assert run.data.metrics["top"] == math.inf
    assert run.data.tags["team"] == "audio"
    assert run.data.tags["mlflow.note.content"] == "a *note*"
    parent = mlflow.get_run(inner.info.run_id).data.tags["mlflow.parentRunId"]
    assert parent == outer.info.run_id
    history = client.get_metric_history(run.info.run_id, "val/loss")
    assert [(one.step, one.value) for one in history] == [(n, 1 / (n + 1)) for n in range(10)]
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/größe 1.txt") == "hello"
    listed = client.list_artifacts(run.info.run_id)
    assert [(one.path, one.is_dir) for one in listed] == [("a.json", False), ("notes", True)]
    with tempfile.TemporaryDirectory() as folder:
        got = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, dst_path=folder)
        assert Path(got, "a.json").read_text().strip().startswith("{")
    table = mlflow.search_runs(experiment_names=["fluent"], filter_string="metrics.accuracy > 0.4")
    assert list(table["run_id"]) == [run.info.run_id]


def failed_run():
    try:
        with mlflow.start_run(run_name="failing"):
            raise ValueError("on purpose")
    except ValueError:
        pass
    assert mlflow.last_active_run().info.status == "FAILED"


def batches():
    run = client.create_run("0", run_name="batch").info.run_id
    metrics = [Metric("m", n, timestamp=n, step=n) for n in range(1_500)]
    params = [Param(f"p{n}", str(n)) for n in range(150)]
    client.log_batch(run, metrics, tags=[RunTag("a", "b")])
    mlflow.set_experiment(experiment_id="0")
    mlflow_run = mlflow.start_run(run_id=run)
    mlflow.log_params({one.key: one.value for one in params})
    mlflow.log_metric("later", 1, synchronous=False).wait()
    mlflow.end_run()
    assert len(client.get_metric_history(run, "m")) == 1_500
    seen = client.get_run(run)
    assert len(seen.data.params) == 150 and seen.data.metrics["later"] == 1
    refuses("INVALID_PARAMETER_VALUE", client.log_batch, run, metrics[:1], params[:1] * 2)
    refuses("INVALID_PARAMETER_VALUE", client.log_param, run, "p1", "another")
    refuses("INVALID_PARAMETER_VALUE", client.log_metric, run, "../x", 1)
    assert mlflow_run.info.run_id == run


def life_of_a_run():
    run = client.create_run("0").info.run_id
    client.set_terminated(run, RunStatus.to_string(RunStatus.KILLED), end_time=5_000)
    assert client.get_run(run).info.status == "KILLED"
    client.update_run(run, name="again")
    client.set_tag(run, "a", "b")
    client.delete_tag(run, "a")
    refuses("RESOURCE_DOES_NOT_EXIST", client.delete_tag, run, "a")
    client.delete_run(run)
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    refuses("INVALID_PARAMETER_VALUE", client.log_metric, run, "a", 1)
    client.restore_run(run)
    client.log_metric(run, "a", 1)
    refuses("RESOURCE_DOES_NOT_EXIST", client.get_run, "0" * 32)


def pages():
    made = client.create_experiment("pages")
    for n in range(7):
        client.log_metric(client.create_run(made).info.run_id, "n", n)
    seen, token = [], None
    while True:
        page = client.search_runs([made], order_by=["metrics.n DESC"], max_results=3,
                                  page_token=token)
        seen += [run.data.metrics["n"] for run in page]
        token = page.token
        if not token:
            break
    assert seen == [6, 5, 4, 3, 2, 1, 0]


def datasets():
    import pandas

    frame = pandas.DataFrame({"x": [1, 2], "y": [3, 4]})
    with mlflow.start_run() as run:
        data = mlflow.data.from_pandas(frame, name="points", targets="y")
        mlflow.log_input(data, context="train")
    inputs = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert [one.dataset.name for one in inputs] == ["points"]
    assert inputs[0].tags[0].value == "train"


for check in [experiments, fluent_run, failed_run, batches, life_of_a_run, pages, datasets]:
    check()
