"""What is said of a test split, counted by hand."""

from types import SimpleNamespace

import pytest

from odeembed.data.padding import padded
from odeembed.data.vocabulary import Words
from odeembed.decode import Decoding
from odeembed.evaluate.translations import Translations

WORDS = Words().build(["a b c d e f g h"])
SOURCES, TARGETS = [[2, 3], [4]], [[4, 5, 6, 7, 8], [9, 2, 3, 4]]


class Text:
    """Two pairs, of which the second's target was cut."""

    def __init__(self, texts=None):
        self.texts = texts

    def target_texts(self, split):
        return self.texts

    def evaluation(self, split):
        whole = padded(SOURCES, [0, 1], (2, 4), 0)
        yield whole._replace(target=padded(TARGETS, [0, 1], (2, 5), 0))


class Says:
    """Says the first target right and of the second all but the last word."""

    def translate(self, sentences, how, seed):
        self.asked = sentences, how, seed
        return [TARGETS[0], TARGETS[1][:3]][: len(sentences)]


def run_of(texts=None):
    return SimpleNamespace(
        dataset=Text(texts), vocabulary=WORDS, translator=Says(), experiment=SimpleNamespace(seed=3)
    )


def test_scores_by_hand():
    found = Translations()(run_of())
    assert found["translations/exact"] == 0.5 and found["translations/tokens"] == pytest.approx(8 / 9)
    assert 80 < found["translations/bleu"] < 100 and "tok:13a" in found["translations/signature"]
    assert Translations(sentences=1)(run_of())["translations/bleu"] == pytest.approx(100)


def test_bleu_is_against_the_targets_of_the_text():
    first, second = (WORDS.decode(ids) for ids in TARGETS)
    same, cut = (Translations()(run_of([first, text])) for text in (second, f"{second} e d c b"))
    assert same == Translations()(run_of()) and cut["translations/exact"] == 0.5
    assert cut["translations/bleu"] < same["translations/bleu"] - 10
    assert Translations(sentences=1)(run_of([first, "z"]))["translations/bleu"] == pytest.approx(100)


def test_it_asks_as_it_is_told():
    run, beam = run_of(), Decoding(beam=4, alpha=0.6)
    Translations(beam)(run)
    assert run.translator.asked == (SOURCES, beam, 3)
