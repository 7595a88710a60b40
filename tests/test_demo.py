"""The demonstration's experiment: it is that of the config of its name, and needs no file beside the package."""

from odeembed.demo import PAIRS, experiments
from odeembed.experiment import check, load_config


def test_the_config_of_its_name_is_this_experiment():
    assert load_config("demo", "small") == check(experiments["small"])


def test_its_words_are_of_its_vocabulary_s_form():
    assert all(word.isalpha() and word.islower() for pair in PAIRS for word in pair)
