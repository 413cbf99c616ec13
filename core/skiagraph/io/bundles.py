"""What our MONAI bundles have in common: where their files lie, what they say of themselves, and small weights."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from skiagraph.errors import DataError
from skiagraph.io.files import write_tensors
from skiagraph.shipped import shipped

CONFIG, WEIGHTS = Path("configs/inference.json"), Path("models/model.safetensors")
METADATA = Path("configs/metadata.json")
SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"


def that_comes(name: str, command: str) -> Path:
    """A model that comes with Skiagraph. Raises DataError if this installation has none."""
    found = shipped("models", name, source="models")
    if found is None:
        raise DataError(
            f"no models/{name} is installed; train one with `skiagraph {command}` and give it as the bundle"
        )
    return found


def metadata(command: str, task: str, description: str, formats: Mapping[str, Any]) -> dict[str, Any]:
    """What MONAI's bundles say of themselves; `command` is the one that trains it."""
    return {
        "schema": SCHEMA,
        "version": version("skiagraph"),
        "changelog": {version("skiagraph"): f"trained by `skiagraph {command}`; see run.json"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").split("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"skiagraph": version("skiagraph"), "safetensors": version("safetensors")},
        "task": task,
        "description": description,
        "authors": "the people of Skiagraph",
        "copyright": "the people of Skiagraph",
        "intended_use": "research; not for clinical use",
        "network_data_format": dict(formats),
    }


def frozen(value: Any) -> Any:
    """JSON's lists as tuples, at any depth: what a frozen value holds."""
    if isinstance(value, dict):
        return {name: frozen(one) for name, one in value.items()}
    return tuple(frozen(one) for one in value) if isinstance(value, list) else value


def save_halves(path: Path, parts: Mapping[str, nn.Module]) -> None:
    """The weights of several networks in one file, of 16 bits, which halves them."""
    weights = {
        f"{part}.{name}": value.to(torch.float16)
        for part, network in parts.items()
        for name, value in network.state_dict().items()
    }
    write_tensors(path, weights)


def load_halves(path: Path, part: str = "") -> dict[str, Tensor]:
    """The weights of one part of such a file, of all that is in it if none is named, with 32 bits."""
    prefix = f"{part}." if part else ""
    return {
        name.removeprefix(prefix): value.float() for name, value in load_file(path).items() if name.startswith(prefix)
    }


SCALE = "/scale"


def save_bytes(path: Path, network: nn.Module) -> None:
    """A network's weights in one file: kernels of 8 bits, each output's scaled to its largest, and all else of 16.

    Rounding leaves a kernel's weights off by 1/440 of their output's largest (root mean square of steps of 1/127).
    """
    weights = dict[str, Tensor]()
    for name, value in network.state_dict().items():
        if value.ndim < 2 or not value.is_floating_point():
            weights[name] = value.half() if value.is_floating_point() else value
            continue
        flat = value.float().flatten(1)
        scale = (flat.abs().amax(1) / 127).clamp(min=1e-12)
        weights[name] = (flat / scale[:, None]).round().to(torch.int8).reshape(value.shape)
        weights[name + SCALE] = scale
    write_tensors(path, weights)


def load_bytes(path: Path) -> dict[str, Tensor]:
    """The weights of such a file, with 32 bits."""
    found = load_file(path)
    return {
        name: value.float() * found[name + SCALE].reshape(-1, *[1] * (value.ndim - 1))
        if name + SCALE in found
        else (value.float() if value.is_floating_point() else value)
        for name, value in found.items()
        if not name.endswith(SCALE)
    }
