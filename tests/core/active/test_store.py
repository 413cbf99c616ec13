import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from annotated import FRAME, points

from skiagraph.active.store import LabelStore, Missing, Taken
from skiagraph.errors import DataError
from skiagraph.io.pictures import write_picture

WRITER = """
import sys
from pathlib import Path
from skiagraph.active.labels import Frame, points_from
from skiagraph.active.store import LabelStore
store, frame = LabelStore(Path(sys.argv[1])), Frame((40, 60))
label = points_from('{"left_femoral_head": [4, 5]}', frame)
while True:
    print(store.save("one", label, frame, sys.argv[2]).number, flush=True)
"""


def test_a_label_is_there_for_another_process_with_all_that_was_said(store, folder):
    store.save("one", points(), FRAME, "anna", about={"seconds": 3})
    version = LabelStore(folder).label("one")
    assert version is not None
    assert (version.author, version.number, version.about) == ("anna", 1, {"seconds": 3})
    torch.testing.assert_close(version.keypoints.uv, points().uv, equal_nan=True)


def test_names_with_dots_stay_whole(store):
    assert set(store.pictures()) == {"one", "two", "1.2.840.113.1", "1.2.840.113.2"}
    store.save("1.2.840.113.1", points(), FRAME, "anna")
    assert store.label("1.2.840.113.2") is None


def test_two_pictures_of_one_stem_are_called_by_their_whole_names_and_keep_their_labels(store, folder):
    store.save("one", points(), FRAME, "anna")
    write_picture(folder / "one.tiff", torch.rand(40, 60))
    assert {"one.png", "one.tiff"} <= set(LabelStore(folder).pictures())
    assert LabelStore(folder).label("one.png") is not None
    assert LabelStore(folder).label("one.tiff") is None


def test_no_version_is_ever_changed(store, folder):
    store.save("one", points(), FRAME, "anna")
    first = store.label_file("one", store.versions("one")[0]).read_bytes()
    store.save("one", points(1.0), FRAME, "ben")
    store.remove("one", "final", "ben")
    assert store.label_file("one", store.versions("one")[0]).read_bytes() == first
    assert [(v.number, v.event, v.author) for v in store.versions("one")] == [
        (1, "saved", "anna"), (2, "saved", "ben"), (3, "removed", "ben"),
    ]  # fmt: skip
    assert store.label("one") is None


def test_readers_are_kept_apart(store):
    for author, shift in (("anna", 0.0), ("ben", 1.0), ("anna", 2.0)):
        store.save("one", points(shift), FRAME, author)
    readers = store.readers("one")
    assert {author: float(v.keypoints.uv[0, 0]) for author, v in readers.items()} == {"anna": 42.5, "ben": 41.5}
    assert store.finished("one") == ("anna", "ben")


def test_a_reopened_picture_is_to_be_read_again_and_keeps_its_label(store):
    with pytest.raises(Missing):
        store.reopen("one", "anna")
    store.save("one", points(), FRAME, "anna")
    store.reopen("one", "ben")
    assert store.finished("one") == ()
    assert store.label("one") is not None
    store.save("one", points(1.0), FRAME, "ben")
    assert store.finished("one") == ("ben",)


def test_a_proposal_is_no_finished_label(store):
    store.save("one", points(), FRAME, "model", "original")
    assert store.finished("one") == ()
    assert store.tags("one") == ("original",)


def test_threads_and_stores_that_write_at_once_lose_nothing(store, folder):
    other = LabelStore(folder)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (store, other)[n % 2].save("one", points(), FRAME, f"reader{n}"), range(40)))
    assert [version.number for version in LabelStore(folder).versions("one")] == list(range(1, 41))
    assert len(store.versions("one")) == len(other.versions("one")) == 40


def test_processes_killed_while_they_write_leave_every_label_they_acknowledged(folder):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(folder), name], stdout=subprocess.PIPE, text=True)
        for name in ("anna", "ben")
    ]
    said = [[writer.stdout.readline() for _ in range(10)] for writer in writers]
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    rest = [writer.communicate()[0].splitlines() for writer in writers]
    acknowledged = [int(n) for lines in said + rest for n in lines if n.strip()]
    versions = LabelStore(folder).versions("one")
    assert len(acknowledged) == len(set(acknowledged))
    assert set(acknowledged) <= {version.number for version in versions}
    assert not LabelStore(folder).wrong()


def test_a_broken_version_is_told_of_and_the_others_stay(store, folder):
    store.save("one", points(), FRAME, "anna")
    store.save("one", points(), FRAME, "ben")
    path = store.label_file("one", store.versions("one")[0])
    path.unlink()
    path.write_text("{", encoding="utf-8")
    fresh = LabelStore(folder)
    assert [version.author for version in fresh.versions("one")] == ["ben"]
    assert fresh.wrong() == [path]
    assert fresh.save("one", points(), FRAME, "cleo").number == 3


def test_a_picture_is_added_once_and_never_overwritten(store, folder, tmp_path_factory):
    source = tmp_path_factory.mktemp("sent") / "x.png"
    write_picture(source, torch.rand(20, 20))
    store.add("1.2.3", ".png", source)
    assert "1.2.3" in store.pictures()
    for taken, ending in (("1.2.3", ".png"), ("one", ".tiff")):
        with pytest.raises(Taken):
            store.add(taken, ending, source)
    for name in ("../x", "a/b", ".hidden"):
        with pytest.raises(DataError):
            store.add(name, ".png", source)
    assert not (folder.parent / "x.png").exists()


def test_a_picture_taken_away_keeps_its_labels(store, folder):
    store.save("one", points(), FRAME, "anna")
    place = store.take_away("one")
    assert "one" not in store.pictures()
    os.replace(place, folder / "one.png")
    assert LabelStore(folder).label("one") is not None


def test_what_is_not_there_is_missing(store):
    for ask in (store.path, store.versions, store.label):
        with pytest.raises(Missing):
            ask("../../etc/passwd")
    with pytest.raises(DataError):
        LabelStore(Path("/nowhere/at/all"))


def test_pictures_of_subfolders_are_called_by_their_way_there(folder):
    (folder / "ann" / "left").mkdir(parents=True)
    for place in ("ann/left/ap.png", "ann/ap.png", "ap.png", "ann/.hidden/x.png", "labels/x.png", "models/1/x.png"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes((folder / "one.png").read_bytes())
    store = LabelStore(folder)
    below = {name: path.relative_to(folder).as_posix() for name, path in store.pictures().items()}
    assert below["ap"] == "ap.png" and below["ann:ap"] == "ann/ap.png" and below["ann:left:ap"] == "ann/left/ap.png"
    assert not [name for name in below if name.endswith(("hidden:x", "labels:x", "1:x"))]


def test_a_picture_added_beside_others_of_its_folder_changes_no_name_and_loses_no_label(folder):
    (folder / "ann").mkdir()
    (folder / "ann" / "ap.png").write_bytes(b"x")
    store = LabelStore(folder)
    store.save("ann:ap", points(), FRAME, "anna")
    assert (folder / "labels" / "ann" / "ap.png" / "000001.mrk.json").is_file()
    (folder / "ann" / "pa.png").write_bytes(b"x")
    (folder / "ap.png").write_bytes(b"x")
    assert {"ann:ap", "ann:pa", "ap"} <= set(store.pictures())
    assert store.label("ann:ap").author == "anna"
    assert store.label("ap") is None
    store.take_away("ann:ap")
    assert "ann:ap" not in store.pictures()
