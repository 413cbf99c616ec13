import numpy as np
import pytest

from skiagraph.errors import DataError
from skiagraph.evaluate.copies import QUANTILE, Space, copies, told

DRAW = np.random.default_rng(0)
LEARNED, HELD = DRAW.normal(size=(300, 6)), DRAW.normal(size=(100, 6))


def test_a_generator_that_makes_new_things_copies_no_more_than_chance_has_it():
    new = np.random.default_rng(1).normal(size=(400, 6))
    found = copies(Space(new, LEARNED, HELD))
    assert found.share == pytest.approx(QUANTILE, abs=0.04)
    assert found.ratio == pytest.approx(1.0, abs=0.06)


def test_one_that_gives_back_what_it_learned_is_found_out():
    back = LEARNED[:40] + 0.01 * np.random.default_rng(2).normal(size=(40, 6))
    found = copies(Space(back, LEARNED, HELD))
    assert found.share == 1.0 and found.copied == tuple(range(40))
    assert found.given_back == tuple(range(40))
    assert found.ratio < 0.95


def test_giving_back_one_body_again_and_again_is_one_body_given_back():
    found = copies(Space(LEARNED[[7] * 30] + 1e-3, LEARNED, HELD))
    assert found.share == 1.0 and found.given_back == (7,)


def test_likeness_does_not_mind_brightness_and_contrast():
    pictures = np.random.default_rng(3).random((30, 50))
    others = np.random.default_rng(4).random((60, 50)), np.random.default_rng(5).random((40, 50))
    plain = copies(Space.of_likeness(pictures, *others))
    bright = copies(Space.of_likeness(3 * pictures + 7, *others))
    assert plain.copied == bright.copied
    assert plain.ratio == pytest.approx(bright.ratio)
    assert copies(Space.of_likeness(2 * others[0] + 1, *others)).share == 1.0


def test_too_few_held_out_to_say_are_refused_in_words():
    with pytest.raises(DataError, match="at least 20 held out"):
        copies(Space(LEARNED, LEARNED, HELD[:19]))


def test_the_table_has_a_line_a_space():
    found = copies(Space(LEARNED[:10], LEARNED, HELD))
    lines = told({"latent": found})
    assert len(lines) == 3 and lines[2].startswith("| latent | 10 | 10 (100%) | 5% | 10 of 300 |")
