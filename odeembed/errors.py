"""The errors a user can cause; the command line prints their text in one line and exits with status 2."""


class OdeembedError(Exception):
    """Any failure whose remedy lies with the user: what was wrong, what was got, what was expected, what to do."""


class ConfigError(OdeembedError, ValueError):
    """A setting with an unknown name, a wrong type or a value outside its range."""


class DataError(OdeembedError, ValueError):
    """Input text that cannot be used as it is."""


class MissingFileError(OdeembedError, FileNotFoundError):
    """A file or folder that is not there; the text lists the paths tried."""


class UnknownWordError(OdeembedError, LookupError):
    """A word outside the vocabulary; the text names the nearest spellings."""


class RunError(OdeembedError, ValueError):
    """A run directory that does not hold what the command needs."""


class CheckpointError(OdeembedError, RuntimeError):
    """A checkpoint that is missing, damaged, or of another shape than the model."""


class TrainingError(OdeembedError, RuntimeError):
    """A run that cannot go on: a loss that is not finite, a failed solve, a full disk."""


class DerivativeError(OdeembedError, NotImplementedError):
    """A derivative that the gradient method asked for does not have."""
