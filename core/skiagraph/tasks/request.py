"""`skiagraph run`: a task from a JSON file instead of flags."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import tyro
from pydantic import TypeAdapter, ValidationError

from skiagraph.errors import DataError
from skiagraph.io.files import read_json
from skiagraph.tasks.active_learning import ExperimentActiveLearning
from skiagraph.tasks.body import MakeBody
from skiagraph.tasks.data_check import DataCheck
from skiagraph.tasks.demo import Demo
from skiagraph.tasks.detect import Detect
from skiagraph.tasks.devices import Devices
from skiagraph.tasks.engines import Engines
from skiagraph.tasks.evaluate import Evaluate
from skiagraph.tasks.export import Export
from skiagraph.tasks.find_landmarks import FindLandmarks
from skiagraph.tasks.generate_ct import GenerateCt
from skiagraph.tasks.generate_xray import GenerateXray
from skiagraph.tasks.inspect import Inspect
from skiagraph.tasks.make_samples import MakeSamples
from skiagraph.tasks.project import Project
from skiagraph.tasks.register import Register
from skiagraph.tasks.render import Render
from skiagraph.tasks.serve import Serve
from skiagraph.tasks.sim2real import ExperimentSim2Real
from skiagraph.tasks.task import Report, Task, perform, silent
from skiagraph.tasks.train_ct_diffusion import TrainCtDiffusion
from skiagraph.tasks.train_detector import TrainDetector
from skiagraph.tasks.train_xray_diffusion import TrainXrayDiffusion
from skiagraph.tasks.views import Views

TASKS: dict[str, type[Any]] = {
    kind.command: kind
    for kind in (
        Render,
        Views,
        Project,
        Register,
        FindLandmarks,
        MakeBody,
        Devices,
        Engines,
        Demo,
        MakeSamples,
        Export,
        Inspect,
        DataCheck,
        GenerateCt,
        GenerateXray,
        TrainCtDiffusion,
        TrainXrayDiffusion,
        TrainDetector,
        Detect,
        Evaluate,
        ExperimentSim2Real,
        ExperimentActiveLearning,
        Serve,
    )
}
"""What can be asked for, by its command."""


def task_from(request: Mapping[str, Any]) -> Task:
    """The task a request asks for: its command under `task`, and the flags, in snake_case, beside it."""
    name = request.get("task")
    if not isinstance(name, str) or name not in TASKS:
        raise DataError(f"no task {name!r} in the request; give one of {', '.join(TASKS)}")
    kind = TASKS[name]
    given = {key: value for key, value in request.items() if key != "task"}
    known = [field.name for field in fields(kind)]
    strange = sorted(set(given) - set(known))
    if strange:
        raise DataError(f"{name} has no {', '.join(strange)}; it has {', '.join(known)}")
    try:
        return TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{name}: {where}: {first['msg']} (found {json.dumps(first['input'], default=str)})") from error


@dataclass(frozen=True)
class Run:
    """Run a request written as JSON: {"task": "render", "volume": ..., "output": ..., "view": "inlet"}."""

    command: ClassVar[str] = "run"

    request: tyro.conf.Positional[Path]
    """The JSON file; its fields are the command's flags in snake_case."""

    @property
    def record(self) -> None:
        """The task that is run leaves its own."""

    def run(self, report: Report = silent) -> list[Path]:
        """Run it; the files written."""
        wanted = 'a request such as {"task": "render", "volume": ..., "output": ...}, or a run.json'
        content = read_json(self.request, wanted)
        if "request" in content:
            if not isinstance(content["request"], dict):
                raise DataError(f"{self.request}: a request is a table of fields, not {content['request']!r}")
            content = {**content["request"], "task": content.get("task")}
        return perform(task_from(content), report)
