import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from odeembed.errors import ConfigError
from odeembed.train.state import evaluated_params, init_state


def make(tiny, seed=0, ema=0.0):
    text = tiny.Text()
    model = text.specialise(tiny.Model())
    return init_state(model, tiny.Objective(), optax.sgd(0.1), text.batch(0), seed, ema)


def test_params_are_a_nested_dict_of_the_models_shapes(tiny):
    params = make(tiny).params
    assert params["embedding"]["embedding"].shape == (16, 8)
    assert params["readout"]["kernel"].shape == (8, 16)


def test_the_window_holds_every_metric_of_the_objective_at_zero(tiny):
    means = make(tiny).means
    assert set(means) == {"loss", "accuracy", "solver/failed", "gradient_norm"}
    assert all(mean.total == 0 and mean.count == 0 for mean in means.values())


def test_a_seed_gives_the_same_state_and_another_seed_another(tiny):
    first, again, other = make(tiny, 4), make(tiny, 4), make(tiny, 5)
    kernels = [np.asarray(state.params["readout"]["kernel"]) for state in (first, again, other)]
    assert np.array_equal(kernels[0], kernels[1]) and not np.array_equal(kernels[0], kernels[2])
    assert jnp.array_equal(jax.random.key_data(first.key), jax.random.key_data(again.key))
    assert not jnp.array_equal(jax.random.key_data(first.key), jax.random.key_data(other.key))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_jax_would_wrap_is_refused(tiny, seed):
    with pytest.raises(ConfigError, match=rf"below 2\*\*32; got {seed}"):
        make(tiny, seed)


def test_the_average_is_what_is_evaluated_where_it_is_kept(tiny):
    plain, averaged = make(tiny), make(tiny, ema=0.9)
    assert plain.ema is None and evaluated_params(plain) is plain.params
    assert evaluated_params(averaged) is averaged.ema
