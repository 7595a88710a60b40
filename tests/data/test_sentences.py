"""Sentences are found in raw and in tokenised text."""

import pytest

from odeembed.data.sentences import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One ends. Another begins! A third? Yes.", ["One ends.", "Another begins!", "A third?", "Yes."]),
        ('He said "stop." Then he went.', ['He said "stop."', "Then he went."]),
        ("Mr. J. Smith met Dr. Who, i.e. the U.S. Army. They spoke.", None),
        (
            "It cost 3.5 dollars in all. no capital follows",
            ["It cost 3.5 dollars in all. no capital follows"],
        ),
        ("the film was bad . it was long . ", ["the film was bad .", "it was long ."]),
        ("a lone line without an end", ["a lone line without an end"]),
        ("   ", []),
    ],
)
def test_sentences(text, expected):
    if expected is None:
        expected = ["Mr. J. Smith met Dr. Who, i.e. the U.S. Army.", "They spoke."]
    assert list(sentences(text)) == expected


def test_no_character_but_space_is_lost():
    text = 'A. B. Cole came . " Did he ? " she asked ! (Yes.) And so on... The end.'
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())
