import numpy as np
import pytest
import torch

from skiagraph.active.choosing import STRATEGIES, diversity, ranked, strategy
from skiagraph.active.looking import Look
from skiagraph.errors import DataError


def look(at: float, worth: float = 0.0) -> Look:
    return Look(worth, worth, worth, np.array([at, 2 * at]))


LOOKS = [("dull", look(0.0, 0.1)), ("odd", look(9.0, 0.9)), ("middling", look(5.0, 0.5))]


@pytest.mark.parametrize("name", ["uncertainty", "disagreement", "implausibility", "hybrid"])
def test_what_is_least_certain_comes_first(name, rng):
    assert [choice.picture for choice in ranked(strategy(name), LOOKS, [look(0.0)], rng)] == ["odd", "middling", "dull"]


def test_what_is_farthest_from_all_that_is_labelled_comes_first(rng):
    assert ranked(strategy("diversity"), LOOKS, [look(9.1), look(8.0)], rng)[0].picture == "dull"


def test_the_most_typical_picture_comes_first_when_nothing_is_labelled(rng):
    assert ranked(strategy("diversity"), LOOKS, [], rng)[0].picture == "middling"


def test_features_count_alike_whatever_their_unit(rng):
    wide = [Look(0, 0, 0, look.features * [1.0, 1e6]) for _, look in LOOKS]
    known = [Look(0, 0, 0, np.array([9.1, 18.2e6]))]
    plain = diversity([one for _, one in LOOKS], [look(9.1)], rng)
    np.testing.assert_allclose(diversity(wide, known, rng), plain)


def test_chance_is_the_generators_alone_and_asks_for_no_looks():
    blind = [(name, None) for name, _ in LOOKS]
    first, second = (ranked(strategy("random"), blind, [], torch.Generator().manual_seed(5)) for _ in range(2))
    assert first == second
    assert {one.picture for one in first} == {"dull", "odd", "middling"}


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_choice_says_why_and_what_nobody_looked_at_comes_last(name, rng):
    choices = ranked(strategy(name), [("new", None), *LOOKS], [], rng)
    assert all(choice.why for choice in choices)
    if STRATEGIES[name].looks:
        assert choices[-1].picture == "new"


def test_a_strategy_that_is_none_is_refused_by_name():
    with pytest.raises(DataError, match="hybrid"):
        strategy("best")
