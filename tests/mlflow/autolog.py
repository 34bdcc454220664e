"""Trains models with MLflow's integrations and reads what they logged: python autolog.py URL"""
import sys

import mlflow
import optuna
from mlflow import MlflowClient
from optuna.integration import MLflowCallback
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
import xgboost

URL = sys.argv[1]
mlflow.set_tracking_uri(URL)
client = MlflowClient()
DATA = load_iris(return_X_y=True)


def sklearn():
    mlflow.set_experiment("sklearn")
    mlflow.sklearn.autolog()
    with mlflow.start_run() as run:
        model = LogisticRegression(max_iter=200).fit(*DATA)
        score = model.score(*DATA)
    mlflow.sklearn.autolog(disable=True)
    seen = client.get_run(run.info.run_id)
    assert seen.data.params["max_iter"] == "200"
    assert seen.data.metrics["training_accuracy_score"] > 0.9
    assert seen.outputs.model_outputs, seen.outputs
    model_id = seen.outputs.model_outputs[0].model_id
    assert client.get_logged_model(model_id).status == "READY"
    loaded = mlflow.sklearn.load_model(f"models:/{model_id}")
    assert loaded.score(*DATA) == score


def grid_search():
    mlflow.sklearn.autolog(max_tuning_runs=2)
    with mlflow.start_run() as run:
        GridSearchCV(LogisticRegression(max_iter=200), {"C": [0.1, 1.0]}, cv=2).fit(*DATA)
    mlflow.sklearn.autolog(disable=True)
    children = client.search_runs(
        [run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'"
    )
    assert len(children) == 2


def boosted():
    mlflow.set_experiment("xgboost")
    mlflow.xgboost.autolog()
    with mlflow.start_run() as run:
        data = xgboost.DMatrix(*DATA)
        params = {"objective": "multi:softprob", "num_class": 3, "nthread": 1}
        xgboost.train(params, data, num_boost_round=3, evals=[(data, "train")], verbose_eval=False)
    mlflow.xgboost.autolog(disable=True)
    history = client.get_metric_history(run.info.run_id, "train-mlogloss")
    assert [one.step for one in history] == [0, 1, 2]
    assert client.get_run(run.info.run_id).data.params["num_class"] == "3"


def study():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    callback = MLflowCallback(tracking_uri=URL, metric_name="value")
    study = optuna.create_study(study_name="study", sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(lambda t: t.suggest_float("x", 0, 1) ** 2, n_trials=4, callbacks=[callback])
    found = mlflow.search_runs(experiment_names=["study"], order_by=["metrics.value ASC"])
    assert len(found) == 4
    assert found["metrics.value"][0] == study.best_value


for check in [sklearn, grid_search, boosted, study]:
    check()
