import json
from dataclasses import replace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from skiagraph.carm import CIOS_FUSION, GENERIC, view_angles
from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import View, float64
from skiagraph.io.dicom_xray import orientation_letters, read_dicom_record, read_view, write_xray_dicom
from skiagraph.io.pictures import read_xray
from skiagraph.io.records import Record
from skiagraph.volume import Landmarks

ISOCENTER = float64([12.0, -34.0, 560.0])
CARM = replace(GENERIC, panel_pixels=(48, 64), pixel_spacing=4.0)


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(48, 64, generator=torch.Generator().manual_seed(4))


def written(tmp_path, image, view=None, **options):
    path = tmp_path / "x.dcm"
    view = CARM.view(ISOCENTER, 30.0, -20.0) if view is None else view
    write_xray_dicom(path, image, view, **{"carm": CARM, "kvp": 70.0} | options)
    return path


def stripped(path, **changes):
    """The file as another maker would have written it: without our private block."""
    dataset = pydicom.dcmread(path)
    dataset.remove_private_tags()
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)
    return path


def far(one: View, other: View) -> float:
    parts = ("source", "origin", "u_step", "v_step")
    return max(float((getattr(one, part) - getattr(other, part)).abs().max()) for part in parts)


def test_pixels_come_back_from_us_and_from_itk(tmp_path, image):
    path = written(tmp_path, image)
    torch.testing.assert_close(read_xray(path).pixels, image, rtol=0, atol=0.51 / 65535)
    other = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
    np.testing.assert_array_equal(other, np.rint(image.double().numpy() * 65535))


def test_our_own_files_give_the_view_to_the_last_bit(tmp_path, image):
    view = CIOS_FUSION.with_pixels(64).view(ISOCENTER, 17.3, -41.9, 33.3).cropped(slice(3, 51), slice(0, 64))
    path = written(tmp_path, image, view)
    assert far(read_view(path), view) == 0
    assert far(read_xray(path).view, view) == 0


def test_the_private_block_holds_the_matrix_any_other_program_needs(tmp_path, image):
    dataset = pydicom.dcmread(written(tmp_path, image))
    block = dataset.private_block(0x0071, "SKIAGRAPH")
    view = CARM.view(ISOCENTER, 30.0, -20.0)
    matrix = torch.tensor(list(block[0x01].value), dtype=torch.float64).reshape(3, 4)
    torch.testing.assert_close(matrix, view.matrix(), rtol=0, atol=0)
    assert far(View.from_matrix(matrix, view.size, block[0x02].value[1]), view) < 1e-9
    assert block[0x03].value == "generic"


@pytest.mark.parametrize("angles", [(0, 0), (30, -20), (-120, 15), (90, 0), (180, 0), (5, 88), (-3, -89)])
@pytest.mark.parametrize("roll", [0, 90, 180, -90])
def test_the_usual_elements_give_the_view_to_their_precision(tmp_path, image, angles, roll):
    view = CARM.view(ISOCENTER, *angles, roll)
    path = stripped(written(tmp_path, image, view))
    assert far(read_view(path, ISOCENTER), view) < 1e-6


@pytest.mark.parametrize("angles", [(0, 0), (30, -20), (-100, 15)])
def test_a_mirrored_image_is_read_mirrored(tmp_path, image, angles):
    view = CARM.view(ISOCENTER, *angles)
    mirrored = View(view.source, view.origin + 63 * view.u_step, -view.u_step, view.v_step, view.size)
    assert far(read_view(stripped(written(tmp_path, image, mirrored)), ISOCENTER), mirrored) < 1e-6


def test_the_isocentre_is_the_worlds_origin_unless_given(tmp_path, image):
    path = stripped(written(tmp_path, image))
    assert far(read_view(path), CARM.view(float64([0.0, 0.0, 0.0]), 30.0, -20.0)) < 1e-6


def test_magnification_stands_in_for_a_missing_distance(tmp_path, image):
    path = stripped(written(tmp_path, image), DistanceSourceToPatient=None)
    assert far(read_view(path, ISOCENTER), CARM.view(ISOCENTER, 30.0, -20.0)) < 1e-6


def test_half_a_geometry_is_refused_by_name_and_none_is_none(tmp_path, image):
    path = stripped(written(tmp_path, image), PositionerPrimaryAngle=None, ImagerPixelSpacing=None)
    with pytest.raises(DataError, match=r"PositionerPrimaryAngle \(0018,1510\), ImagerPixelSpacing \(0018,1164\)"):
        read_view(path)
    path = stripped(path, PositionerSecondaryAngle=None, DistanceSourceToDetector=None, DistanceSourceToPatient=None)
    assert read_view(path) is None
    assert read_xray(path).view is None


def test_no_one_can_take_it_for_a_patients(tmp_path, image):
    dataset = pydicom.dcmread(written(tmp_path, image))
    assert "SYNTHETIC" in dataset.ImageType
    assert dataset.PatientName == "SYNTHETIC^SKIAGRAPH"
    assert "SYNTHETIC" in dataset.SeriesDescription
    assert "Synthetic" in dataset.DerivationDescription
    assert dataset.ContributingEquipmentSequence[0].Manufacturer == "Skiagraph"


def test_every_element_that_the_xa_image_needs_is_there(tmp_path, image):
    """Type 1 holds a value, type 2 may be empty: Patient, Study, Series, Equipment, Image, XA modules of PS3.3."""
    dataset = pydicom.dcmread(written(tmp_path, image))
    with_value = (
        "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID Modality ImageType SamplesPerPixel "
        "PhotometricInterpretation Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation PixelData "
        "PixelIntensityRelationship RadiationSetting LossyImageCompression PatientOrientation SpecificCharacterSet"
    )
    maybe_empty = (
        "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName StudyID "
        "AccessionNumber SeriesNumber InstanceNumber Manufacturer KVP XRayTubeCurrent ExposureTime Exposure "
        "PositionerMotion PositionerPrimaryAngle PositionerSecondaryAngle"
    )
    assert not [keyword for keyword in with_value.split() if dataset.get(keyword) in (None, "")]
    assert not [keyword for keyword in maybe_empty.split() if keyword not in dataset]
    assert dataset.SOPClassUID == dataset.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.12.1"
    assert dataset.ImageType[2] == "SINGLE PLANE"
    assert (dataset.KVP, dataset.DistanceSourceToPatient) == (70, 1000)
    assert max(len(str(x)) for x in dataset.ImagerPixelSpacing) <= 16


def test_the_written_angles_are_dicoms(tmp_path, image):
    dataset = pydicom.dcmread(written(tmp_path, image))
    assert float(dataset.PositionerPrimaryAngle) == pytest.approx(30)
    assert float(dataset.PositionerSecondaryAngle) == pytest.approx(-20)
    ap = pydicom.dcmread(written(tmp_path, image, CARM.view(ISOCENTER)))
    assert list(ap.PatientOrientation) == ["L", "F"]


def test_orientation_letters_name_the_strongest_first():
    assert orientation_letters(float64([0.9, 0.3, 0.0])) == "LP"
    assert orientation_letters(float64([0.0, -0.01, -1.0])) == "F"
    assert orientation_letters(float64([-0.3, -0.4, 0.8])) == "HAR"


def test_the_same_seed_gives_the_same_bytes(tmp_path, image):
    one = written(tmp_path, image, seed="a 3").read_bytes()
    assert one == written(tmp_path, image, seed="a 3").read_bytes()
    assert one != written(tmp_path, image, seed="a 4").read_bytes()
    uid = pydicom.dcmread(written(tmp_path, image)).SOPInstanceUID
    assert uid.is_valid
    assert uid != pydicom.dcmread(written(tmp_path, image)).SOPInstanceUID


def test_the_record_travels_in_the_file(tmp_path, image):
    view = CARM.view(ISOCENTER, 30.0, -20.0)
    record = Record.of(view, Landmarks.of({"a": ISOCENTER.tolist()}), "generic", seed=7)
    back = read_dicom_record(written(tmp_path, image, record=record))
    assert back is not None
    assert far(back.view, view) == 0
    assert back.extra["seed"] == 7
    assert read_dicom_record(written(tmp_path, image)) is None


@pytest.mark.parametrize(("options", "bone"), [({}, "bright"), ({"bone": "dark"}, "dark"), ({"linear": True}, "dark")])
def test_a_file_says_whether_bone_is_bright(tmp_path, image, options, bone):
    assert read_xray(written(tmp_path, image, **options)).bone == bone


@pytest.mark.parametrize(
    ("changes", "bone"),
    [
        ({}, None),
        ({"PixelIntensityRelationship": "LIN"}, "dark"),
        ({"PixelIntensityRelationship": "LIN", "PhotometricInterpretation": "MONOCHROME1"}, "bright"),
        ({"Modality": "DX", "PixelIntensityRelationshipSign": -1}, "bright"),
        ({"Modality": "DX", "PixelIntensityRelationshipSign": 1}, "dark"),
        ({"Modality": "DX", "PixelIntensityRelationshipSign": 1, "PhotometricInterpretation": "MONOCHROME1"}, "bright"),
        (
            {"Modality": "DX", "PixelIntensityRelationshipSign": 1, "RescaleSlope": "-1", "RescaleIntercept": "0"},
            "bright",
        ),
    ],
)
def test_other_makers_say_it_in_dicoms_words(tmp_path, image, changes, bone):
    assert read_xray(stripped(written(tmp_path, image), **changes)).bone == bone


def test_monochrome1_is_turned_over(tmp_path, image):
    plain = read_xray(written(tmp_path, image)).pixels
    turned = read_xray(stripped(written(tmp_path, image), PhotometricInterpretation="MONOCHROME1")).pixels
    torch.testing.assert_close(turned, 1 - plain)


def test_a_window_is_what_a_screen_shows(tmp_path, image):
    path = stripped(written(tmp_path, image), WindowCenter="20000", WindowWidth="10000")
    stored = np.rint(image.double().numpy() * 65535)
    expected = np.clip((stored - 19999.5) / 9999 + 0.5, 0, 1)
    np.testing.assert_allclose(read_xray(path).pixels, expected, atol=1e-6)


def test_a_voi_table_is_looked_up(tmp_path, image):
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [256, 0, 8])
    table.add_new("LUTData", "US", list(range(255, -1, -1)))
    path = stripped(written(tmp_path, image), WindowCenter=None, WindowWidth=None, VOILUTSequence=Sequence([table]))
    dataset = pydicom.dcmread(path)
    dataset.PixelData = (image * 255).round().to(torch.uint8).numpy().astype("<u2").tobytes()
    dataset.BitsStored, dataset.HighBit = 8, 7
    dataset.save_as(path)
    torch.testing.assert_close(read_xray(path).pixels, 1 - (image * 255).round() / 255)


def test_a_frame_is_chosen(tmp_path, image):
    path = stripped(written(tmp_path, image))
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames = 3
    one = np.frombuffer(dataset.PixelData, "<u2")
    dataset.PixelData = np.concatenate([one, one // 2, one // 4]).tobytes()
    dataset.save_as(path)
    found = read_xray(path, frame=1)
    torch.testing.assert_close(found.pixels, image / 2, rtol=0, atol=2e-5)
    assert found.frames == 3
    with pytest.raises(DataError, match="no frame 3; give 0 to 2"):
        read_xray(path, frame=3)


def test_pixel_spacing_is_believed_only_with_its_calibration(tmp_path, image):
    found = read_xray(written(tmp_path, image))
    assert (found.pixel_spacing, found.calibration) == (pytest.approx((4.0, 4.0)), "panel")
    path = stripped(written(tmp_path, image), ImagerPixelSpacing=None, PixelSpacing=["0.2", "0.3"])
    assert read_xray(path).pixel_spacing is None
    found = read_xray(stripped(path, PixelSpacingCalibrationType="FIDUCIAL"))
    assert (found.pixel_spacing, found.calibration) == ((0.2, 0.3), "FIDUCIAL")


@pytest.mark.parametrize("modality", ["CT", "MR", "US"])
def test_other_modalities_are_refused(tmp_path, image, modality):
    with pytest.raises(DataError, match=f"is {modality}; give an X-ray"):
        read_xray(stripped(written(tmp_path, image), Modality=modality))


def test_an_element_no_one_can_read_counts_as_missing(tmp_path, image):
    path = stripped(written(tmp_path, image))
    raw = path.read_bytes()
    element = b"\x18\x00\x10\x11DS"
    assert raw.count(element) == 1
    path.write_bytes(raw.replace(element, b"\x18\x00\x10\x11Ca"))
    assert read_xray(path).view is None
    with pytest.raises(DataError, match="no DistanceSourceToDetector"):
        read_view(path)


def test_image_and_view_belong_together(tmp_path, image):
    with pytest.raises(GeometryError, match="the view of this image"):
        written(tmp_path, image[:-1])
    with pytest.raises(DataError, match="NaN"):
        written(tmp_path, image * torch.nan)
    assert not list(tmp_path.iterdir())


def test_angles_of_the_view_read_are_those_written(tmp_path, image):
    path = stripped(written(tmp_path, image), PositionerPrimaryAngle="-45", PositionerSecondaryAngle="10")
    assert view_angles(read_view(path)) == pytest.approx((-45, 10))


def test_the_record_in_the_file_is_json(tmp_path, image):
    record = Record.of(CARM.view(ISOCENTER, 30.0, -20.0), Landmarks.of({}))
    block = pydicom.dcmread(written(tmp_path, image, record=record)).private_block(0x0071, "SKIAGRAPH")
    assert json.loads(block[0x04].value)["primary"] == pytest.approx(30.0)
