"""A detector on disk: a MONAI bundle, read without running anything it names.

`configs/inference.json` names our classes and their fields the way MONAI's `ConfigParser` builds them; here they are
looked up among those we know instead. Weights are safetensors, which hold numbers only.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from skiagraph.detect.detector import Detector, Reading
from skiagraph.detect.losses import Correlation, Likelihood, MeanSquares
from skiagraph.detect.network import Network
from skiagraph.detect.trunks import ResidualUNet, SwinUNet, Trunk, ViTUNet
from skiagraph.errors import DataError, ModelError
from skiagraph.io.bundles import CONFIG, METADATA, WEIGHTS, frozen, metadata
from skiagraph.io.files import decoding, read_json, there, write_json, write_tensors

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
    write_tensors(folder / WEIGHTS, network.state_dict())
    write_json(folder / CONFIG, config)
    write_json(folder / METADATA, _metadata(reading))
    return [folder / WEIGHTS, folder / CONFIG, folder / METADATA]


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


def trunk_of(folder: Path) -> Trunk:
    """What the network of a bundle is built on."""
    config = read_json(folder / CONFIG, WANTED)
    with decoding(folder / CONFIG, WANTED):
        trunk: Trunk = _built(config["network_def"]["trunk"])
        return trunk


def _metadata(reading: Reading) -> dict[str, Any]:
    square = [reading.size, reading.size]
    picture = {
        "type": "image", "format": "magnitude", "modality": "xray", "num_channels": 1, "spatial_shape": square,
        "dtype": "float32", "value_range": [], "is_patch_data": False, "channel_def": {"0": "mean 0, deviation 1"},
    }  # fmt: skip
    heatmaps = {
        "type": "probabilities", "format": "heatmap", "num_channels": len(reading.landmarks), "spatial_shape": square,
        "dtype": "float32", "value_range": [], "is_patch_data": False,
        "channel_def": {str(n): name for n, name in enumerate(reading.landmarks)},
    }  # fmt: skip
    return metadata(
        "train-detector",
        "landmarks and structures of an X-ray",
        "finds " + ", ".join(reading.landmarks),
        {"inputs": {"image": picture}, "outputs": {"heatmaps": heatmaps}},
    )


def _said(value: Any) -> dict[str, Any]:
    return {"_target_": f"{type(value).__module__}.{type(value).__name__}", **asdict(value)}


def _built(said: Mapping[str, Any]) -> Any:
    fields = {name: frozen(value) for name, value in said.items() if name != "_target_"}
    if said["_target_"] not in KNOWN:
        raise DataError(f"a bundle of {said['_target_']!r}; this version knows {', '.join(KNOWN)}")
    return KNOWN[said["_target_"]](**fields)
