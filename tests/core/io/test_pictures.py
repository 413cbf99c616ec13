import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
import torch
from PIL import Image

from skiagraph.carm import GENERIC
from skiagraph.errors import DataError, GeometryError
from skiagraph.geometry import View, float64
from skiagraph.io.pictures import read_mask, read_xray, write_mask, write_picture, write_transmission
from skiagraph.io.records import Record, write_record
from skiagraph.volume import Landmarks


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(50, 70, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def view() -> View:
    carm = GENERIC.with_pixels(70).view(float64([5.0, -3.0, 40.0]), 25.0, 15.0, 5.0)
    return carm.resized((50, 70))


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.TIF"])
def test_a_picture_keeps_16_bits_and_is_never_transposed(tmp_path, image, name):
    write_picture(tmp_path / name, image)
    torch.testing.assert_close(read_xray(tmp_path / name).pixels, image, rtol=0, atol=0.51 / 65535)


def test_a_picture_is_clipped_to_black_and_white(tmp_path):
    write_picture(tmp_path / "a.png", torch.tensor([[-1.0, 0.5, 2.0]]))
    assert np.array(Image.open(tmp_path / "a.png")).tolist() == [[0, 32768, 65535]]


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii.gz", "a.nii", "a.mha", "a.tiff"])
def test_transmission_keeps_every_bit(tmp_path, image, view, name):
    write_transmission(tmp_path / name, image, view)
    assert torch.equal(read_xray(tmp_path / name).pixels, image)


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii.gz", "a.mha"])
def test_itk_finds_every_pixel_on_the_panel(tmp_path, image, view, name):
    write_transmission(tmp_path / name, image, view)
    placed = sitk.ReadImage(str(tmp_path / name))
    for u, v in [(0, 0), (69, 0), (11, 49)]:
        expected = view.on_panel(float64([u, v])[None])[0].tolist()
        assert placed.TransformIndexToPhysicalPoint((u, v, 0)) == pytest.approx(expected, abs=1e-3)
        assert placed.GetPixel((u, v, 0)) == image[v, u]
    assert np.linalg.det(np.reshape(placed.GetDirection(), (3, 3))) == pytest.approx(1.0, abs=1e-5)


def test_a_view_of_another_size_is_refused(tmp_path, image, view):
    with pytest.raises(GeometryError, match="give the view of this picture"):
        write_transmission(tmp_path / "a.nrrd", image[:, :-1], view)


def test_a_mask_is_255_where_it_is(tmp_path, image):
    write_mask(tmp_path / "m.png", image > 0.5)
    assert set(np.unique(np.array(Image.open(tmp_path / "m.png")))) == {0, 255}
    assert torch.equal(read_mask(tmp_path / "m.png"), image > 0.5)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "I;16"])
def test_every_mode_of_png_is_gray(tmp_path, mode):
    gray = np.where(np.add.outer(np.arange(8), np.arange(5)) % 3 == 0, 255, 0).astype(np.uint8)
    wide = Image.fromarray(gray.astype(np.uint16) * 257)
    (wide if mode == "I;16" else Image.fromarray(gray).convert(mode)).save(tmp_path / "a.png")
    torch.testing.assert_close(read_xray(tmp_path / "a.png").pixels, torch.from_numpy(gray / 255).float())


def test_a_jpeg_is_read_to_its_own_precision(tmp_path):
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    Image.fromarray(ramp).convert("RGB").save(tmp_path / "a.jpg", quality=95)
    assert (read_xray(tmp_path / "a.jpg").pixels - torch.from_numpy(ramp / 255)).abs().max() < 0.03


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiffs_keep_their_frames_and_white_may_be_zero(tmp_path, dtype):
    rng = np.random.default_rng(0)
    frames = (rng.random((3, 20, 30)) * (1 if dtype == np.float32 else np.iinfo(dtype).max)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", frames, photometric="minisblack")
    found = read_xray(tmp_path / "a.tif", frame=2)
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    np.testing.assert_allclose(found.pixels, frames[2] / top, rtol=1e-6)
    assert found.frames == 3
    with pytest.raises(DataError, match="no frame 3; give 0 to 2"):
        read_xray(tmp_path / "a.tif", frame=3)
    if dtype != np.float32:
        tifffile.imwrite(tmp_path / "w.tif", frames[0], photometric="miniswhite")
        np.testing.assert_allclose(read_xray(tmp_path / "w.tif").pixels, 1 - frames[0] / top, atol=1e-6)


def test_a_2d_image_and_one_of_a_single_slice_are_the_same(tmp_path):
    array = np.random.default_rng(0).integers(0, 4096, (20, 30)).astype(np.int16)
    flat, deep = sitk.GetImageFromArray(array), sitk.GetImageFromArray(array[None])
    flat.SetSpacing((0.2, 0.3))
    deep.SetSpacing((0.2, 0.3, 1.0))
    sitk.WriteImage(flat, str(tmp_path / "flat.nrrd"))
    sitk.WriteImage(deep, str(tmp_path / "deep.nii.gz"))
    for name in ("flat.nrrd", "deep.nii.gz"):
        found = read_xray(tmp_path / name)
        assert np.array_equal(found.pixels, array)
        assert found.pixel_spacing == pytest.approx((0.3, 0.2))
        assert found.calibration == "file"


def test_a_volume_is_not_a_picture(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(tmp_path / "a.nrrd"))
    with pytest.raises(DataError, match="not a volume"):
        read_xray(tmp_path / "a.nrrd")


def test_nan_and_colours_are_refused(tmp_path, image):
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 5), np.nan, np.float32))
    with pytest.raises(DataError, match="NaN"):
        read_xray(tmp_path / "a.tif")
    Image.fromarray(np.full((4, 5, 3), (255, 0, 30), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="colour"):
        read_xray(tmp_path / "a.png")
    with pytest.raises(DataError, match="NaN"):
        write_picture(tmp_path / "b.png", image * torch.nan)


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("L", (20, 30)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="decompression bomb"):
        read_xray(tmp_path / "a.png")


def test_kinds_that_are_not_pictures_are_refused(tmp_path, image):
    (tmp_path / "a.txt").write_text("hello")
    for path in (tmp_path / "a.txt", tmp_path / "no.png", tmp_path):
        with pytest.raises(DataError, match="give an X-ray"):
            read_xray(path)
    for write in (write_picture, write_transmission):
        with pytest.raises(DataError, match="ends in"):
            write(tmp_path / "a.gif", image)


def test_a_picture_knows_its_view_from_the_record_beside_it(tmp_path, image, view):
    write_picture(tmp_path / "a.png", image)
    assert read_xray(tmp_path / "a.png").view is None
    write_record(tmp_path / "a.json", Record.of(view, Landmarks.of({})))
    found = read_xray(tmp_path / "a.png").view
    assert found is not None
    assert torch.equal(found.origin, view.origin)
    write_picture(tmp_path / "a.png", image[:20])
    with pytest.raises(GeometryError, match="record beside it"):
        read_xray(tmp_path / "a.png")


@pytest.mark.parametrize(
    "folder",
    ["xray_pxr150", "xray_pxr150_annotated", "xray_fracatlas_hip", "xray_covid_lesions", "xray_ct_biplane_wrist"],
)
def test_real_xrays_are_read(data, folder):
    files = sorted(p for p in (data / folder).rglob("*") if p.suffix in (".png", ".jpg") and p.parent.name != "masks")
    assert files
    for path in files[:: max(1, len(files) // 4)]:
        found = read_xray(path)
        with Image.open(path) as picture:
            assert tuple(found.pixels.shape) == picture.size[::-1]
        assert 0 <= found.pixels.min() < found.pixels.max() <= 1
