import shutil
from pathlib import Path

import pytest

from skiagraph.active.weights import Current, Shelf
from skiagraph.errors import DataError
from skiagraph.tasks.detect import the_bundle


def test_weights_take_over_and_are_rolled_back_and_nothing_is_forgotten(tmp_path: Path):
    shelf = Shelf(tmp_path / "models", the_bundle())
    current = Current(shelf)
    assert current.get()[0] == 0
    number, place = shelf.place()
    shutil.copytree(the_bundle(), place, dirs_exist_ok=True)
    shelf.use(number, "better", "anna", {"after": 0.1})
    assert current.get()[0] == 1
    shelf.use(0, "rolled back", "ben")
    assert current.get()[0] == 0
    assert shelf.numbers == (0, 1)
    assert [(line["use"], line["by"]) for line in shelf.history()] == [(1, "anna"), (0, "ben")]
    assert shelf.place()[0] == 2


def test_weights_that_are_not_there_are_not_used(tmp_path: Path):
    shelf = Shelf(tmp_path, the_bundle())
    with pytest.raises(DataError, match="there are 0"):
        shelf.use(3, "", "anna")
    assert (shelf.current, shelf.history()) == (0, [])
