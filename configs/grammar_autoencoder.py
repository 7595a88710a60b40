"""grammar_jump as an autoencoder: its codes are points, and nothing is asked of where they lie."""

from dataclasses import replace

from grammar_jump import experiments as jump

from odeembed.evaluate.sentence_codes import ImportanceWeighted

experiments = {
    size: replace(
        one,
        objective=replace(one.objective, deterministic=True),
        scores=tuple(score for score in one.scores if not isinstance(score, ImportanceWeighted)),
    )
    for size, one in jump.items()
}
