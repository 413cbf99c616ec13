from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from skiagraph.errors import DataError
from skiagraph.io.files import read_json, stem_of, suffix_of, write_json, write_tensors, writing


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with writing(target) as part:
        part.write_text("half")
        assert not target.exists()
        assert part.parent == target.parent
        assert part.name.endswith("a.txt")
    assert target.read_text() == "half"
    assert list(target.parent.iterdir()) == [target]


def test_tensors_may_be_read_by_whoever_may_read_other_files(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"a": torch.arange(3.0)}, {"about": "numbers"})
    (tmp_path / "b.txt").touch()
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "b.txt").stat().st_mode
    assert torch.equal(load_file(tmp_path / "a.safetensors")["a"], torch.arange(3.0))


@pytest.mark.parametrize("blow", [KeyboardInterrupt, RuntimeError, DataError])
def test_what_stops_a_write_leaves_the_old_file_and_nothing_else(tmp_path, blow):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(blow), writing(target) as part:
        part.write_text("new")
        raise blow
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_a_data_error_that_leaves_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(DataError, match="cannot write"), writing(tmp_path / "a.bin") as part:
            part.write_bytes(bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_a_data_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"), writing(tmp_path / "file" / "a.txt") as part:
        part.write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="cannot write"), writing(tmp_path / "folder") as part:
        part.write_text("x")


def test_json_keeps_every_digit_and_knows_paths_and_tensors(tmp_path):
    write_json(tmp_path / "a.json", {"x": 0.1 + 0.2, "p": Path("b"), "t": torch.tensor([1.5, 2.5])})
    assert read_json(tmp_path / "a.json") == {"x": 0.1 + 0.2, "p": "b", "t": [1.5, 2.5]}


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_json_that_no_one_could_read_is_not_written(tmp_path, value):
    with pytest.raises(DataError, match="finite"):
        write_json(tmp_path / "a.json", {"x": value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["{", "[1]", "", '{"a": \udcff}', "[" * 100_000])
def test_bad_json_is_a_data_error(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=r"a\.json"):
        read_json(path)


def test_double_endings_count_as_one():
    assert suffix_of(Path("a.b.NII.GZ")) == ".nii.gz"
    assert stem_of(Path("a.b.nii.gz")) == "a.b"
    assert suffix_of(Path("x.seg.nrrd")) == ".seg.nrrd"
    assert stem_of(Path("plain")) == "plain"
