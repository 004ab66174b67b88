"""How accuracies are read: in percent, or as what less is better of."""

import pytest

from hyperevo.measure import ACCURACY, BITS_PER_CHARACTER, Measure


@pytest.mark.parametrize("name, accuracy, text", [("accuracy", 0.92812, "92.81 %"),
                                                  ("variance explained", -0.5, "-50.00 %"),
                                                  ("bits per character", -1.25, "1.250"),
                                                  ("nats per drawing", 1055.0, "-1055.0")])
def test_accuracies_are_read_as_their_measure_wants(name, accuracy, text):
    assert Measure.read({"measure": name}).text(accuracy) == text
    assert Measure.read({"measure": name}).name == name


def test_a_measure_reads_what_it_recorded():
    own = Measure("perplexity", -2.0, " bits", 1)
    assert Measure.read(own.record()) == own
    assert Measure.read({}) == ACCURACY


def test_axes_show_shares_as_they_are_and_other_measures_as_they_are_read():
    assert ACCURACY.drawn(0.5) == 0.5
    assert BITS_PER_CHARACTER.drawn(-1.5) == 1.5
