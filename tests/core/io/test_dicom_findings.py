"""Findings as DICOM, read back by pydicom and highdicom, and judged by dciodvfy where it is installed."""

import shutil
import subprocess

import highdicom as hd
import numpy as np
import pydicom
import pytest
import torch
from pydicom.sr._concepts_dict import concepts
from pydicom.uid import generate_uid

from skiagraph.anatomy import (
    ANATOMY,
    DEVICE,
    LANDMARK_NAMES,
    LANDMARKS,
    LATERALITY,
    MANIPULATOR,
    STRUCTURE_NAMES,
    TERMS,
)
from skiagraph.carm import GENERIC
from skiagraph.errors import DataError
from skiagraph.geometry import float64
from skiagraph.io.dicom_findings import Algorithm, read_source, write_reading, write_report, write_segmentation
from skiagraph.io.dicom_xray import write_xray_dicom
from skiagraph.io.pictures import write_picture
from skiagraph.volume import Keypoints

DX = "1.2.840.10008.5.1.4.1.1.1.1"
WHO = Algorithm("hip_landmark_detector", "0.1.0")
SIZE = (90, 120)


@pytest.fixture(params=["as XA", "as DX with little said, dark bone"])
def xray(request, tmp_path, rng):
    path = tmp_path / "x.dcm"
    view = GENERIC.with_pixels(SIZE[1]).aimed_at(float64([0.0, 0.0, 0.0])).cropped(slice(0, SIZE[0]), slice(0, SIZE[1]))
    write_xray_dicom(path, torch.rand(*SIZE, generator=rng), view)
    if request.param != "as XA":
        dataset = pydicom.dcmread(path)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = DX
        dataset.Modality, dataset.PhotometricInterpretation = "DX", "MONOCHROME1"
        dataset.PatientName, dataset.PatientID = "Doe^Jane", "77"
        dataset.FrameOfReferenceUID = generate_uid()
        del dataset.PatientBirthDate, dataset.AccessionNumber, dataset.ReferringPhysicianName
        dataset.save_as(path)
    return path


@pytest.fixture
def keypoints(rng):
    uv = float64([SIZE[1] - 1, SIZE[0] - 1]) * torch.rand(14, 2, generator=rng, dtype=torch.float64)
    return Keypoints(LANDMARK_NAMES, uv, torch.arange(14) % 5 != 4)


@pytest.fixture
def masks():
    masks = torch.zeros(6, *SIZE, dtype=torch.bool)
    masks[0, 10:50, 20:90] = masks[1, 30:60, 80:119] = masks[4, 40:89, :60] = True
    return masks


def test_masks_come_back_pixel_for_pixel_overlaps_and_all(xray, masks, tmp_path):
    source = read_source(xray)
    write_segmentation(tmp_path / "seg.dcm", source, masks, STRUCTURE_NAMES, WHO)
    found = hd.seg.segread(tmp_path / "seg.dcm")
    pixels = found.get_pixels_by_source_instance([source.SOPInstanceUID])
    assert np.array_equal(np.moveaxis(pixels[0], -1, 0), masks.numpy())
    assert bool((masks[0] & masks[1]).any())
    assert [found.get_segment_description(n).tracking_id for n in range(1, 7)] == list(STRUCTURE_NAMES)
    assert (
        found.get_segment_description(1).algorithm_identification[0].AlgorithmName == "Skiagraph hip_landmark_detector"
    )


def test_points_come_back_to_the_same_place_with_their_confidence(xray, keypoints, tmp_path):
    confidence = torch.linspace(0.2, 0.9, 14)
    write_report(tmp_path / "sr.dcm", read_source(xray), keypoints, confidence, WHO)
    groups = hd.sr.srread(tmp_path / "sr.dcm").content.get_planar_roi_measurement_groups()
    seen = [n for n in range(14) if keypoints.visible[n]]
    assert [group.tracking_identifier for group in groups] == [LANDMARK_NAMES[n] for n in seen]
    for group, n in zip(groups, seen):
        # DICOM's (0.5, 0.5) is the middle of the first pixel (PS3.3 C.18.6.1.1); ours is (0, 0).
        np.testing.assert_allclose(group.roi.value[0] - 0.5, keypoints.uv[n].numpy(), atol=1e-4)
        assert group.get_measurements()[0].value == pytest.approx(100 * float(confidence[n]), abs=0.01)
        assert group.finding_type.value == LANDMARKS[n].alias
        assert group.finding_sites[0].value.value == LANDMARKS[n].site.value


def test_a_readers_points_come_back_with_his_name_and_no_confidence(xray, keypoints, tmp_path):
    write_reading(tmp_path / "sr.dcm", read_source(xray), keypoints, "anna.b@example.org")
    report = hd.sr.srread(tmp_path / "sr.dcm").content
    groups = report.get_planar_roi_measurement_groups()
    seen = [n for n in range(14) if keypoints.visible[n]]
    for group, n in zip(groups, seen, strict=True):
        np.testing.assert_allclose(group.roi.value[0] - 0.5, keypoints.uv[n].numpy(), atol=1e-4)
        assert not group.get_measurements()
    assert "anna.b@example.org^" in pydicom.dcmread(tmp_path / "sr.dcm").to_json()


def test_findings_belong_to_the_patient_and_the_study_of_their_image(xray, keypoints, masks, tmp_path):
    source = read_source(xray)
    write_segmentation(tmp_path / "seg.dcm", source, masks, STRUCTURE_NAMES, WHO)
    write_report(tmp_path / "sr.dcm", source, keypoints, torch.ones(14), WHO)
    image = pydicom.dcmread(xray)
    for name in ("seg.dcm", "sr.dcm"):
        made = pydicom.dcmread(tmp_path / name)
        for word in ("PatientID", "PatientName", "StudyInstanceUID"):
            assert made[word].value == image[word].value
        assert made.SeriesInstanceUID != image.SeriesInstanceUID
        assert image.SOPInstanceUID in made.to_json()


def test_a_picture_is_no_source_and_says_what_to_do(tmp_path):
    write_picture(tmp_path / "x.png", torch.rand(20, 20))
    with pytest.raises(DataError, match=r"give the X-ray as DICOM.*img2dcm"):
        read_source(tmp_path / "x.png")


def test_films_of_many_frames_masks_of_another_size_and_nothing_found_are_refused(xray, masks, keypoints, tmp_path):
    source = read_source(xray)
    with pytest.raises(DataError, match="90 x 120"):
        write_segmentation(tmp_path / "seg.dcm", source, masks[:, :50], STRUCTURE_NAMES, WHO)
    nothing = Keypoints(keypoints.names, keypoints.uv, torch.zeros(14, dtype=torch.bool))
    with pytest.raises(DataError, match="nothing to report"):
        write_report(tmp_path / "sr.dcm", source, nothing, torch.ones(14), WHO)
    dataset = pydicom.dcmread(xray)
    dataset.NumberOfFrames = 3
    dataset.save_as(xray)
    with pytest.raises(DataError, match="3 frames"):
        read_source(xray)
    assert not list(tmp_path.glob("s*.dcm"))


def test_every_code_is_among_those_dicom_has_of_snomed():
    known = {value for meanings in concepts["SCT"].values() for value in meanings}
    used = {code for term in TERMS.values() for code in (term.site, term.category)} | {*LATERALITY.values()}
    assert {ANATOMY, DEVICE} <= used and {code.value for code in used} <= known


def test_a_tool_is_a_physical_object_without_a_site(xray, masks, tmp_path):
    source, (base, tip, body) = read_source(xray), MANIPULATOR
    write_segmentation(tmp_path / "seg.dcm", source, masks[:1], [body.name], WHO)
    segment = hd.seg.segread(tmp_path / "seg.dcm").get_segment_description(1)
    assert segment.segmented_property_category.value == DEVICE.value and not segment.anatomic_regions
    points = Keypoints((base.name, tip.name), float64([[3.0, 4.0], [50.0, 20.0]]), torch.tensor([True, True]))
    write_report(tmp_path / "sr.dcm", source, points, torch.tensor([0.5, 0.9]), WHO)
    groups = hd.sr.srread(tmp_path / "sr.dcm").content.get_planar_roi_measurement_groups()
    assert [group.finding_type.meaning for group in groups] == [base.title, tip.title]
    assert all(group.finding_category.value == DEVICE.value and not group.finding_sites for group in groups)


def test_dciodvfy_finds_no_error(xray, keypoints, masks, tmp_path):
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy; install dicom3tools")
    source = read_source(xray)
    write_segmentation(tmp_path / "seg.dcm", source, masks, STRUCTURE_NAMES, WHO)
    write_report(tmp_path / "sr.dcm", source, keypoints, torch.ones(14), WHO)
    write_reading(tmp_path / "read.dcm", source, keypoints, "anna")
    for name in ("seg.dcm", "sr.dcm", "read.dcm"):
        said = subprocess.run(["dciodvfy", str(tmp_path / name)], capture_output=True, text=True, check=False)
        assert not [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
