"""The X-ray generator on disk: a bundle of values that say how its networks are built, and their weights.

As with the others', nothing that a bundle names is run. The U-Net lies in a folder of its own as diffusers writes and
reads it, in files of no more than 15 MB; what stands around it, and the autoencoder, in one file. Weights have 16 bits.
"""

from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

from skiagraph.errors import ModelError
from skiagraph.generate.flow import Latents
from skiagraph.generate.wanted import POINTS
from skiagraph.generate.xray import XrayDrift, XrayGenerator
from skiagraph.generate.xray_coder import XrayCoder
from skiagraph.io.bundles import CONFIG, METADATA, WEIGHTS, frozen, load_halves, metadata, save_halves
from skiagraph.io.files import decoding, read_json, there, write_json, writing_together

UNET = Path("models/unet")
WANTED = "an X-ray generator's bundle: a folder with configs/inference.json, models/model.safetensors and models/unet"
LARGEST = "15MB"


def write_xray_generator(folder: Path, generator: XrayGenerator, drift: XrayDrift) -> list[Path]:
    """A generator, whose diffusion network was built by `drift`, as a bundle; the files written."""
    save_halves(folder / WEIGHTS, {"coder": generator.coder, "asked": generator.drift.asked})
    for old in (folder / UNET).glob("*"):
        old.unlink()
    with writing_together(folder) as stage:
        deepcopy(generator.drift.unet).half().save_pretrained(stage / UNET, max_shard_size=LARGEST)
    config: dict[str, Any] = {
        "coder": asdict(generator.built),
        "drift": asdict(drift),
        "latents": asdict(generator.latents),
        "size": generator.size,
        "steps": generator.steps,
        "guidance": generator.guidance,
    }
    write_json(folder / CONFIG, config)
    write_json(folder / METADATA, _metadata(generator))
    return [folder / CONFIG, folder / METADATA, folder / WEIGHTS, *sorted((folder / UNET).iterdir())]


def read_xray_generator(folder: Path) -> XrayGenerator:
    """The generator of a bundle. Raises DataError if it is no bundle, ModelError if its parts do not fit together."""
    there(folder, WANTED)
    config = read_json(folder / CONFIG, WANTED)
    with decoding(folder / CONFIG, WANTED):
        built, drift = XrayCoder(**frozen(config["coder"])), XrayDrift(**frozen(config["drift"]))
        latents = Latents(**frozen(config["latents"]))
        size, steps, guidance = int(config["size"]), int(config["steps"]), float(config["guidance"])
    there(folder / WEIGHTS, WANTED)
    with decoding(folder / UNET, "the weights of an X-ray generator"):
        around = {part: load_halves(folder / WEIGHTS, part) for part in ("coder", "asked")}
        inside = {k: v for path in sorted((folder / UNET).glob("*.safetensors")) for k, v in load_halves(path).items()}
    coder, network = built.build(), drift.build(built.latent)
    try:
        coder.load_state_dict(around["coder"])
        network.asked.load_state_dict(around["asked"])
        network.unet.load_state_dict(inside)
    except RuntimeError as error:
        raise ModelError(f"the weights of {folder} are not of the networks it describes; get it again") from error
    return XrayGenerator(coder.eval(), network.eval(), latents, built, size, steps, guidance)


def drift_of(folder: Path) -> XrayDrift:
    """How the diffusion network of a bundle is built."""
    config = read_json(folder / CONFIG, WANTED)
    with decoding(folder / CONFIG, WANTED):
        return XrayDrift(**frozen(config["drift"]))


def _metadata(generator: XrayGenerator) -> dict[str, Any]:
    lattice = {
        "num_channels": len(generator.latents.mean) + POINTS, "dtype": "float32", "value_range": [],
        "is_patch_data": False, "spatial_shape": list(generator.lattice), "format": "magnitude",
    }  # fmt: skip
    return metadata(
        "train-xray-diffusion",
        "X-rays of pelves from noise, with landmarks and masks, from a view that is asked for",
        f"latent diffusion of {generator.size} x {generator.size} pixels, masks and landmarks",
        {"inputs": {"noise": {"type": "noise", **lattice}}, "outputs": {"latent": {"type": "feature", **lattice}}},
    )
