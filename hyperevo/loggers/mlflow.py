"""MLflow: a local store, for `mlflow ui --backend-store-uri sqlite:///runs/NAME/log/mlflow.db`."""

import os
from collections.abc import Mapping
from pathlib import Path

from hyperevo.loggers import Logger

PACKAGE = "mlflow"
LONGEST = 500
"""Most letters of a parameter's value that MLflow takes everywhere."""


class MLflow(Logger):
    """One run of the experiment `hyperevo` in a database of its own; resumed runs go on with it."""

    def __init__(self, folder: Path):
        self._folder = folder

    def begin(self, settings: Mapping[str, object], round_: int) -> None:
        """Open the run that this folder has, or a new one."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        place = self._folder.resolve()
        self._client = MlflowClient(tracking_uri=f"sqlite:///{place / 'mlflow.db'}")
        known = self._client.get_experiment_by_name("hyperevo")
        experiment = known.experiment_id if known else self._client.create_experiment("hyperevo", place.as_uri())
        runs = self._client.search_runs([experiment]) if known else []
        own = runs[0] if runs else self._client.create_run(experiment, run_name=str(settings["name"]))
        self._run = own.info.run_id
        if not runs:
            for key, value in settings.items():
                self._client.log_param(self._run, key, str(value)[:LONGEST])

    def log(self, round_: int, values: Mapping[str, float]) -> None:
        """Add metrics."""
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=round_)

    def end(self, result: Mapping[str, object] | None) -> None:
        """Add the test score, and end the run."""
        if result is not None:
            self._client.log_metric(self._run, "test_accuracy", float(str(result["test_accuracy"])))
        self._client.set_terminated(self._run, "FINISHED" if result is not None else "KILLED")


build = MLflow
