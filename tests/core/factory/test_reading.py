"""A set is read back whole by us, by plain WebDataset and by pycocotools."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import webdataset
from pycocotools import mask as rle
from pycocotools.coco import COCO

from skiagraph.cli import main
from skiagraph.errors import DataError
from skiagraph.experiments.presets import HIP
from skiagraph.factory.card import finish
from skiagraph.factory.export import refuse_full, run_lengths, to_coco, to_monailabel
from skiagraph.factory.making import begin, make_subject
from skiagraph.factory.order import Order
from skiagraph.factory.overview import overview
from skiagraph.factory.reading import SampleSet, read
from skiagraph.factory.recipe import Technique
from skiagraph.factory.subjects import stored
from skiagraph.io.markups import read_keypoints
from skiagraph.io.pictures import read_xray
from skiagraph.tasks.task import silent

# pycocotools still calls numpy's old names; WebDataset leaves it to the collector to close what it opened itself.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:pycocotools", "ignore::DeprecationWarning:pycocotools._mask"
)


@pytest.fixture(scope="module")
def samples(tmp_path_factory, bodies) -> SampleSet:
    folder = tmp_path_factory.mktemp("set")
    order = Order(replace(HIP, technique=Technique("naive")), tuple(stored(bodies)), 11, 48, 2, (0.34, 0.0), 4)
    begin(order, folder)
    for subject in range(len(order.subjects)):
        make_subject(order, subject, folder)
    finish(order, folder)
    return SampleSet(folder)


def test_every_sample_is_read_once_and_in_order(samples):
    assert [taken.number for taken in samples.samples()] == list(range(11))
    assert samples.count("train") + samples.count("val") == 11 and samples.count("val") > 0
    per_shard = [taken.number for shard in samples.shards() for taken in read(shard)]
    assert per_shard == list(range(11))


def test_shuffled_epochs_hold_the_same_samples_in_another_order(samples):
    stream = samples.stream("train", shuffle=3)
    first, second = ([taken.number for taken in stream] for _ in range(2))
    again = [taken.number for taken in samples.stream("train", shuffle=3)]
    assert sorted(first) == sorted(second) and len(set(first)) == samples.count("train")
    assert first != second and first == again


def test_workers_share_the_samples(samples):
    loader = torch.utils.data.DataLoader(samples.stream(), batch_size=None, num_workers=2)
    assert sorted(taken.number for taken in loader) == list(range(11))


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_plain_webdataset_opens_a_set(samples):
    urls = [str(path) for path in samples.shards()]
    content = list(webdataset.WebDataset(urls, shardshuffle=False).decode("l"))
    assert len(content) == 11
    first = next(samples.samples())
    assert content[0]["__key__"] == "00000000" and content[0]["masks.png"].shape == (48, 48)
    assert content[0]["json"]["landmarks"][0]["uv"] == first.record.keypoints.uv[0].tolist()


def test_pycocotools_finds_the_same_points_and_masks(samples, tmp_path):
    to_coco(samples, tmp_path, silent)
    coco = COCO(tmp_path / "annotations_train.json")
    names = coco.loadCats([1])[0]["keypoints"]
    assert tuple(names) == samples.landmarks
    for taken in samples.samples("train"):
        image = coco.loadImgs([taken.number])[0]
        assert read_xray(tmp_path / "images" / image["file_name"]).pixels.shape == (48, 48)
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[taken.number])):
            category = coco.loadCats([annotation["category_id"]])[0]["name"]
            if category == "landmarks":
                found = torch.tensor(annotation["keypoints"], dtype=torch.float64).reshape(-1, 3)
                seen = taken.sample.keypoints.visible
                assert torch.allclose(found[seen, :2], taken.sample.keypoints.uv[seen] + 0.5)
                assert (found[:, 2] == 2 * seen).all() and annotation["num_keypoints"] == int(seen.sum())
            else:
                mask = coco.annToMask(annotation).astype(bool)
                ours = taken.sample.masks[taken.sample.structures.index(category)].numpy()
                assert (mask == ours).all() and annotation["area"] == ours.sum()
                assert annotation["bbox"] == rle.toBbox(coco.annToRLE(annotation)).tolist()


def test_run_lengths_begin_with_what_is_not_there():
    mask = torch.tensor([[True, False], [True, True]])
    assert run_lengths(mask) == [0, 2, 1, 1]
    assert run_lengths(~mask) == [2, 1, 1]
    assert run_lengths(torch.zeros(2, 3, dtype=torch.bool)) == [6]
    assert (rle.decode(rle.frPyObjects({"counts": run_lengths(mask), "size": [2, 2]}, 2, 2)) == mask.numpy()).all()


def test_a_monai_label_folder_has_pictures_and_final_labels(samples, tmp_path):
    files = to_monailabel(samples, tmp_path, silent)
    assert len(files) == 11
    for taken, file in zip(samples.samples(), files):
        view = read_xray(file).view
        assert view is not None and torch.allclose(view.matrix(), taken.sample.view.matrix())
        points = read_keypoints(tmp_path / "labels" / "final" / f"{file.stem}.json")
        seen = [name for name, shown in zip(taken.sample.keypoints.names, taken.sample.keypoints.visible) if shown]
        assert set(seen) <= set(points.names)


def test_an_overview_counts_what_the_records_say(samples):
    found = overview(samples, silent)
    visible = sum(int(taken.sample.keypoints.visible.sum()) for taken in samples.samples())
    assert int(found.visible.sum()) == visible == len(found.places)
    assert (found.known == 11).all() and not found.twins
    assert np.isclose(found.angles[0].numpy(), [next(samples.samples()).record.primary] * 2)[0]


def test_inspect_and_export_from_the_command_line(samples, tmp_path, capsys):
    main(["inspect", str(samples.folder), "--output", str(tmp_path / "page.html"), "--pictures", "4"])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "11 samples" in page and (tmp_path / "page.png").is_file()
    main(["export", str(samples.folder), "--output", str(tmp_path / "coco")])
    assert json.loads((tmp_path / "coco" / "annotations_val.json").read_text(encoding="utf-8"))["images"]
    with pytest.raises(SystemExit, match="2"):
        main(["export", str(samples.folder), "--output", str(tmp_path / "coco")])
    assert "not empty" in capsys.readouterr().err


def test_what_is_missing_of_a_set_is_named(samples, tmp_path):
    with pytest.raises(DataError, match=r"no dataset\.json"):
        SampleSet(tmp_path)
    with pytest.raises(DataError, match="no split"):
        samples.count("training")
    refuse_full(tmp_path)
