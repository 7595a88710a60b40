"""The posterior of a code, beside scipy and beside draws."""

import jax.numpy as jnp
import numpy as np
from scipy import stats

from odeembed.models.posterior import Posterior, normal_log_prob


def test_densities_and_divergence_are_those_of_gaussians():
    rng = np.random.default_rng(1)
    mean, log_std, z = rng.normal(size=(3, 4, 2)).astype(np.float32)
    mean, log_std, z = map(jnp.asarray, (mean, log_std, z))
    posterior = Posterior(mean, log_std, {}, None)
    wanted = stats.norm.logpdf(z, mean, np.exp(log_std)).sum(-1)
    np.testing.assert_allclose(posterior.log_prob(z), wanted, rtol=1e-4)
    np.testing.assert_allclose(normal_log_prob(z), stats.norm.logpdf(z).sum(-1), rtol=1e-5)
    draws = mean + np.exp(log_std) * rng.normal(size=(200_000, 4, 2))
    sampled = (stats.norm.logpdf(draws, mean, np.exp(log_std)) - stats.norm.logpdf(draws)).mean(0)
    np.testing.assert_allclose(posterior.kl_by_dimension(), sampled, rtol=0.03, atol=0.02)
