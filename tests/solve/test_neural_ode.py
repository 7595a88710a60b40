import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from odeembed.fields.mlp import MLPField
from odeembed.solve.config import SolveConfig
from odeembed.solve.neural_ode import NeuralODE


class ResNet(nn.Module):
    """n residual blocks with shared weights, y <- y + f(y) / n."""

    field: nn.Module
    blocks: int

    def __call__(self, y):
        for _ in range(self.blocks):
            y = y + (1.0 / self.blocks) * self.field(0.0, y)
        return y


def test_euler_with_n_steps_is_the_resnet_with_n_shared_blocks():
    y = jax.random.normal(jax.random.key(0), (4, 6))
    ode = NeuralODE(MLPField(), SolveConfig(solver="euler", steps=4))
    ts = jnp.broadcast_to(jnp.array([0.0, 1.0]), (4, 2))
    params = ode.init(jax.random.key(1), y, ts)
    net = ResNet(MLPField(), 4)
    np.testing.assert_array_equal(jax.jit(ode.apply)(params, y, ts).ys[:, 1], jax.jit(net.apply)(params, y))


def test_inside_a_larger_module_under_jit_vmap_and_grad():
    class Model(nn.Module):
        @nn.compact
        def __call__(self, y, ts):
            return NeuralODE(MLPField())(nn.Dense(3)(y), ts).ys[:, -1]

    y, ts = jnp.ones((2, 5)), jnp.broadcast_to(jnp.array([0.0, 1.0]), (2, 2))
    params = Model().init(jax.random.key(0), y, ts)
    loss = lambda p, y: Model().apply(p, y, ts).sum()  # noqa: E731
    gradient = jax.jit(jax.grad(loss))(params, y)
    many = jax.vmap(jax.grad(loss), (None, 0))(params, jnp.stack([y, 2 * y]))
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(a, b[0], rtol=1e-5, atol=1e-6)
