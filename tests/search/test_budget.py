"""How long and how fast each kind of training goes."""

from bneck.proxies import data
from bneck.search.budget import budget
from bneck.search.plan import Plan


def test_what_is_trained_already_is_tuned_more_gently_and_as_long() -> None:
    found = budget(Plan(data="digits", epochs=5), data.load("digits"))
    images = 1437  # four fifths of scikit-learn's 1,797 digits
    assert found.final.steps == found.long_fine_tune.steps == round(5 * images / 64)
    assert found.long_fine_tune.learning_rate == found.fine_tune.learning_rate
    assert found.long_fine_tune.learning_rate < found.final.learning_rate
