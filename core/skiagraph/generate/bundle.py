"""The CT generator on disk: a bundle of values that say how its networks are built, and their weights.

As with the detector's, nothing that a bundle names is run, and weights are safetensors: kernels of 8 bits, a file a
network.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from skiagraph.errors import ModelError
from skiagraph.generate.autoencoder import Coder
from skiagraph.generate.ct import CtGenerator, Drift
from skiagraph.generate.flow import Latents
from skiagraph.generate.frame import Frame
from skiagraph.generate.quality import Norm, Range
from skiagraph.io.bundles import CONFIG, METADATA, frozen, load_bytes, metadata, save_bytes
from skiagraph.io.files import decoding, read_json, there, write_json, writing_together

CODER, DRIFT = Path("models/coder.safetensors"), Path("models/drift.safetensors")
WANTED = f"a CT generator's bundle: a folder with {CONFIG}, {CODER} and {DRIFT}"


def write_generator(folder: Path, generator: CtGenerator, drift: Drift) -> list[Path]:
    """A generator, whose diffusion network was built by `drift`, as a bundle; the files written."""
    config: dict[str, Any] = {
        "frame": asdict(generator.frame),
        "coder": asdict(generator.built),
        "drift": asdict(drift),
        "latents": asdict(generator.latents),
        "norms": {name: asdict(norm) for name, norm in generator.norms.items()},
        "steps": generator.steps,
        "guidance": generator.guidance,
    }
    with writing_together(folder) as stage:
        save_bytes(stage / CODER, generator.coder)
        save_bytes(stage / DRIFT, generator.drift)
        write_json(stage / CONFIG, config)
        write_json(stage / METADATA, _metadata(generator))
    return [folder / name for name in (CODER, DRIFT, CONFIG, METADATA)]


def read_generator(folder: Path) -> CtGenerator:
    """The generator of a bundle. Raises DataError if it is no bundle, ModelError if its parts do not fit together."""
    there(folder, WANTED)
    config = read_json(folder / CONFIG, WANTED)
    with decoding(folder / CONFIG, WANTED):
        built, drift = Coder(**frozen(config["coder"])), Drift(**frozen(config["drift"]))
        frame, latents = Frame(**config["frame"]), Latents(**frozen(config["latents"]))
        norms = {
            name: Norm(Range(**norm["millilitres"]), Range(**norm["hu"])) for name, norm in config["norms"].items()
        }
        steps, guidance = int(config["steps"]), float(config["guidance"])
    coder, network = built.build(), drift.build(built.latent)
    for part, path in ((coder, folder / CODER), (network, folder / DRIFT)):
        there(path, WANTED)
        with decoding(path, "the weights of a CT generator"):
            weights = load_bytes(path)
        try:
            part.load_state_dict(weights)
        except RuntimeError as error:
            raise ModelError(f"{path} is not of the network that {CONFIG} describes; get it again") from error
    return CtGenerator(coder.eval(), network.eval(), latents, frame, built, norms, steps, guidance)


def drift_of(folder: Path) -> Drift:
    """How the diffusion network of a bundle is built."""
    config = read_json(folder / CONFIG, WANTED)
    with decoding(folder / CONFIG, WANTED):
        return Drift(**frozen(config["drift"]))


def _metadata(generator: CtGenerator) -> dict[str, Any]:
    lattice = {
        "num_channels": len(generator.latents.mean), "dtype": "float32", "value_range": [], "is_patch_data": False,
        "spatial_shape": [n // generator.built.shrink for n in generator.frame.shape], "format": "magnitude",
    }  # fmt: skip
    return metadata(
        "train-ct-diffusion",
        "CTs of pelves from noise, with structures and landmarks",
        f"latent diffusion of intensity and labels on {generator.frame.shape} voxels of {generator.frame.spacing} mm",
        {"inputs": {"noise": {"type": "noise", **lattice}}, "outputs": {"latent": {"type": "feature", **lattice}}},
    )
