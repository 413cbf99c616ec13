"""How far apart readers are, and how far the model is from them, as MONAI Label's scoring."""

from collections.abc import Callable, Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.scoring import ScoringMethod

from monailabel_app.lib.study import Study
from skiagraph.active.agreement import Apart, between_readers, of_model, report
from skiagraph.active.store import LabelStore


class Agreement(ScoringMethod):
    """A comparison of labels."""

    def __init__(self, study: Study, description: str, compare: Callable[[LabelStore], list[Apart]]) -> None:
        super().__init__(description)
        self.study, self.compare = study, compare

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> Mapping[str, object]:
        """Distances, landmark by landmark."""
        return report(self.compare(self.study.store))


def methods(study: Study) -> dict[str, Agreement]:
    """By name."""
    return {
        "model": Agreement(study, "Kept proposals of the model against finished labels", of_model),
        "readers": Agreement(study, "Readers against each other", between_readers),
    }
