import gzip
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from skiagraph.errors import DataError, GeometryError, SkiagraphError
from skiagraph.geometry import Grid, float64, transform
from skiagraph.io.volumes import onto, read_labels, read_volume, write_labels, write_volume
from skiagraph.volume import Labels, Volume

KINDS = ["ct.nii", "ct.nii.gz", "ct.nrrd", "ct.mha"]


@pytest.mark.parametrize("name", KINDS)
def test_an_oblique_ct_comes_back_where_it_was(tmp_path, volume, name):
    write_volume(tmp_path / name, volume)
    back = read_volume(tmp_path / name)
    assert torch.equal(back.hu, volume.hu)
    assert back.grid.same_as(volume.grid, 1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_fractions_are_kept(tmp_path, volume, name):
    write_volume(tmp_path / name, Volume(volume.hu + 0.25, volume.grid))
    assert torch.equal(read_volume(tmp_path / name).hu, volume.hu + 0.25)


@pytest.mark.parametrize("name", ["ct.nii.gz", "ct.nii"])
def test_nibabel_finds_the_same_number_at_the_same_place_in_ras(tmp_path, volume, name):
    nibabel = pytest.importorskip("nibabel")
    write_volume(tmp_path / name, volume)
    other = nibabel.load(tmp_path / name)
    i, j, k = 4, 2, 3
    ras = other.affine @ [i, j, k, 1]
    lps = transform(volume.grid.world_from_ijk, float64([i, j, k]))
    np.testing.assert_allclose(ras[:3] * [-1, -1, 1], lps.numpy(), atol=1e-4)
    assert np.asarray(other.dataobj)[i, j, k] == volume.hu[k, j, i]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_file_stored_mirrored_is_the_same_body(tmp_path, volume, axis):
    """NIfTI is often stored from right to left: a left-handed lattice is a lattice like any other."""
    mirrored = volume.grid.world_from_ijk.clone()
    last = volume.grid.shape[2 - axis] - 1
    mirrored[:3, 3] += last * mirrored[:3, axis]
    mirrored[:3, axis] *= -1
    twin = Volume(volume.hu.flip(2 - axis), Grid(volume.grid.shape, mirrored))
    write_volume(tmp_path / "twin.nii.gz", twin)
    back = read_volume(tmp_path / "twin.nii.gz")
    point = transform(volume.grid.world_from_ijk, float64([4.0, 2.0, 3.0]))
    i, j, k = transform(back.grid.ijk_from_world, point).round().long().tolist()
    assert back.hu[k, j, i] == volume.hu[3, 2, 4]
    assert float(torch.linalg.det(back.grid.direction)) == pytest.approx(-1, abs=1e-4)


def test_a_sheared_lattice_is_not_written_as_a_straight_one(tmp_path, volume):
    sheared = volume.grid.world_from_ijk.clone()
    sheared[:3, 2] += 0.5 * sheared[:3, 1]
    with pytest.raises(GeometryError, match="sheared"):
        write_volume(tmp_path / "ct.nii.gz", Volume(volume.hu, Grid(volume.grid.shape, sheared)))
    assert not list(tmp_path.iterdir())


def test_real_cts_hold_air_and_bone(data):
    folder = data / "ct_sts_hip_patches"
    for path in [*sorted(folder.glob("*.nii.gz"))[:6], data / "ct_pelvis_totalseg_example" / "ct.nii.gz"]:
        volume = read_volume(path)
        assert volume.hu.min() < -500
        assert volume.hu.max() > 500


def _write(path, array, spacing=(1, 1, 1), direction=None):
    image = sitk.GetImageFromArray(array, isVector=False)
    image.SetSpacing([*map(float, spacing), 1.0][: image.GetDimension()])
    if direction is not None:
        image.SetDirection(np.ravel(direction).tolist())
    sitk.WriteImage(image, str(path))
    return path


def _ct(*shape) -> np.ndarray:
    return np.linspace(-1000, 1000, int(np.prod(shape)), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (_ct(4, 5), "3D"),
        (_ct(1, 4, 5), "3D"),
        (_ct(3, 4, 5, 6), "several volumes"),
        (_ct(4, 5, 6) + 1500, "subtract 1024"),
        (_ct(4, 5, 6) / 20 + 60, "picture or labels"),
        (_ct(4, 5, 6) * 0 - 1000, "nothing but air"),
        (_ct(4, 5, 6) * 1e9, "that large"),
    ],
)
def test_what_cannot_be_a_ct_is_refused_with_the_reason(tmp_path, array, said):
    with pytest.raises(DataError, match=said):
        read_volume(_write(tmp_path / "a.nii", array))


def test_a_4d_file_of_one_time_is_a_ct(tmp_path):
    for name in ("a.nii.gz", "a.mha"):
        assert read_volume(_write(tmp_path / name, _ct(1, 4, 5, 6))).grid.shape == (4, 5, 6)


def test_labels_are_not_taken_for_a_ct(tmp_path):
    with pytest.raises(DataError, match="8 bits"):
        read_volume(_write(tmp_path / "a.nii", np.ones((4, 5, 6), np.uint8)))


def test_several_channels_are_refused(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.int16), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    with pytest.raises(DataError, match="3 numbers a voxel"):
        read_volume(tmp_path / "a.nrrd")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
def test_nan_is_seen_although_itk_hides_it(tmp_path, name, bad):
    array = _ct(4, 5, 6)
    array[2, 2, 2] = bad
    with pytest.raises(DataError, match="NaN or infinity"):
        read_volume(_write(tmp_path / name, array))


@pytest.mark.parametrize("spacing", [(0.01, 1, 1), (1, 1, 25), (1000, 1000, 1000)])
def test_absurd_voxels_are_refused(tmp_path, spacing):
    with pytest.raises(GeometryError, match=r"0\.05 to 20"):
        read_volume(_write(tmp_path / "a.nrrd", _ct(4, 5, 6), spacing))


def test_axes_that_are_not_square_are_refused(tmp_path):
    sheared = [[1, 0.2, 0], [0, 0.98, 0], [0, 0, 1]]
    for name in ("a.mha", "a.nrrd"):
        with pytest.raises(SkiagraphError):
            read_volume(_write(tmp_path / name, _ct(4, 5, 6), direction=sheared))


def _patched(path, offset, values):
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(values)] = values
    path.write_bytes(raw)
    return path


def test_a_nifti_that_does_not_say_how_it_lies_is_refused(tmp_path):
    path = _patched(_write(tmp_path / "a.nii", _ct(4, 5, 6)), 252, bytes(4))
    with pytest.raises(GeometryError, match="does not say how its voxels lie"):
        read_volume(path)


def test_a_nifti_that_says_two_places_is_refused(tmp_path):
    path = _patched(_write(tmp_path / "a.nii", _ct(4, 5, 6)), 268, np.float32(40.0).tobytes())
    with pytest.raises(GeometryError, match="40 mm apart"):
        read_volume(path)


def test_a_nifti_with_a_sheared_sform_is_refused(tmp_path):
    path = _patched(_write(tmp_path / "a.nii", _ct(4, 5, 6)), 284, np.float32(0.3).tobytes())
    with pytest.raises(GeometryError, match="square"):
        read_volume(path)


def test_an_nrrd_without_a_space_is_refused(tmp_path):
    path = _write(tmp_path / "a.nrrd", _ct(4, 5, 6))
    lines = path.read_bytes().split(b"\n")
    kept = [line for line in lines if not line.startswith((b"space", b"kinds"))]
    path.write_bytes(b"\n".join(kept))
    with pytest.raises(GeometryError, match="NRRD space"):
        read_volume(path)


@pytest.mark.parametrize("reader", [read_volume, read_labels])
def test_what_is_not_there_is_a_data_error(tmp_path, reader):
    (tmp_path / "empty.nii").touch()
    (tmp_path / "a.txt").write_text("hello")
    for name in ("no.nii.gz", "empty.nii", "a.txt", ""):
        with pytest.raises(DataError) as error:
            reader(tmp_path / name)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["seg.nii.gz", "seg.nrrd", "seg.mha"])
def test_labels_come_back_with_their_names(tmp_path, oblique, name):
    index = torch.zeros(oblique.shape, dtype=torch.int16)
    index[1, 2, 3], index[2, 2, 3] = 1, 300
    write_labels(tmp_path / name, Labels(index, oblique, {1: "left_hemipelvis", 300: "k_wire"}))
    back = read_labels(tmp_path / name)
    assert torch.equal(back.index.long(), index.long())
    assert back.grid.same_as(oblique)
    assert dict(back.names) == {1: "left_hemipelvis", 300: "k_wire"}


def _seg(path, *numbers):
    array = np.zeros((4, 5, 6), np.uint8)
    array.flat[1 : 1 + len(numbers)] = numbers
    return _write(path, array)


@pytest.mark.parametrize(
    "content",
    [{"1": "FH-l", "2": "hip_right"}, {"FH-l": 1, "hip_right": 2}, {"names": {"1": "FH-l", "2": "Right Hemipelvis"}}],
)
@pytest.mark.parametrize("beside", ["seg.json", "seg_names.json"])
def test_names_beside_labels_are_read_in_every_layout(tmp_path, content, beside):
    path = _seg(tmp_path / "seg.nii.gz", 1, 2, 9)
    (tmp_path / beside).write_text(json.dumps(content))
    assert dict(read_labels(path).names) == {1: "left_femoral_head", 2: "right_hemipelvis", 9: "label_9"}


TOTAL = {
    5: "liver",
    25: "sacrum",
    26: "vertebrae_S1",
    27: "vertebrae_L5",
    28: "vertebrae_L4",
    75: "femur_left",
    76: "femur_right",
    77: "hip_left",
    78: "hip_right",
}
OURS = {
    5: "liver",
    25: "upper_sacrum",
    27: "vertebrae",
    75: "left_femur",
    76: "right_femur",
    77: "left_hemipelvis",
    78: "right_hemipelvis",
}


def test_totalsegmentators_names_become_ours_and_its_parts_are_joined(tmp_path):
    path = _seg(tmp_path / "seg.nii.gz", *TOTAL)
    whole = read_labels(path).index
    (tmp_path / "seg_names.json").write_text(json.dumps({str(n): name for n, name in TOTAL.items()}))
    labels = read_labels(path)
    assert dict(labels.names) == OURS
    assert torch.equal(labels.mask("vertebrae"), (whole == 27) | (whole == 28))
    assert torch.equal(labels.mask("upper_sacrum"), (whole == 25) | (whole == 26))
    assert torch.equal(labels.mask("left_hemipelvis"), whole == 77)


def test_the_table_of_labels_in_a_nifti_file_names_them(tmp_path):
    """As TotalSegmentator writes it with --ml: an extension behind the header."""
    plain = gzip.decompress(_seg(tmp_path / "a.nii.gz", *TOTAL).read_bytes())
    rows = "".join(f'<Label Key="{n}" Red="1" Alpha="1"><![CDATA[{name}]]></Label>\n' for n, name in TOTAL.items())
    text = f"<CaretExtension><VolumeInformation><LabelTable>{rows}</LabelTable></VolumeInformation></CaretExtension>"
    extension = text.encode().ljust(-(-(len(text) + 8) // 16) * 16 - 8, b"\0")
    head = bytearray(plain[:352])
    head[108:112] = struct.pack("<f", 352 + 8 + len(extension))
    head[348:352] = bytes([1, 0, 0, 0])
    packed = bytes(head) + struct.pack("<2i", 8 + len(extension), 0) + extension + plain[352:]
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(packed))
    assert dict(read_labels(tmp_path / "b.nii.gz").names) == OURS


def test_a_folder_of_masks_is_labels(tmp_path):
    for name, at in (("hip_left", 1), ("hip_right", 2), ("vertebrae_L5", 3), ("vertebrae_L4", 4), ("liver", 5)):
        array = np.zeros((4, 5, 6), np.uint8)
        array.flat[at] = 1
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"{name}.nii.gz"))
    labels = read_labels(tmp_path)
    assert dict(labels.names) == {1: "left_hemipelvis", 2: "right_hemipelvis", 3: "vertebrae"}
    assert labels.index.flatten()[:6].tolist() == [0, 1, 2, 3, 3, 0]
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 7), np.uint8)), str(tmp_path / "sacrum.nii.gz"))
    with pytest.raises(GeometryError, match="sacrum"):
        read_labels(tmp_path)


def test_a_slicer_segmentation_names_its_segments(tmp_path):
    array = np.zeros((4, 5, 6), np.uint8)
    array.flat[1], array.flat[2] = 1, 3
    image = sitk.GetImageFromArray(array, isVector=False)
    for number, (value, name) in enumerate([("1", "Left femur"), ("3", "Tumour")]):
        image.SetMetaData(f"Segment{number}_LabelValue", value)
        image.SetMetaData(f"Segment{number}_Name", name)
    sitk.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
    assert dict(read_labels(tmp_path / "a.seg.nrrd").names) == {1: "left_femur", 3: "Tumour"}


def test_one_to_six_are_the_hip_tasks_and_a_lone_one_is_not(tmp_path):
    assert read_labels(_seg(tmp_path / "a.nii", 1, 2, 6)).names[6] == "right_femur"
    assert dict(read_labels(_seg(tmp_path / "b.nii", 1)).names) == {1: "label_1"}
    assert dict(read_labels(_seg(tmp_path / "c.nii", 1, 7)).names) == {1: "label_1", 7: "label_7"}


def test_two_labels_of_one_name_are_refused(tmp_path):
    path = _seg(tmp_path / "seg.nii.gz", 1, 2)
    (tmp_path / "seg.json").write_text('{"1": "sacrum", "2": "upper_sacrum"}')
    with pytest.raises(DataError, match="two labels are called upper_sacrum"):
        read_labels(path)


def test_labels_are_whole_numbers_from_zero(tmp_path):
    with pytest.raises(DataError, match="fractions"):
        read_labels(_write(tmp_path / "a.nii", _ct(4, 5, 6) / 3))
    with pytest.raises(DataError, match="is it a CT"):
        read_labels(_write(tmp_path / "b.nii", _ct(4, 5, 6).astype(np.int16)))


def test_real_labels_carry_the_names_beside_them(data):
    labels = read_labels(data / "ct_chest" / "LIDC-IDRI-0001_seg.nii.gz")
    assert len(labels.names) == 117 - 24  # 24 vertebrae are one structure, and S1 is of the sacrum
    assert "vertebrae" in labels.names.values()
    labels.check_on(read_volume(data / "ct_chest" / "LIDC-IDRI-0001.nii.gz"))


def test_labels_cropped_by_slicer_go_back_onto_the_ct(tmp_path, oblique):
    rng = torch.Generator().manual_seed(5)
    index = torch.zeros(oblique.shape, dtype=torch.uint8)
    index[1:4, 2:5, 1:6] = torch.randint(0, 3, (3, 3, 5), generator=rng, dtype=torch.uint8)
    whole = Labels(index, oblique, {1: "left_femur", 2: "right_femur"})
    corner = oblique.world_from_ijk.clone()
    corner[:3, 3] = transform(oblique.world_from_ijk, float64([1.0, 2.0, 1.0]))
    write_labels(tmp_path / "a.seg.nrrd", Labels(index[1:4, 2:5, 1:6], Grid((3, 3, 5), corner), whole.names))
    cropped = read_labels(tmp_path / "a.seg.nrrd")
    assert torch.equal(onto(cropped, oblique).index, index)
    assert torch.equal(onto(whole, cropped.grid).index, cropped.index)
    away = torch.eye(4, dtype=torch.float64)
    away[0, 3] = 500.0
    with pytest.raises(GeometryError, match="beside the CT"):
        onto(whole, oblique.moved(away))


def test_a_disk_that_fills_up_leaves_no_half_ct(tmp_path, volume):
    resource = pytest.importorskip("resource")
    large = replace(volume, hu=torch.randn(40, 60, 70) * 300, grid=Grid.of((40, 60, 70), (1, 1, 1)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for name in KINDS:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            with pytest.raises(DataError):
                write_volume(tmp_path / name, large)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not list(tmp_path.iterdir())
