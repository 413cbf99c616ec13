"""`skiagraph body`: write a synthetic annotated CT."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import tyro

from skiagraph.bodies import PelvisShape, Person, build, build_around
from skiagraph.bodies.shape import PARTS, atlas
from skiagraph.bodies.torso import read_torso
from skiagraph.errors import DataError
from skiagraph.io.files import write_json
from skiagraph.io.meshes import read_surface
from skiagraph.io.patient import generator, write_body
from skiagraph.register.atlas import fit
from skiagraph.surface import Cloud
from skiagraph.tasks.task import Report, silent
from skiagraph.volume import Body

SHAPE_SEED = 0x5EED
SUFFIXES = (".stl", ".ply", ".obj", ".vtk")


@dataclass(frozen=True)
class MakeBody:
    """Write a synthetic annotated CT: a lower torso with labels and landmarks."""

    command: ClassVar[str] = "body"

    output: tyro.conf.Positional[Path]
    """Folder for the CT, its labels and its landmarks."""
    seed: int | None = None
    """Draw another person from this seed; the average adult if not given."""
    sex: Literal["female", "male"] | None = None
    """Keep to one sex."""
    tilt: float | None = None
    """Degrees of pelvic tilt; the person's own if not given."""
    anatomy: Literal["parametric", "shape"] = "parametric"
    """The pelvis: parametric, or drawn from the shapes of 40 adults (CC BY 4.0, models/pelvis_shape)."""
    surfaces: Path | None = None
    """Folder with left_hemipelvis, right_hemipelvis and upper_sacrum as STL, PLY, OBJ or VTK, LPS: a pelvis to take."""
    torso: Path | None = None
    """A *_label.nii.gz beside its *_mask.nii.gz: muscles and skin for a pelvis that is not parametric."""
    spacing: float = 1.5
    """Millimetres between voxels."""

    @property
    def record(self) -> Path:
        """In the folder."""
        return self.output / "run.json"

    def person(self) -> Person:
        """The person asked for."""
        person = Person() if self.seed is None else Person.draw(generator(self.seed))
        if self.sex is not None:
            person = replace(person, sex=self.sex)
        return person if self.tilt is None else replace(person, tilt=self.tilt)

    def body(self) -> Body:
        """The body asked for. Raises DataError for a torso about a parametric pelvis."""
        if self.anatomy == "parametric" and self.surfaces is None:
            if self.torso is not None:
                raise DataError("a torso is carried to real anatomy only; give anatomy 'shape' or surfaces")
            return build(self.person(), self.spacing)
        torso = None if self.torso is None else read_torso(self.torso)
        return build_around(self.shape(), self.person(), self.spacing, torso)

    def shape(self) -> PelvisShape:
        """The pelvis asked for: of the surfaces, drawn from the seed, or the mean."""
        if self.surfaces is not None:
            return _of_surfaces(self.surfaces)
        # Not the person's own numbers, or the two would be alike.
        return PelvisShape.of(np.zeros(0)) if self.seed is None else PelvisShape.draw(generator(self.seed ^ SHAPE_SEED))

    def origin(self) -> dict[str, object]:
        """What the body is and whence: a phantom, whatever went into it."""
        sources = [
            {
                "what": "hip_readings.json and pelvis_shape.safetensors",
                "licence": "CC-BY-4.0",
                "see": "models/pelvis_shape",
            }
        ]
        if self.surfaces is not None:
            sources.append({"what": str(self.surfaces), "licence": "its owner's", "see": "surfaces given"})
        if self.torso is not None:
            sources.append({"what": self.torso.name, "licence": "its owner's", "see": "torso given"})
        return {
            "phantom": True,
            "statement": "a phantom, not a patient; not for clinical use",
            "anatomy": "surfaces" if self.surfaces is not None else self.anatomy,
            "seed": self.seed,
            "person": asdict(self.person()),
            "sources": sources,
        }

    def run(self, report: Report = silent) -> list[Path]:
        """Make the body; the files written."""
        if not 0.5 <= self.spacing <= 6:
            raise DataError(f"a spacing of {self.spacing:g} mm; give 0.5 to 6")
        report(0, 2, "building the body")
        body = self.body()
        report(1, 2, "writing")
        files = [*write_body(self.output, body), self.output / "phantom.json"]
        write_json(files[-1], self.origin())
        report(2, 2, "done")
        return files


def _of_surfaces(folder: Path) -> PelvisShape:
    """The model on the surfaces of a folder. Raises DataError if one is missing or left is on the right."""
    clouds = {}
    for part in PARTS:
        path = next((folder / f"{part}{suffix}" for suffix in SUFFIXES if (folder / f"{part}{suffix}").is_file()), None)
        if path is None:
            raise DataError(f"no {part} in {folder}; give {', '.join(PARTS)}, each as {', '.join(SUFFIXES)}")
        surface = read_surface(path)
        clouds[part] = Cloud(surface.vertices, surface.normals)
    if clouds[PARTS[0]].points[:, 0].mean() < clouds[PARTS[1]].points[:, 0].mean():
        raise DataError(f"the left hip bone of {folder} lies to the right of the other; are they in RAS? give LPS")
    return PelvisShape.from_vertices(fit(atlas().model, clouds).vertices)
