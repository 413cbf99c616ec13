import numpy as np
import pytest
from PIL import Image

from skiagraph.errors import DataError, GeometryError
from skiagraph.io.datasets.qata import DATASET
from skiagraph.io.datasets.registry import recognised

PERSON = "sub-S09345_ses-E24234_run-1_vp-pa_dx"


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    home = tmp_path / "QaTa-COV19-v2"
    for split, names in (
        ("Train Set", ("covid_1", PERSON)),
        ("Test Set", ("covid_1",)),
    ):
        for name in names:
            mask = np.zeros((32, 32))
            mask[4:9, 10:20] = 255
            save(home / split / "Images" / f"{name}.png", rng.integers(0, 255, (32, 32)))
            save(home / split / "Ground-truths" / f"mask_{name}.png", mask)
    return tmp_path


def test_a_picture_has_the_mask_that_is_called_as_it(folder):
    assert recognised(folder) is DATASET
    shots = {shot.name: shot for shot in DATASET.find(folder / "QaTa-COV19-v2").radiographs()}
    assert set(shots) == {"Train Set/covid_1", f"Train Set/{PERSON}", "Test Set/covid_1"}
    shot = shots[f"Train Set/{PERSON}"]
    assert shot.subject == "sub-S09345" and shot.findings == ("Train Set",)
    assert shot.structures == ("lesion",) and int(shot.masks.sum()) == 50 and bool(shot.masks[0, 4:9, 10:20].all())


def test_version_one_has_the_two_folders_once(folder):
    train = folder / "QaTa-COV19-v2" / "Train Set"
    found = DATASET.find(train)
    assert found.pictures[0].name == "covid_1"
    assert next(iter(found.radiographs())).findings == ()


def test_what_stands_alone_is_said(folder):
    train = folder / "QaTa-COV19-v2" / "Train Set"
    (train / "Ground-truths" / "mask_covid_1.png").rename(train / "Ground-truths" / "mask_covid_9.png")
    assert DATASET.find(folder).wrong == (
        "1 pictures of Train Set have no mask, such as covid_1.png",
        "1 masks of Train Set have no picture, such as mask_covid_9.png",
    )
    for file in (train / "Ground-truths").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="kaggle"):
        DATASET.find(train)


def test_a_mask_of_another_size_is_refused(folder):
    train = folder / "QaTa-COV19-v2" / "Train Set"
    save(train / "Ground-truths" / "mask_covid_1.png", np.zeros((30, 32)))
    with pytest.raises(GeometryError, match="masks of its size"):
        next(iter(DATASET.find(train).radiographs()))
