import pytest
import torch

from skiagraph.carm import CIOS_FUSION, GENERIC
from skiagraph.errors import DataError
from skiagraph.geometry import float64
from skiagraph.io.poses import Pose, fingerprint, read_pose_records
from skiagraph.io.records import Record, write_record
from skiagraph.volume import Landmarks

CENTER = float64([0.0, 0.0, 0.0])
NOBODY = Landmarks.of({})


@pytest.fixture
def views():
    return [CIOS_FUSION.with_pixels(64).aimed_at(CENTER, angle) for angle in (0.0, 20.0, -35.0)]


def test_a_folder_of_records_is_its_views_in_order_by_whom_they_are_of(tmp_path, views):
    for number, (view, subject) in enumerate(zip(views, ("a", "b", "a"))):
        write_record(tmp_path / f"{number}.json", Record.of(view, NOBODY, "cios-fusion", subject=subject))
    (tmp_path / "run.json").write_text('{"task": "render"}', encoding="utf-8")
    given = read_pose_records(tmp_path)
    assert given.device.name == "cios-fusion" and given.device.panel_pixels == (64, 64)
    assert {subject: len(poses) for subject, poses in given.of.items()} == {"a": 2, "b": 1}
    assert torch.equal(given.of["a"][1].view.matrix(), views[2].matrix())


def test_one_record_is_one_pose_of_nobody_in_particular(tmp_path, views):
    write_record(tmp_path / "x.json", Record.of(views[0], NOBODY, "cios-fusion"))
    assert list(read_pose_records(tmp_path / "x.json").of) == [""]


def test_views_of_two_devices_are_refused(tmp_path, views):
    write_record(tmp_path / "a.json", Record.of(views[0], NOBODY, "cios-fusion"))
    write_record(tmp_path / "b.json", Record.of(GENERIC.with_pixels(64).aimed_at(CENTER), NOBODY, "generic"))
    with pytest.raises(DataError, match="several devices"):
        read_pose_records(tmp_path)
    (tmp_path / "a.json").unlink()
    write_record(tmp_path / "b.json", Record.of(views[0], NOBODY, "loop-x"))
    with pytest.raises(DataError, match="from source to panel"):
        read_pose_records(tmp_path)
    write_record(tmp_path / "b.json", Record.of(views[0], NOBODY, "mine"))
    with pytest.raises(DataError, match="of a device 'mine'"):
        read_pose_records(tmp_path)
    with pytest.raises(DataError, match="nothing at"):
        read_pose_records(tmp_path / "c.json")


def test_poses_are_the_same_only_if_views_and_motions_are(views):
    poses = tuple(Pose(view) for view in views)
    moved = (Pose(views[0], {"left_femur": torch.eye(4, dtype=torch.float64)}), *poses[1:])
    assert fingerprint(poses) == fingerprint(tuple(Pose(view) for view in views))
    assert len({fingerprint(poses), fingerprint(poses[::-1]), fingerprint(moved), fingerprint(poses[:2])}) == 4
