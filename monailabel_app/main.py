"""The app as MONAI Label finds it: the first class here whose direct base is called MONAILabelApp."""

import logging
from pathlib import Path
from typing import Any

from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from monailabel_app.lib.datastore import Studies
from monailabel_app.lib.infers.landmarks import HipLandmarks
from monailabel_app.lib.scoring.agreement import Agreement, methods
from monailabel_app.lib.strategies.choosing import Choosing, strategies
from monailabel_app.lib.study import MODEL, Study
from monailabel_app.lib.trainers.landmarks import Finetune
from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.errors import SkiagraphError

NOTE = logging.getLogger("skiagraph.serve")


class LandmarkApp(MONAILabelApp):
    """Landmarks of the hip on X-rays."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.study = Study(Path(studies))
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="Skiagraph",
            description="Landmarks of the pelvis on X-rays: found, corrected, learned from. Not for clinical use",
            version="0.1",
            labels=list(LANDMARK_NAMES),
        )

    def init_datastore(self) -> Datastore:
        """The folder of X-rays."""
        return Studies(self.study)

    def init_infers(self) -> dict[str, HipLandmarks]:
        """One model."""
        return {MODEL: HipLandmarks(self.study)}

    def init_trainers(self) -> dict[str, Finetune]:
        """The same model, trained further."""
        return {MODEL: Finetune(self.study)}

    def init_strategies(self) -> dict[str, Choosing]:
        """All there are."""
        return strategies(self.study)

    def init_scoring_methods(self) -> dict[str, Agreement]:
        """All there are."""
        return methods(self.study)

    def init_batch_infer(self) -> "Batch":
        """On whatever there is."""
        return Batch()

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """A picture of the study by its id, never by a path: MONAI Label's own reads any file there is."""
        task = self._infers.get(request.get("model"))
        if task is None:
            raise MONAILabelException(MONAILabelError.INVALID_INPUT, "there is no such model")
        store = datastore or self.datastore()
        file, answer = task({**request, "image": store.get_image_uri(request["image"])})
        saved = None
        if file is not None and request.get("save_label"):
            tag = request.get("label_tag", "original")
            saved = store.save_label(request["image"], file, tag, {"model": MODEL, "weights": answer["weights"]})
        return {"label": saved, "tag": request.get("label_tag", "original"), "file": file, "params": answer}


class Batch(BatchInferTask):
    """MONAI Label's own divides by the number of GPUs, which may be none, and stops at the first broken picture."""

    def __call__(self, request: dict[str, Any], datastore: Datastore, infer: Any) -> dict[str, Any]:
        """Every picture asked for; a broken one is noted and passed over."""
        names = sorted(self.get_images(request, datastore))
        names = names[: request.get("max_batch_size") or len(names)]
        done: dict[str, Any] = {}
        for name in names:
            try:
                found = infer({**request, "image": name, "save_label": True}, datastore)
                Path(found["file"]).unlink(missing_ok=True)
                done[name] = "saved"
            except SkiagraphError as error:
                done[name] = str(error)
                NOTE.warning("a picture was passed over: %s", type(error).__name__)
        return {"pictures": len(names), "saved": sum(said == "saved" for said in done.values()), "results": done}
