import pytest
import torch

from skiagraph.anatomy import STRUCTURE_NAMES
from skiagraph.bodies import PelvisShape, Person, build_around
from skiagraph.bodies.torso import read_torso
from skiagraph.errors import DataError


def test_a_label_volume_without_its_mask_is_refused(tmp_path):
    with pytest.raises(DataError, match="no body mask"):
        read_torso(tmp_path / "one_label.nii.gz")


def test_a_real_torso_is_carried_without_touching_bones_or_landmarks(data):
    path = data / "labels_pelvic_reference" / "Pelvic-Ref-005_label.nii.gz"
    if not path.is_file():
        pytest.skip(f"no label volume at {path}")
    shape = PelvisShape.draw(torch.Generator().manual_seed(1))
    plain, carried = build_around(shape, Person(), 6.0), build_around(shape, Person(), 6.0, read_torso(path))
    torch.testing.assert_close(plain.landmarks.points, carried.landmarks.points)
    for name in STRUCTURE_NAMES:
        assert carried.labels.mask(name).sum() == pytest.approx(plain.labels.mask(name).sum().item(), rel=0.02)
    hu, free = carried.volume.hu, carried.labels.index == 0
    assert 0.1 < ((hu > 20) & (hu < 90) & free).sum() / (hu > -500).sum() < 0.8
