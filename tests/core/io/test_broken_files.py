"""Whatever is cut off or overwritten, a reader answers with one line or with an image: never with another error."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
import torch

from skiagraph.carm import GENERIC
from skiagraph.errors import SkiagraphError
from skiagraph.geometry import Grid, float64
from skiagraph.io.datasets import deepfluoro
from skiagraph.io.dicom_xray import read_dicom_record, read_view, write_xray_dicom
from skiagraph.io.markups import read_keypoints, read_landmarks, write_landmarks
from skiagraph.io.pictures import read_xray, write_picture, write_transmission
from skiagraph.io.records import Record, read_record, write_record
from skiagraph.io.volumes import read_labels, read_volume, write_volume
from skiagraph.volume import Landmarks, Volume

READERS = {
    "ct.nii": read_volume,
    "ct.nii.gz": read_volume,
    "ct.nrrd": read_volume,
    "ct.mha": read_volume,
    "seg.nii.gz": read_labels,
    "x.png": read_xray,
    "x.jpg": read_xray,
    "x.tiff": read_xray,
    "x.nrrd": read_xray,
    "x.dcm": read_xray,
    "view.dcm": read_view,
    "record.dcm": read_dicom_record,
    "record.json": read_record,
    "points.json": read_keypoints,
    "a.mrk.json": read_landmarks,
    "a.fcsv": read_landmarks,
    "full.h5": deepfluoro.specimens,
}


def whole(folder: Path, name: str) -> bytes:
    path = folder / name
    rng = torch.Generator().manual_seed(0)
    volume = Volume(torch.randint(-1000, 1000, (8, 9, 10), generator=rng).float(), Grid.of((8, 9, 10), (1, 1, 2)))
    view = GENERIC.with_pixels(24).view(float64([0.0, 0.0, 0.0]))
    landmarks = Landmarks.of({"left_femur": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]})
    image = torch.rand(24, 24, generator=rng)
    if name.startswith("ct"):
        write_volume(path, volume)
    elif name.startswith("seg"):
        sitk.WriteImage(sitk.GetImageFromArray(np.eye(9, dtype=np.uint8)[None].repeat(4, 0)), str(path))
    elif name == "x.png":
        write_picture(path, image)
    elif name == "x.jpg":
        from PIL import Image

        Image.fromarray((image.numpy() * 255).astype(np.uint8)).save(path)
    elif name == "x.tiff":
        tifffile.imwrite(path, image.numpy())
    elif name == "x.nrrd":
        write_transmission(path, image, view)
    elif name.endswith(".dcm"):
        write_xray_dicom(path, image, view, record=Record.of(view, landmarks), seed="1")
    elif name in ("record.json", "points.json"):
        write_record(path, Record.of(view, landmarks))
    elif name == "full.h5":
        with h5py.File(path, "w") as file:
            file["17-1882/vol/pixels"] = np.zeros((3, 4, 5))
    else:
        write_landmarks(path, landmarks)
    return path.read_bytes()


def answers(path: Path, reader) -> bool:
    """Whether the reader found something; an error that is not one line fails."""
    said = ""
    try:
        reader(path)
    except SkiagraphError as error:
        said = str(error)
    assert "\n" not in said
    return not said


@pytest.mark.parametrize("name", READERS)
def test_a_file_cut_short_is_one_line(tmp_path, name):
    raw = whole(tmp_path, name)
    assert answers(tmp_path / name, READERS[name])
    for part in (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9):
        (tmp_path / name).write_bytes(raw[: int(len(raw) * part)])
        read = answers(tmp_path / name, READERS[name])
        assert not read or name in ("view.dcm", "record.dcm", "a.fcsv", "full.h5"), f"{part} of {name} was read"


@pytest.mark.parametrize("name", READERS)
def test_a_file_overwritten_here_and_there_is_one_line_or_read(tmp_path, name):
    raw = whole(tmp_path, name)
    rng = np.random.default_rng(7)
    for _ in range(25):
        broken = bytearray(raw)
        for _ in range(rng.integers(1, 8)):
            broken[rng.integers(min(len(raw), 1200))] = rng.integers(256)
        (tmp_path / name).write_bytes(broken)
        answers(tmp_path / name, READERS[name])


@pytest.mark.parametrize(
    ("line", "wrong"),
    [(b"NDims = 3", b"NDims =73"), (b"DimSize = 10 9 8", b"DimSize = 90 9 8"), (b"= MET_S", b"= MET_X")],
)
def test_a_metaimage_over_which_itk_would_abort_does_not_reach_it(tmp_path, line, wrong):
    raw = whole(tmp_path, "ct.mha")
    assert line in raw
    (tmp_path / "ct.mha").write_bytes(raw.replace(line, wrong))
    assert not answers(tmp_path / "ct.mha", read_volume)


@pytest.mark.parametrize("name", READERS)
def test_noise_by_any_name_is_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(np.random.default_rng(3).bytes(3000))
    assert not answers(tmp_path / name, READERS[name])
