"""The detector trained further on finished labels, in a process of its own, which writes no label."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from monailabel_app.lib.study import Study, read
from skiagraph.active.finetune import Labelled, Plan, finetuned, finished, write
from skiagraph.active.labels import FINAL
from skiagraph.factory.reading import SampleSet
from skiagraph.tasks.make_samples import MakeSamples

TRAINING, REPLAY = "training", "replay"
SYNTHETIC = 96
"""Samples made for replay where no set is given."""


class Finetune(TrainTask):
    """Begins with the weights in use; the new ones take over only if they are better on the validation pictures."""

    def __init__(self, study: Study) -> None:
        super().__init__("Trains the detector further on finished labels and synthetic X-rays")
        self.study = study

    def config(self) -> dict[str, Any]:
        """What may be asked for."""
        plan = Plan()
        return {"steps": plan.steps, "batch": plan.batch, "rate": plan.rate, "seed": plan.seed}

    def stats(self) -> dict[str, Any]:
        """The weights in use and the last trainings."""
        return {"weights": self.study.shelf.current, "history": self.study.shelf.history()[-5:]}

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Trains; what came of it."""
        shelf, folder = self.study.shelf, self.study.shelf.folder / TRAINING
        given = {name: request[name] for name in ("steps", "batch", "rate", "seed") if name in request}
        began_with = shelf.current
        bundle = shelf.bundle(began_with)
        outcome = finetuned(bundle, self._labelled(), _replay(shelf.folder), folder, Plan(**given), _told)
        number, place = shelf.place()
        write(outcome, bundle, place)
        about = {
            "number": number,
            "began_with": began_with,
            "before": outcome.before,
            "after": outcome.after,
            "learned": outcome.learned,
            "validated": outcome.validated,
        }
        who = str(request.get("by", ""))
        if outcome.better:
            shelf.use(number, "better on the validation pictures", who, about)
        else:
            shelf.note({"kept": number, "why": "not better on the validation pictures", "by": who, **about})
        finished(folder)
        return {**about, "took_over": outcome.better}

    def _labelled(self) -> list[Labelled]:
        """Finished pictures with their newest label each."""
        store, found = self.study.store, []
        for picture, path in store.pictures().items():
            version = store.label(picture, FINAL)
            if version is not None and store.finished(picture):
                name = path.relative_to(store.folder).as_posix()
                found.append(Labelled(name, partial(_bright, path), version.keypoints, version.number))
        return found


def _bright(path: Path) -> Any:
    return read(path, "bright")[0]


def _replay(home: Path) -> SampleSet:
    """The set the server was given, or a small one, made once."""
    given = os.environ.get("SKIAGRAPH_REPLAY")
    if given:
        return SampleSet(Path(given))
    MakeSamples(home / REPLAY, preset="hip-ap", count=SYNTHETIC, bodies=("shape:8",), size=256, seed=7).run()
    return SampleSet(home / REPLAY)


def _told(done: int, total: int, doing: str) -> None:
    if done % 10 == 0 or done == total:
        print(f"step {done} of {total}: {doing}", flush=True)
