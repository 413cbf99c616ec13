"""Detectors trained, adapted to real X-rays if wanted, and made to say truly how sure they are."""

from collections.abc import Callable
from dataclasses import replace

from skiagraph.detect.detector import Detector, Reading
from skiagraph.detect.network import Network
from skiagraph.errors import DataError
from skiagraph.train.adda import ADDA, ADDA_NMI, ADDA_PREPRINT, Adda
from skiagraph.train.calibration import calibrated
from skiagraph.train.course import Progress
from skiagraph.train.cyclegan import CYCLEGAN, CYCLEGAN_ZHU, CycleGan
from skiagraph.train.loop import Training, held_out, train
from skiagraph.train.selftaught import SelfTaught
from skiagraph.train.unlabelled import Unlabelled

CALIBRATING = 300
"""Held-out samples, with looks drawn as in training, that make confidences true."""

Adaptation = CycleGan | Adda | SelfTaught
"""What is called with (training, real X-rays, progress), and gives the network and the training as it then was."""

ADAPTATIONS: dict[str, Adaptation] = {
    "cyclegan": CYCLEGAN,
    "cyclegan-zhu": CYCLEGAN_ZHU,
    "adda": ADDA,
    "adda-preprint": ADDA_PREPRINT,
    "adda-nmi": ADDA_NMI,
    "selftaught": SelfTaught(),
}

Way = Callable[[Training, Progress], tuple[Network, Training]]
"""How a network comes about."""


def adaptation(name: str, steps: int | None = None) -> Adaptation:
    """A way to adapt by its name, with other steps if they are given."""
    if name not in ADAPTATIONS:
        raise DataError(f"no adaptation {name!r}; give one of {', '.join(ADAPTATIONS)}")
    found = ADAPTATIONS[name]
    return found if steps is None else replace(found, steps=steps)


def plainly(training: Training, report: Progress) -> tuple[Network, Training]:
    """A network trained on the synthetic pictures alone."""
    return train(training, report), training


def adapted(way: Adaptation, real: Unlabelled) -> Way:
    """A network adapted in some way to these X-rays."""
    return lambda training, report: way(training, real, report)


def detector(training: Training, way: Way, report: Progress) -> Detector:
    """A detector that comes about in some way, its confidences true on held-out samples. Goes on where it was."""
    training.folder.mkdir(parents=True, exist_ok=True)
    network, training = way(training, report)
    made = Detector(network, Reading(training.landmarks, training.structures, training.regimen.size))
    if not training.landmarks:
        return made
    return calibrated(made, held_out(replace(training, validated=CALIBRATING), training.regimen.appearance))
