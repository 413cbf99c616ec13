"""A set is whole, the same to the bit however it came about, and says of itself what it is."""

import json
import os
import signal
import subprocess
import sys
import tarfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from skiagraph.errors import DataError
from skiagraph.experiments.presets import PRESETS
from skiagraph.factory.card import finish
from skiagraph.factory.coding import decode
from skiagraph.factory.making import begin, done_in, make_here, make_subject
from skiagraph.factory.order import Order
from skiagraph.factory.subjects import parametric, stored
from skiagraph.tasks.task import silent


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.tar"))}


def made(order: Order, folder: Path) -> Path:
    begin(order, folder)
    for subject in range(len(order.subjects)):
        make_subject(order, subject, folder)
    finish(order, folder)
    return folder


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_set_says_of_its_recipe_is_the_same_in_every_process(name, order):
    """Nothing in it is an address in memory."""
    assert " at 0x" not in replace(order, recipe=PRESETS[name]).as_json()["recipe"]


def test_every_sample_has_one_shard_and_every_body_one_split(order):
    numbers = [n for shard in order.shards for n in range(shard.first, shard.first + shard.count)]
    assert numbers == list(range(order.count))
    assert {shard.subject for shard in order.shards} == set(range(len(order.subjects)))
    for shard in order.shards:
        assert shard.split == order.splits[shard.subject] and f"-{shard.split}-" in shard.name
    nths = [list(range(s.nth, s.nth + s.count)) for s in order.of_subject(0)]
    assert [n for part in nths for n in part] == list(range(5))


def test_splits_hold_out_whole_bodies_whatever_their_order(order):
    many = replace(order, subjects=tuple(parametric(20, seed=1)), held_out=(0.2, 0.1))
    assert [many.splits.count(split) for split in ("train", "val", "test")] == [14, 4, 2]
    backwards = replace(many, subjects=many.subjects[::-1])
    assert backwards.splits == many.splits[::-1]
    assert replace(order, subjects=order.subjects[:1]).splits == ("train",)


def test_a_set_is_the_same_to_the_bit_here_and_on_several_processes(order, tmp_path):
    made(order, tmp_path / "one")
    make_here(order, tmp_path / "two", 2, silent)
    finish(order, tmp_path / "two")
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two") and len(hashes(tmp_path / "one")) == 6
    cards = [(tmp_path / name / "dataset.json").read_text(encoding="utf-8") for name in ("one", "two")]
    assert cards[0] == cards[1]


def test_a_shard_that_is_gone_is_made_again_and_the_others_are_left_alone(order, tmp_path):
    folder = made(order, tmp_path / "set")
    before = hashes(folder)
    victim, kept = sorted(folder.glob("*.tar"))[:2]
    victim.unlink()
    stamp = kept.stat().st_mtime_ns
    with pytest.raises(DataError, match="run the same command again"):
        finish(order, folder)
    made(order, folder)
    assert hashes(folder) == before and kept.stat().st_mtime_ns == stamp


def test_another_set_is_not_mixed_into_a_folder(order, tmp_path):
    made(order, tmp_path)
    with pytest.raises(DataError, match="seed"):
        begin(replace(order, seed=6), tmp_path)
    (tmp_path / "order.json").unlink()
    with pytest.raises(DataError, match="no order"):
        begin(order, tmp_path)


def test_the_card_names_every_shard_its_hash_and_its_split(order, tmp_path):
    folder = made(order, tmp_path)
    card = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert {shard["name"]: shard["sha256"] for shard in card["shards"]} == hashes(folder)
    assert sum(card["samples"].values()) == order.count == sum(shard["count"] for shard in card["shards"])
    assert card["sources"]


def test_every_label_of_a_set_agrees_with_its_matrix(order, tmp_path):
    """Read back from the tars with nothing but the standard library and our decoder."""
    folder, seen = made(order, tmp_path), 0
    for path in folder.glob("*.tar"):
        with tarfile.open(path) as tar:
            content = {entry.name: tar.extractfile(entry).read() for entry in tar}
        for key in sorted({name.split(".")[0] for name in content}):
            taken = decode(content[f"{key}.png"], content[f"{key}.masks.png"], content[f"{key}.json"], key)
            assert taken.number == int(key)
            plain = json.loads(content[f"{key}.json"])
            assert plain["subject"] in {subject.name for subject in order.subjects}
            seen += 1
    assert seen == order.count


COMMAND = """
import sys
from skiagraph.cli import main
if __name__ == "__main__":
    main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process group")
def test_a_set_killed_again_and_again_ends_the_same(bodies, tmp_path):
    script = tmp_path / "command.py"
    script.write_text(COMMAND, encoding="utf-8")
    flags = ["--preset", "hip", "--count", "12", "--size", "48", "--bodies", str(bodies), "--fidelity", "naive"]

    def start(folder: Path, patience: float | None) -> int | None:
        command = [sys.executable, str(script), "make-samples", "--output", str(folder), "--workers", "2", *flags]
        with subprocess.Popen(command, start_new_session=True) as process:
            try:
                return process.wait(patience)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return None

    assert start(tmp_path / "whole", None) == 0
    for patience in (4.0, 7.0):
        start(tmp_path / "killed", patience)
        for path in (tmp_path / "killed").glob("*.tar"):
            with tarfile.open(path) as tar:
                assert tar.getmembers()
    assert start(tmp_path / "killed", None) == 0
    assert hashes(tmp_path / "killed") == hashes(tmp_path / "whole")
    assert not list((tmp_path / "killed").glob(".part-*"))


def test_bodies_on_disk_are_found_by_folder_and_by_file(bodies, tmp_path):
    assert [subject.name for subject in stored(bodies)] == ["person-0", "person-1", "person-2"]
    assert [subject.name for subject in stored(bodies / "person-1")] == ["person-1"]
    single = stored(bodies / "person-1" / "ct.nii.gz")[0]
    assert single.name == "ct" and single.load().labels is None
    for folder, words in ((tmp_path, "no CT in"), (tmp_path / "nowhere", "nothing at")):
        with pytest.raises(DataError, match=words):
            stored(folder)


def test_what_is_there_is_counted(order, tmp_path):
    assert done_in(order, tmp_path) == 0
    make_subject(order, 0, tmp_path)
    assert done_in(order, tmp_path) == sum(shard.count for shard in order.of_subject(0))
