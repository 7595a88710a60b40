"""The continuous adjoint keeps as much of a long solve as of a short one, and the table says so."""

from image_memory import temporary_bytes
from recording import write_result

from odeembed.results import tables


def test_memory_does_not_grow_with_the_solve_by_the_continuous_adjoint():
    size = {
        (method, steps): temporary_bytes(method, steps, 4, 8)
        for method in ("backsolve", "direct")
        for steps in (6, 48)
    }
    assert size["backsolve", 48] == size["backsolve", 6]
    assert size["direct", 48] > 5 * size["direct", 6] > 5 * size["backsolve", 6]


def test_the_table_has_a_column_for_each_length(tmp_path):
    rows = [{"method": "direct", "evaluations": count, "bytes": 2**20 * count} for count in (32, 8)]
    result = {"kind": "image_memory", "measured": rows}
    write_result(tmp_path / "benchmarks" / "results" / "image_memory.json", result)
    found = tables(tmp_path)["image-memory"].splitlines()
    assert found[0] == "| gradient | 8 evaluations, MiB | 32 evaluations, MiB | growth |"
    assert found[2] == "| direct | 8.0 | 32.0 | 4.00 |"
