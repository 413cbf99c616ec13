"""DeepDRR as an engine, in a process and an environment of its own: GPL-3.0, an older numpy, an NVIDIA GPU.

We speak to it through files: a request of bodies and cameras, an answer of pictures (`deepdrr_worker.py` is all that
runs over there). DeepDRR (Unberath et al. 2018, MICCAI; Unberath et al. 2019, IJCARS) does not compute line integrals
but the mean energy of the photons that reach a pixel,

    I = Σ E p(E) exp(-Σ μ/ρ(E) A),     A the mass of each material in the way, g/cm²;

of one material and one energy, the logarithm of it is the line integral. `transmission` is I itself, to be held
against ours. Its cameras are right-handed with positive focal lengths, and corners of pixels are whole numbers:
a left-handed view is taken from its last column to its first.
"""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor
from torch.nn.functional import pad

from skiagraph.errors import BackendError, DataError, GeometryError
from skiagraph.geometry import Grid, View, float64
from skiagraph.physics.phantom import Phantom
from skiagraph.physics.spectrum import Spectrum

PYTHON = "SKIAGRAPH_DEEPDRR_PYTHON"
"""The environment variable that says where the Python of DeepDRR's environment is."""

ENVIRONMENT = 'pip install "deepdrr[cuda12x]==1.2.2" "cuda-python<13" numba "numpy<2"'
"""What its environment is made with, on Linux with an NVIDIA GPU, nvcc and EGL."""

WORKER = Path(__file__).with_name("deepdrr_worker.py")
SAID = "deepdrr_worker: "

PATIENCE = 1800.0
"""Seconds after which an answer is no longer waited for."""

NAMES = {
    "air": "air",
    "lung": "lung",
    "soft_tissue": "soft tissue",
    "muscle": "muscle",
    "blood": "blood",
    "cortical_bone": "bone",
    "polyethylene": "polyethylene",
    "titanium": "titanium",
    "copper": "copper",
    "lead": "lead",
}
"""Our materials that DeepDRR tables too, and what it calls them."""

PROBE = Spectrum.mono(60.0)
"""For line integrals: an energy of NIST's tables, where DeepDRR has nothing to interpolate."""

STRONGEST = 10.0
"""The exponent a field is scaled to, at most, so that single precision holds the faintest ray and the brightest."""

MIDDLE_OF_PIXEL = float64([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, eq=False)
class Request:
    """What the worker is asked: a batch of bodies on one grid, seen by a batch of cameras, in one beam."""

    density: Float[np.ndarray, "b i j k"]
    """g/cm³."""
    label: UInt8[np.ndarray, "b #i #j #k"]
    """What each voxel is made of: an index into `materials`."""
    materials: np.ndarray
    """Their names over there."""
    anatomical_from_ijk: Float64[np.ndarray, "4 4"]
    """Spacing alone: DeepDRR takes a voxel's size off this matrix's diagonal."""
    world_from_anatomical: Float64[np.ndarray, "4 4"]
    """Rigid."""
    energies: Float64[np.ndarray, "e"]
    """keV."""
    photons: Float64[np.ndarray, "e"]
    k: Float64[np.ndarray, "n 3 3"]
    r: Float64[np.ndarray, "n 3 3"]
    t: Float64[np.ndarray, "n 3"]
    size: np.ndarray
    """Rows and columns."""
    source_to_panel: Float64[np.ndarray, "n"]


@dataclass(frozen=True, eq=False)
class Answer:
    """What the worker found."""

    intensity: Float[np.ndarray, "b n v u"]
    """Mean energy of a photon, keV."""
    attenuation: Float64[np.ndarray, "m e"]
    """cm²/g: DeepDRR's own figures for the materials and energies of the request."""


def integrate(field: Float[Tensor, "c k j i"], grid: Grid, view: View) -> Float[Tensor, "*n c v u"]:
    """Line integrals of a field from the source to every pixel: the field's unit times millimetres.

    Each channel is a body of soft tissue in a beam of one energy. Single precision, not differentiable. Raises
    DataError for negative values and BackendError if DeepDRR cannot be had.
    """
    if tuple(field.shape[1:]) != grid.shape:
        raise GeometryError(f"a field of {tuple(field.shape[1:])} on a grid of {grid.shape}; give one shape")
    if not bool(((field >= 0) & field.isfinite()).all()):
        raise DataError("the field holds values that are negative or not finite, and DeepDRR sees matter only")
    diagonal = (grid.corners[-1] - grid.corners[0]).norm().item()
    scale = STRONGEST / max(field.max().item() * diagonal * 0.02, 1e-30)
    soft = torch.zeros(len(field), 1, 1, 1, dtype=torch.uint8)
    answer = ask(request(field * scale, soft, ("soft tissue",), grid, view, PROBE))
    if not (answer.intensity > 0).all():
        raise BackendError("DeepDRR made a picture with black pixels of faint matter; use another engine")
    per_mm = answer.attenuation.item() * scale / 10
    depth = np.log(PROBE.energies.item() / answer.intensity.astype(np.float64))
    return _pictures((depth / per_mm).astype(np.float32), view).to(field)


def transmission(phantom: Phantom, view: View, spectrum: Spectrum) -> Float[Tensor, "*n v u"]:
    """What DeepDRR says reaches an ideal panel that adds up energy, 0 to 1 of the open field's.

    Ours is `Renderer(by_density, spectrum, Panel.ideal())`. Raises DataError for a material DeepDRR does not table
    and for voxels that hold more than one.
    """
    strange = [material.name for material in phantom.materials if material.name not in NAMES]
    if strange:
        raise DataError(f"DeepDRR has no {', '.join(strange)}; it has {', '.join(NAMES)}")
    density = phantom.density.sum(dim=0)
    most, label = phantom.density.max(dim=0)
    if not torch.allclose(most, density, atol=1e-4):
        raise DataError("a voxel of DeepDRR's is of one material, and some here of several; decompose with by_density")
    names = [NAMES[material.name] for material in phantom.materials]
    answer = ask(request(density[None], label.byte()[None], names, phantom.grid, view, spectrum))
    return _pictures(answer.intensity / spectrum.mean_energy, view)[..., 0, :, :]


def request(
    density: Float[Tensor, "b k j i"],
    label: UInt8[Tensor, "b #k #j #i"],
    materials: Sequence[str],
    grid: Grid,
    view: View,
    spectrum: Spectrum,
) -> Request:
    """A question in DeepDRR's terms: matter that ends within a voxel of nothing, right-handed cameras.

    Raises GeometryError for a grid whose axes are not square to one another.
    """
    k, j, i = grid.shape
    around = grid.cropped((slice(-1, k + 1), slice(-1, j + 1), slice(-1, i + 1)))
    anatomical_from_ijk, world_from_anatomical = _stretch_and_turn(around)
    label = pad(label, (1,) * 6) if label.shape[1:] == density.shape[1:] else label
    views = [_right_handed(one) for one in _singles(view)]
    matrices = [one.krt() for one in views]
    return Request(
        density=pad(density.detach().cpu().float(), (1,) * 6).permute(0, 3, 2, 1).contiguous().numpy(),
        label=label.cpu().permute(0, 3, 2, 1).contiguous().numpy(),
        materials=np.array(list(materials)),
        anatomical_from_ijk=anatomical_from_ijk.numpy(),
        world_from_anatomical=world_from_anatomical.numpy(),
        energies=spectrum.energies.numpy(),
        photons=spectrum.photons.numpy(),
        k=torch.stack([MIDDLE_OF_PIXEL @ k for k, _, _ in matrices]).numpy(),
        r=torch.stack([r for _, r, _ in matrices]).numpy(),
        t=torch.stack([t for _, _, t in matrices]).numpy(),
        size=np.array(view.size),
        source_to_panel=torch.stack([one.source_to_panel for one in views]).numpy(),
    )


def ask(asked: Request) -> Answer:
    """Send a request to DeepDRR's process and wait. Raises BackendError with what it said if it fails."""
    with TemporaryDirectory(prefix="skiagraph-") as folder:
        question, answer = Path(folder) / "request.npz", Path(folder) / "answer.npz"
        try:
            np.savez(question, **vars(asked))
        except OSError as error:
            raise BackendError(f"cannot write a request for DeepDRR: {error.strerror}; free some disk") from error
        _call(PATIENCE, "project", str(question), str(answer))
        return read(answer, (len(asked.density), len(asked.k), *asked.size.tolist()))


def read(path: Path, shape: tuple[int, ...]) -> Answer:
    """An answer of pictures of a shape. Raises BackendError if that is not what the file holds."""
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            intensity, attenuation = file["intensity"], file["attenuation"]
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise BackendError(f"DeepDRR left no answer to be read ({type(error).__name__}); try again") from error
    if intensity.shape != shape or not np.isfinite(intensity).all():
        raise BackendError(
            f"DeepDRR answered with {intensity.shape} numbers, not all finite; {shape} were asked for: "
            f"use another engine"
        )
    return Answer(intensity, attenuation)


@cache
def runs_on() -> str:
    """The GPU DeepDRR would use. Raises BackendError saying why it cannot run here, and what to do."""
    return _call(PATIENCE / 10, "check").strip().splitlines()[-1]


def python() -> Path:
    """The Python of DeepDRR's environment. Raises BackendError if there is none."""
    said = os.environ.get(PYTHON)
    if not said:
        raise BackendError(
            f"no environment for DeepDRR; make one ({ENVIRONMENT}) and set {PYTHON} to its python, "
            f"such as /path/to/.deepdrr/bin/python"
        )
    if not Path(said).is_file():
        raise BackendError(f"{PYTHON} is {said!r}, and there is no file; set it to DeepDRR's python")
    return Path(said)


def _call(seconds: float, *arguments: str) -> str:
    """What the worker prints, if it is done within the time."""
    executable = python()
    try:
        done = subprocess.run(
            [str(executable), "-I", str(WORKER), *arguments],
            capture_output=True,
            timeout=seconds,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise BackendError(f"{executable} does not start: {error.strerror}; set {PYTHON} anew") from error
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"DeepDRR gave no answer for {seconds:g} s; ask for less, or use another engine") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        last = next((line.removeprefix(SAID) for line in reversed(lines) if line.startswith(SAID)), lines[-1])
        raise BackendError(f"DeepDRR cannot run with {executable}: {last[:300]}; see that {ENVIRONMENT} went well")
    return done.stdout


def _stretch_and_turn(grid: Grid) -> tuple[Float64[Tensor, "4 4"], Float64[Tensor, "4 4"]]:
    """A grid's matrix as a diagonal one and a rigid one after it; columns of a left-handed grid count backwards."""
    direction = grid.direction
    if (direction.T @ direction - torch.eye(3)).abs().max() > 1e-3:
        raise GeometryError("the grid's axes are not square to one another, as DeepDRR needs; use another engine")
    turn, stretch = grid.world_from_ijk.clone(), torch.eye(4, dtype=torch.float64)
    stretch[:3, :3] = torch.diag(float64(grid.spacing))
    stretch[0, 0] *= torch.linalg.det(direction).sign()
    turn[:3, :3] = grid.world_from_ijk[:3, :3] @ torch.linalg.inv(stretch[:3, :3])
    return stretch, turn


def _pictures(found: Float[np.ndarray, "b n v u"], view: View) -> Float[Tensor, "*n b v u"]:
    """Pictures of right-handed views as the views asked for have them."""
    whole = torch.from_numpy(found).float().movedim(1, 0)
    turned = torch.stack([one.flip(-1) if _left_handed(v) else one for one, v in zip(whole, _singles(view))])
    return turned if view.source.ndim > 1 else turned[0]


def _singles(view: View) -> list[View]:
    return [view[n] for n in range(len(view.source))] if view.source.ndim > 1 else [view]


def _left_handed(view: View) -> bool:
    return bool(torch.linalg.det(view.matrix()[:, :3]) < 0)


def _right_handed(view: View) -> View:
    """The same view, or if it is left-handed the same one with its columns counted from the other side."""
    if not _left_handed(view):
        return view
    last = view.origin + (view.size[1] - 1) * view.u_step
    return View(view.source, last, -view.u_step, view.v_step, view.size)
