"""moons_flow trained by flow matching: nothing is solved before the model is used."""

from dataclasses import replace
from typing import cast

from moons_flow import experiments as flow

from odeembed.data.points import PointData
from odeembed.objectives.density import FlowMatching

experiments = {
    size: replace(
        one,
        objective=FlowMatching(),
        data=replace(cast(PointData, one.data), rows=2048),
        optimizer=replace(one.optimizer, clip=0.0),
        steps=10 * one.steps,
        evaluate_every=10 * one.evaluate_every,
        checkpoint_every=10 * one.checkpoint_every,
    )
    for size, one in flow.items()
}
