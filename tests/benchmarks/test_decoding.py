"""A model and its twin decode the same sentences, and the ratio becomes a table."""

import json

from decoding import decoder, main

from odeembed.results import tables


def test_all_sentences_are_decoded():
    step = decoder("repeat_gru", "small", [[2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]])
    said = step.run()
    assert len(said) == 2 and all(len(ids) <= 14 for ids in said)


def test_a_ratio_that_is_too_high_is_missed(tmp_path):
    row = {"model": "a", "twin": "b", "seconds": 3.0, "twin_seconds": 2.0, "over_twin": 1.65, "at_most": 1.5}
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    result = {"kind": "decoding", "sentences": 1000, "rows": [row, row | {"over_twin": 1.2}]}
    (folder / "decoding.json").write_text(json.dumps(result))
    lines = tables(tmp_path)["decoding"].splitlines()
    assert lines[2] == "| a | 1000 | 3.00 | b | 2.00 | 1.65 | at most 1.5 | missed by 10% |"
    assert lines[3].endswith("| 1.20 | at most 1.5 | met |")


def test_it_is_a_command(capsys):
    try:
        main(["--help"])
    except SystemExit as done:
        assert done.code == 0
    assert "--sentences" in capsys.readouterr().out
