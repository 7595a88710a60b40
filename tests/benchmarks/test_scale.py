"""What is read from programs for many devices: exchanges do not grow in number, and times follow the rates."""

import pytest
import scale


@pytest.mark.slow
def test_the_number_of_exchanges_does_not_grow_with_the_devices():
    config = str(scale.ROOT / "configs" / "scan_jump.py")
    few, many = (scale.measured(config, devices, "shard_map", 1) for devices in (2, 16))
    assert (few["devices"], many["devices"]) == (2, 16) and few["rows"] == many["rows"]
    assert few["collectives"] == many["collectives"] > 0 and many["looped"] == 0
    assert many["exchanged_bytes"] == few["exchanged_bytes"] >= 4 * many["parameters"]
    assert many["flops"] == few["flops"] > 6 * many["rows"] * many["length"]


def test_times_are_products_by_a_share_of_the_peak_and_bytes_around_a_ring():
    row = {"devices": 4, "flops": 1e12, "exchanged_bytes": 1e9}
    found = scale.predicted(row, {"flops": 1e14, "link": 1e10})
    assert found["computing"] == pytest.approx(1e12 / (scale.SHARE * 1e14))
    assert found["sending"] == pytest.approx(2 * 3 / 4 * 1e9 / 1e10)
    assert found["efficiency"] == pytest.approx(0.1 / 0.25)
    assert scale.predicted(row | {"devices": 1}, {"flops": 1e14, "link": 1e10})["sending"] == 0
