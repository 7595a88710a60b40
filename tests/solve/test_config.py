import numpy as np
import pytest

from odeembed.errors import ConfigError
from odeembed.solve.config import Solution, SolveConfig, Status


def test_a_row_failed_whatever_its_status_but_success():
    statuses = np.array([Status.SUCCESS, Status.MAX_STEPS, Status.NONFINITE, Status.OTHER])
    assert Solution(None, {}, statuses).failed.tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"rtol": 0.0},
        {"rtol": float("nan")},
        {"solver": "euler", "steps": None},
        {"steps": 2, "adjoint": "backsolve"},
        {"max_steps": 0},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError):
        SolveConfig(**wrong)
