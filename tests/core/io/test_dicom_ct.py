from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from slices import STRAIGHT, write_slice

from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import float64, rotation, transform
from skiagraph.io.dicom_ct import ENHANCED_CT, tilt
from skiagraph.io.volumes import read_volume, write_volume

SHAPE = (6, 4, 5)
OBLIQUE = (rotation("z", 20) @ rotation("x", -15)).numpy()
FEET_FIRST_PRONE = np.diag([1.0, -1.0, -1.0])


def stored() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2400, SHAPE).astype(np.int16)


def write_series(folder: Path, axes=STRAIGHT, step=None, series="1.2.3", **changes) -> np.ndarray:
    """Slices under shuffled names; the step from one to the next is `step`, 2 mm along the third axis if not given."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = stored()
    step = 2.0 * axes[:, 2] if step is None else np.asarray(step)
    for k in range(len(pixels)):
        name = f"{(k * 5) % 7}-{series}.dcm"
        write_slice(folder / name, pixels[k], np.array([-30.0, 12.0, -400.0]) + k * step, axes, series, **changes)
    return pixels


@pytest.mark.parametrize("axes", [STRAIGHT, OBLIQUE, FEET_FIRST_PRONE], ids=["straight", "oblique", "feet-first prone"])
def test_a_series_lies_where_gdcm_puts_it(tmp_path, axes):
    pixels = write_series(tmp_path, axes)
    volume = read_volume(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    other = reader.Execute()
    for ijk in [(0, 0, 0), (4, 1, 3), (2, 3, 5)]:
        world = np.array(other.TransformIndexToPhysicalPoint(ijk))
        i, j, k = transform(volume.grid.ijk_from_world, torch.from_numpy(world)).tolist()
        assert [i, j, k] == pytest.approx([round(i), round(j), round(k)], abs=1e-3)
        assert volume.hu[round(k), round(j), round(i)] == other.GetPixel(ijk)
    assert torch.linalg.det(volume.grid.direction) == pytest.approx(1.0, abs=1e-6)
    assert torch.equal(volume.hu, torch.from_numpy(pixels - 1024.0).float())


def test_a_tilted_gantry_shears_the_lattice_and_every_voxel_keeps_its_place(tmp_path):
    tilted = rotation("x", 12).numpy()
    pixels = write_series(tmp_path, tilted, step=[0.0, 0.0, 2.0])
    volume = read_volume(tmp_path)
    assert tilt(volume.grid) == pytest.approx(12.0, abs=1e-4)
    there = transform(volume.grid.world_from_ijk, float64([3.0, 2.0, 4.0])).numpy()
    expected = np.array([-30, 12, -400]) + 4 * np.array([0, 0, 2.0]) + 3 * 0.7 * tilted[:, 0] + 2 * 0.8 * tilted[:, 1]
    np.testing.assert_allclose(there, expected, atol=1e-6)
    assert volume.hu[4, 2, 3] == pixels[4, 2, 3] - 1024
    with pytest.raises(GeometryError, match="sheared"):
        write_volume(tmp_path / "ct.nrrd", volume)


def test_a_missing_slice_is_named(tmp_path):
    write_series(tmp_path)
    (tmp_path / "1-1.2.3.dcm").unlink()
    with pytest.raises(GeometryError, match=r"1 slices are missing, the first after -396\.00 mm"):
        read_volume(tmp_path)


def test_a_slice_that_is_there_twice_is_refused(tmp_path):
    write_series(tmp_path)
    write_slice(tmp_path / "again.dcm", stored()[0], [-30.0, 12.0, -398.0])
    with pytest.raises(GeometryError, match="lie where another does"):
        read_volume(tmp_path)


def test_unequal_gaps_are_refused(tmp_path):
    write_series(tmp_path)
    write_slice(tmp_path / "z.dcm", stored()[0], [-30.0, 12.0, -387.4])
    with pytest.raises(GeometryError, match=r"some 0\.60 mm off"):
        read_volume(tmp_path)


def test_slices_off_the_line_are_refused(tmp_path):
    write_series(tmp_path)
    write_slice(tmp_path / "z.dcm", stored()[0], [-25.0, 12.0, -388.0])
    with pytest.raises(GeometryError, match="do not lie on one line"):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [{"PixelSpacing": ["0.9", "0.9"]}, {"ImageOrientationPatient": ["1", "0", "0", "0", "0", "-1"]}],
)
def test_slices_of_another_kind_are_refused(tmp_path, changes):
    write_series(tmp_path)
    write_slice(tmp_path / "z.dcm", stored()[0], [-30.0, 12.0, -388.0], **changes)
    with pytest.raises(GeometryError, match="give one series"):
        read_volume(tmp_path)


def test_slices_of_another_size_are_refused(tmp_path):
    write_series(tmp_path)
    write_slice(tmp_path / "z.dcm", stored()[0][:3], [-30.0, 12.0, -388.0])
    with pytest.raises(GeometryError, match="give one series"):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ImagePositionPatient": None}, "ImagePositionPatient"),
        ({"ImageOrientationPatient": ["1", "0", "0", "1", "0", "0"]}, "square to each other"),
        ({"PixelSpacing": ["0", "0"]}, "0.05 to 20"),
        ({"RescaleIntercept": "0"}, "subtract 1024"),
        ({"PixelData": b"\0\0"}, "cannot read"),
    ],
)
def test_a_broken_series_says_what_is_broken(tmp_path, changes, said):
    write_series(tmp_path, **changes)
    with pytest.raises((DataError, GeometryError), match=said):
        read_volume(tmp_path)


def test_localizers_and_other_files_are_left_out(tmp_path):
    write_series(tmp_path / "a" / "b")
    write_slice(tmp_path / "scout", stored()[0], [0, 0, 0], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_slice(tmp_path / "dose", stored()[0], [0, 0, 0], SOPClassUID="1.2.840.10008.5.1.4.1.1.7", Modality="OT")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "half.dcm").write_bytes(b"\0" * 128 + b"DICM\2\0")
    assert read_volume(tmp_path).grid.shape == SHAPE


def test_several_series_are_listed_and_one_can_be_picked(tmp_path):
    write_series(tmp_path / "a", SeriesDescription="bone")
    write_series(tmp_path / "b", series="1.2.9", RescaleIntercept="-1000")
    with pytest.raises(DataError, match=r"2 CT series: 1\.2\.3 \(bone, 6 images\).*series=1\.2"):
        read_volume(tmp_path)
    assert read_volume(tmp_path, series="1.2.9").hu.min() == stored().min() - 1000
    assert read_volume(tmp_path / "a").hu.min() == stored().min() - 1024
    with pytest.raises(DataError, match="no series 5"):
        read_volume(tmp_path, series="5")


def test_one_slice_stands_for_its_series(tmp_path):
    write_series(tmp_path)
    write_slice(tmp_path / "other.dcm", stored()[0], [0, 0, 0], series="1.2.9")
    assert read_volume(tmp_path / "0-1.2.3.dcm").grid.shape == SHAPE
    with pytest.raises(DataError, match="at least two"):
        read_volume(tmp_path / "other.dcm")


def test_a_folder_without_a_ct_says_what_it_holds(tmp_path):
    with pytest.raises(DataError, match="no DICOM file"):
        read_volume(tmp_path)
    write_series(tmp_path, SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality="MR")
    with pytest.raises(DataError, match="6 MR but no CT"):
        read_volume(tmp_path)
    with pytest.raises(DataError, match="is MR, not CT"):
        read_volume(tmp_path / "0-1.2.3.dcm")


def test_a_compression_that_only_gdcm_knows_is_read_all_the_same(tmp_path):
    """JPEG lossless, as many scanners export it; ITK writes it here, pydicom alone cannot read it."""
    pixels = write_series(tmp_path)
    for path in sorted(tmp_path.glob("*.dcm")):
        image = sitk.ReadImage(str(path))
        original = pydicom.dcmread(path)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.SetFileName(str(path))
        image = sitk.Cast(image, sitk.sitkInt16)
        for key in original:
            if key.VR not in ("OW", "SQ") and not key.tag.is_private and key.tag.group != 0x28:
                image.SetMetaData(f"{key.tag.group:04x}|{key.tag.elem:04x}", "\\".join(map(str, np.ravel(key.value))))
        writer.Execute(image)
    compressed = pydicom.dcmread(next(tmp_path.glob("*.dcm")))
    assert compressed.file_meta.TransferSyntaxUID.is_compressed
    assert torch.equal(read_volume(tmp_path).hu, torch.from_numpy(pixels - 1024.0).float())


def test_a_compression_no_one_knows_is_a_data_error(tmp_path):
    write_series(tmp_path)
    for path in tmp_path.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51 not a picture"])
        dataset["PixelData"].VR = "OB"
        dataset.save_as(path)
    with pytest.raises(DataError, match="compressed as JPEG 2000"):
        read_volume(tmp_path)


def test_an_enhanced_file_is_the_same_ct(tmp_path):
    pixels = write_series(tmp_path / "slices", OBLIQUE)
    dataset = pydicom.dcmread(tmp_path / "slices" / "0-1.2.3.dcm")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = ENHANCED_CT[0]
    dataset.NumberOfFrames = len(pixels)
    order = [3, 0, 5, 1, 4, 2]
    dataset.PixelData = pixels[order].astype("<i2").tobytes()
    shared, measures, turned, rescale = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, turned.ImageOrientationPatient = dataset.PixelSpacing, dataset.ImageOrientationPatient
    rescale.RescaleSlope, rescale.RescaleIntercept = "1", "-1024"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([turned])
    shared.PixelValueTransformationSequence = Sequence([rescale])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for k in order:
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = [f"{x:.9g}" for x in np.array([-30.0, 12.0, -400.0]) + 2 * k * OBLIQUE[:, 2]]
        frame.PlanePositionSequence = Sequence([place])
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    dataset.save_as(tmp_path / "enhanced.dcm")
    one, other = read_volume(tmp_path / "enhanced.dcm"), read_volume(tmp_path / "slices")
    assert torch.equal(one.hu, other.hu)
    assert one.grid.same_as(other.grid)
