"""One X-ray with all its labels, in memory and on disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from skiagraph.anatomy import STRUCTURE_NAMES
from skiagraph.carm import CArm
from skiagraph.drr.display import picture, polarised
from skiagraph.drr.project import Projection, project_labels
from skiagraph.drr.render import Renderer
from skiagraph.drr.scene import Scene
from skiagraph.errors import DataError, GeometryError
from skiagraph.factory.devices import Window
from skiagraph.factory.take import LEAK
from skiagraph.geometry import View
from skiagraph.io.dicom_xray import write_xray_dicom
from skiagraph.io.files import stem_of, suffix_of, writing_together
from skiagraph.io.markups import write_keypoints
from skiagraph.io.pictures import write_mask, write_picture, write_transmission
from skiagraph.io.records import Record, read_record, write_record
from skiagraph.io.xray import Bone
from skiagraph.volume import Labels

PICTURES = (".png", ".dcm")
"""Endings of what people look at: logarithmic and windowed."""
MEASUREMENTS = (".nrrd", ".nii.gz", ".nii", ".mha", ".tiff", ".tif")
"""Endings of what programs compute with: transmission 0...1 in float32."""


@dataclass(frozen=True, eq=False)
class Shot:
    """An X-ray, its geometry and its labels."""

    transmission: Float[Tensor, "v u"]
    carm: CArm
    record: Record
    projection: Projection | None

    @cached_property
    def shown(self) -> Float[Tensor, "v u"]:
        """The X-ray as people look at it, bone bright."""
        return picture(self.transmission)

    @property
    def view(self) -> View:
        """Where it was taken from."""
        return self.record.view


def shoot(renderer: Renderer, scene: Scene, view: View, carm: CArm, rng: torch.Generator, **said: Any) -> Shot:
    """Take an X-ray of a scene and project what is known of it; `said` goes into the record."""
    transmission = renderer(scene.phantoms, view, rng)
    projection = project_labels(scene.labels, view, structures_of(scene.labels)) if scene.labels else None
    if projection is not None:
        said["structures"] = {
            name: {"area_mm2": round(area, 3)} for name, area in zip(projection.names, projection.areas.tolist())
        }
    return Shot(transmission, carm, Record.of(view, scene.landmarks, carm.name, **said), projection)


def window_of(view: View, leaves: Sequence[float]) -> Window:
    """What a collimator leaves open whose leaves cover so many millimetres of the panel: top, bottom, left, right.

    Raises GeometryError if they leave nothing.
    """
    rows, columns = view.size
    step_v, step_u = view.pixel_spacing
    top, bottom, left, right = (
        round(max(0.0, leaf) / step) for leaf, step in zip(leaves, (step_v,) * 2 + (step_u,) * 2)
    )
    if top + bottom >= rows or left + right >= columns:
        said = " ".join(f"{leaf:g}" for leaf in leaves)
        raise GeometryError(
            f"leaves {said} mm over a panel of {rows * step_v:.0f} x {columns * step_u:.0f} mm leave nothing open; "
            "give less"
        )
    return Window(top, rows - bottom, left, columns - right)


def collimated(shot: Shot, window: Window) -> Shot:
    """The X-ray with a collimator before the tube: lead around the window, and nothing known of what lies behind it.

    Quanta and scatter stay as they are; in truth a collimated beam scatters less.
    """
    field, record, projection = window.mask(shot.view.size), shot.record, shot.projection
    if projection is not None:
        projection = replace(
            projection, thickness=projection.thickness * field, depth=projection.depth.masked_fill(~field, torch.inf)
        )
    keypoints = replace(record.keypoints, visible=record.keypoints.visible & window.holds(record.keypoints.uv))
    extra = {**record.extra, "window": [window.v0, window.v1, window.u0, window.u1]}
    return replace(
        shot,
        transmission=torch.where(field, shot.transmission, LEAK),
        record=replace(record, keypoints=keypoints, extra=extra),
        projection=projection,
    )


def structures_of(bodies: Sequence[Labels]) -> list[str]:
    """The names of all there is to project, the hip task's six first and in their order."""
    known = {name for labels in bodies for name in labels.names.values()}
    ours = [name for name in STRUCTURE_NAMES if name in known]
    return [*ours, *sorted(known - set(ours))]


def check_output(path: Path) -> None:
    """Raise DataError unless an X-ray can be written under this ending."""
    if suffix_of(path) not in PICTURES + MEASUREMENTS:
        raise DataError(f"cannot write an X-ray as {path.name!r}; end it in one of {' '.join(PICTURES + MEASUREMENTS)}")


def refuse_own_labels(output: Path, xray: Path) -> None:
    """Raise DataError if what is made of an X-ray would take the place of what stands beside it."""
    if stem_of(output) == stem_of(xray) and output.parent.resolve() == xray.parent.resolve():
        raise DataError(f"{output} would take the place of the X-ray's own labels; give another name")


def save(
    shot: Shot, path: Path, bone: Bone = "bright", kvp: float | None = None, also: tuple[str, ...] = ()
) -> list[Path]:
    """The picture, its record, its landmarks as markups and a mask for each structure, all or none; their paths.

    `also` are endings the picture is wanted under besides its own. Labels of an earlier picture of the same name go.
    Raises DataError if they belong to another picture that stays: two of one stem have to be of one view.
    """
    pictures = [path, *(beside(path, ending) for ending in also)]
    for file in pictures:
        check_output(file)
    _refuse_mixing(path, pictures, shot.view)
    with writing_together(path.parent) as stage:
        files = [stage / file.name for file in pictures]
        for staged in files:
            _write_picture(shot, staged, bone, kvp)
        files += write_labels(shot.record, shot.projection, stage / path.name)
    return settle(path, [path.parent / file.relative_to(stage) for file in files])


def _write_picture(shot: Shot, path: Path, bone: Bone, kvp: float | None) -> None:
    if suffix_of(path) == ".dcm":
        write_xray_dicom(
            path, polarised(shot.shown, bone), shot.view, carm=shot.carm, bone=bone, kvp=kvp, record=shot.record
        )
    elif suffix_of(path) == ".png":
        write_picture(path, polarised(shot.shown, bone))
    else:
        write_transmission(path, shot.transmission, shot.view)


def write_labels(record: Record, projection: Projection | None, path: Path) -> list[Path]:
    """What stands beside a picture: `.json`, `.mrk.json` and a folder of masks, all under its stem."""
    files = [beside(path, ".json")]
    write_record(files[0], record)
    if record.keypoints.names:
        files.append(beside(path, ".mrk.json"))
        write_keypoints(files[-1], record.keypoints, view=record.view)
    if projection is not None:
        for name, mask in zip(projection.names, projection.masks):
            files.append(masks_folder(path) / f"{name}.png")
            write_mask(files[-1], mask)
    return files


def settle(path: Path, files: list[Path]) -> list[Path]:
    """Take away markups and masks of this stem that are not among the files just written; the files."""
    for old in (beside(path, ".mrk.json"), *masks_folder(path).glob("*.png")):
        if old not in files:
            old.unlink(missing_ok=True)
    if masks_folder(path).is_dir() and not any(masks_folder(path).iterdir()):
        masks_folder(path).rmdir()
    return files


def masks_folder(path: Path) -> Path:
    """Where the masks of a picture are."""
    return path.with_name(f"{stem_of(path)}_masks")


def _refuse_mixing(path: Path, pictures: list[Path], view: View) -> None:
    staying = [beside(path, ending) for ending in PICTURES + MEASUREMENTS]
    others = [file for file in staying if file not in pictures and file.is_file()]
    if others and beside(path, ".json").is_file():
        theirs = read_record(beside(path, ".json")).view
        if theirs.size != view.size or (theirs.matrix() - view.matrix()).abs().max() > 1e-6:
            raise DataError(
                f"{beside(path, '.json')} belongs to {others[0].name}, which shows another view; "
                f"give {path.name} another name"
            )


def beside(path: Path, ending: str) -> Path:
    """A file with the same stem and another ending."""
    return path.with_name(stem_of(path) + ending)
