"""A detector on disk: a MONAI bundle, read without running anything it names.

`configs/inference.json` names our classes and their fields the way MONAI's `ConfigParser` builds them; here they are
looked up among those we know instead. Weights are safetensors, which hold numbers only.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from skiagraph.detect.detector import Detector, Reading
from skiagraph.detect.losses import Correlation, Likelihood, MeanSquares
from skiagraph.detect.network import Network
from skiagraph.detect.trunks import ResidualUNet, SwinUNet, ViTUNet
from skiagraph.errors import DataError, ModelError
from skiagraph.io.files import decoding, read_json, there, write_json, writing

CONFIG, WEIGHTS = Path("configs/inference.json"), Path("models/model.safetensors")
WANTED = "a detector's bundle: a folder with configs/inference.json and models/model.safetensors"

KNOWN = {
    f"{kind.__module__}.{kind.__name__}": kind
    for kind in (ResidualUNet, SwinUNet, ViTUNet, MeanSquares, Correlation, Likelihood, Reading)
}
"""What a bundle may be made of."""


def write_bundle(folder: Path, detector: Detector, trunk: object) -> list[Path]:
    """A detector, whose network was built on `trunk`, as a bundle; the files written."""
    reading, network = detector.reading, detector.network
    config = {
        "bundle_root": ".",
        "reading": _said(reading),
        "network_def": {
            "_target_": "skiagraph.detect.network.Network",
            "trunk": _said(trunk),
            "landmark_loss": _said(network.landmark_loss),
            "size": reading.size,
            "landmarks": len(reading.landmarks),
            "structures": len(reading.structures),
        },
    }
    weights = {name: value.detach().contiguous() for name, value in network.state_dict().items()}
    with writing(folder / WEIGHTS) as part:
        save_file(weights, part)
    write_json(folder / CONFIG, config)
    return [folder / WEIGHTS, folder / CONFIG]


def read_bundle(folder: Path) -> Detector:
    """The detector of a bundle. Raises DataError if it is no bundle, ModelError if its parts do not fit together."""
    there(folder, WANTED)
    config = read_json(folder / CONFIG, WANTED)
    with decoding(folder / CONFIG, WANTED):
        said = config["network_def"]
        reading, trunk, loss = _built(config["reading"]), _built(said["trunk"]), _built(said["landmark_loss"])
        network = Network(trunk, loss, reading.size, len(reading.landmarks), len(reading.structures))
    there(folder / WEIGHTS, WANTED)
    with decoding(folder / WEIGHTS, "the weights of a detector"):
        weights = load_file(folder / WEIGHTS)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(
            f"the weights of {folder} are not of the network it describes; get the bundle again"
        ) from error
    return Detector(network.eval(), reading)


def _said(value: Any) -> dict[str, Any]:
    return {"_target_": f"{type(value).__module__}.{type(value).__name__}", **asdict(value)}


def _built(said: Mapping[str, Any]) -> Any:
    fields = {name: _frozen(value) for name, value in said.items() if name != "_target_"}
    if said["_target_"] not in KNOWN:
        raise DataError(f"a bundle of {said['_target_']!r}; this version knows {', '.join(KNOWN)}")
    return KNOWN[said["_target_"]](**fields)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
