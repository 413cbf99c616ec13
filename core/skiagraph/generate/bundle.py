"""The CT generator on disk: a bundle of values that say how its networks are built, and their weights.

As with the detector's, nothing that a bundle names is run, and weights are safetensors: of 16 bits, which halves them.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from skiagraph.errors import ModelError
from skiagraph.generate.autoencoder import Coder
from skiagraph.generate.ct import CtGenerator, Drift, Latents
from skiagraph.generate.frame import Frame
from skiagraph.generate.quality import Norm, Range
from skiagraph.io.files import decoding, read_json, there, write_json, writing

CONFIG, WEIGHTS = Path("configs/inference.json"), Path("models/model.safetensors")
WANTED = "a CT generator's bundle: a folder with configs/inference.json and models/model.safetensors"


def write_generator(folder: Path, generator: CtGenerator, drift: Drift) -> list[Path]:
    """A generator, whose diffusion network was built by `drift`, as a bundle; the files written."""
    parts = {"coder": generator.coder, "drift": generator.drift}
    weights = {
        f"{part}.{name}": value.detach().to(torch.float16).contiguous()
        for part, network in parts.items()
        for name, value in network.state_dict().items()
    }
    with writing(folder / WEIGHTS) as part:
        save_file(weights, part)
    config: dict[str, Any] = {
        "frame": asdict(generator.frame),
        "coder": asdict(generator.built),
        "drift": asdict(drift),
        "latents": asdict(generator.latents),
        "norms": {name: asdict(norm) for name, norm in generator.norms.items()},
        "steps": generator.steps,
        "guidance": generator.guidance,
    }
    write_json(folder / CONFIG, config)
    return [folder / WEIGHTS, folder / CONFIG]


def read_generator(folder: Path) -> CtGenerator:
    """The generator of a bundle. Raises DataError if it is no bundle, ModelError if its parts do not fit together."""
    there(folder, WANTED)
    config = read_json(folder / CONFIG, WANTED)
    with decoding(folder / CONFIG, WANTED):
        built, drift = Coder(**_frozen(config["coder"])), Drift(**_frozen(config["drift"]))
        frame, latents = Frame(**config["frame"]), Latents(**_frozen(config["latents"]))
        norms = {
            name: Norm(Range(**norm["millilitres"]), Range(**norm["hu"])) for name, norm in config["norms"].items()
        }
        steps, guidance = int(config["steps"]), float(config["guidance"])
    there(folder / WEIGHTS, WANTED)
    with decoding(folder / WEIGHTS, "the weights of a CT generator"):
        weights = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    coder, network = built.build(), drift.build(built.latent)
    try:
        for part, known in (("coder", coder), ("drift", network)):
            known.load_state_dict(
                {k.removeprefix(part + "."): v for k, v in weights.items() if k.startswith(part + ".")}
            )
    except RuntimeError as error:
        raise ModelError(f"the weights of {folder} are not of the networks it describes; get it again") from error
    return CtGenerator(coder.eval(), network.eval(), latents, frame, built, norms, steps, guidance)


def _frozen(said: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
