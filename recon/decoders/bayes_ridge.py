"""Bayesian ridge regression: each target finds its own penalty and noise, and knows its variance.

No cross-validation: penalty and noise are those under which the training rows are most probable.

Source: core/evidence.py.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from recon.core import errors, evidence, linear_model, penalty, solvers

DEFAULTS = dict(
    iterations=300,  # updates at most
    tolerance=1e-4,  # stop where no precision moves by more than this, relatively
    prior=1e-6,  # shape and rate of the gamma priors of both precisions
    intercept=True,  # a constant without a prior
    target_block=4096,  # targets at a time: bounds the memory
)


def fit(
    cfg,
    voxels: Float[np.ndarray, 'n v'],
    target: Float[np.ndarray, 'n ...'],
    rng=None,
    *,
    groups=None,
    rois=None,
) -> dict:
    """Maximises the evidence of every target.

    Args:
      cfg: see DEFAULTS.
      voxels: training rows, z-scored (one prior for the weights of all voxels).
      target: any shape; each number of it is a target.
      rng: not used, nothing is drawn.
      groups: not used.
      rois: not used.

    Returns:
      rows [r v] right singular vectors of the voxels and dual [r t] with weights = rows' dual;
      values [r]; alpha, lambda, gamma [t] and updates [t] (`evidence.maximise`); voxel_mean,
      voxel_std [v], target_mean [t], shape of one target.

    Raises:
      ConfigError: an option that does not fit.  DataInvalid: see `solvers.check_rows`.
    """
    solvers.check_rows(voxels, target, 'bayes_ridge.fit')
    options = {key: cfg.get(key, value) for key, value in DEFAULTS.items()}
    for key, least in (('iterations', 1), ('tolerance', 0), ('prior', 0), ('target_block', 1)):
        if not options[key] >= least:
            raise errors.ConfigError(f'{key} is {options[key]}', f'decoder.{key}', f'>= {least}')
    x, of_voxels = linear_model.centre(voxels, options['intercept'])
    y, of_target = linear_model.flatten(target, options['intercept'])
    x = jnp.asarray(x)
    factor = solvers.factor(x, bool(options['intercept']))
    settings = (int(options['iterations']), options['tolerance'], options['prior'])
    parts = []
    for part in penalty.blocks(y.shape[1], options['target_block']):
        block = jnp.asarray(y[:, part] - of_target['target_mean'][part])
        z = solvers.project(factor, block)
        found = evidence.maximise(factor, z, block, *settings)
        weights = evidence.spectral_weights(factor, z, found['lambda'] / found['alpha'])
        parts.append({k: np.asarray(a) for k, a in (found | {'dual': weights}).items()})
    whole = {k: np.concatenate([p[k] for p in parts], -1) for k in parts[0]}
    vectors = np.asarray(evidence.right_vectors(factor, x)).T
    return whole | of_voxels | of_target | {'rows': vectors, 'values': np.asarray(factor.values)}


def predict(cfg, params: dict, voxels: Float[np.ndarray, 'k v']) -> np.ndarray:
    """Mean of the predictive distribution: [k ...] float32 in the unit of the target.

    Args:
      cfg: not used.
      params: as `fit` returns.
      voxels: rows in the unit of those that were fitted.

    Raises:
      DataInvalid: values that are not finite.
    """
    solvers.check_rows(voxels, where='bayes_ridge.predict')
    x = np.asarray(voxels, np.float32) - np.asarray(params['voxel_mean'])
    out = (x @ np.asarray(params['rows']).T) @ np.asarray(params['dual'])
    out = out + np.asarray(params['target_mean'])
    return out.reshape(len(x), *np.asarray(params['shape']))


def predict_variance(cfg, params: dict, voxels: Float[np.ndarray, 'k v']) -> np.ndarray:
    """Variance of the predictive distribution: noise, and doubt about the weights.

    Args:
      cfg: not used.
      params: as `fit` returns.
      voxels: rows in the unit of those that were fitted.

    Returns:
      [k ...] float32, in the unit of the target squared. The doubt about the constant is left out.

    Raises:
      DataInvalid: values that are not finite.
    """
    solvers.check_rows(voxels, where='bayes_ridge.predict_variance')
    x = np.asarray(voxels, np.float32) - np.asarray(params['voxel_mean'])
    names = ('values', 'alpha', 'lambda')
    out = evidence.variance(x, np.asarray(params['rows']).T, *(params[k] for k in names))
    return out.reshape(len(x), *np.asarray(params['shape'])).astype(np.float32)


def describe(cfg, params: dict) -> dict:
    """Penalties, noise and effective weights over targets, and importance of voxels.

    Importance of a voxel: the norm over targets of its weights, times its standard deviation over
    training rows (unit of the target).
    """
    alpha, lambda_ = np.asarray(params['alpha']), np.asarray(params['lambda'])
    spread = {
        'penalty (noise variance / weight variance)': lambda_ / alpha,
        'noise (standard deviation)': alpha**-0.5,
        'effective number of weights': np.asarray(params['gamma']),
        'updates': np.asarray(params['updates']),
    }
    rows = [
        [name, *(float(f'{q:.4g}') for q in np.quantile(a, (0, 0.25, 0.5, 0.75, 1)))]
        for name, a in spread.items()
    ]
    columns = ['over targets', 'lowest', '25 %', 'median', '75 %', 'highest']
    table = {'title': 'What the evidence chose', 'columns': columns, 'rows': rows}
    iterations = int(cfg.get('iterations', DEFAULTS['iterations']))
    facts = {
        'targets that had not settled': int((np.asarray(params['updates']) >= iterations).sum()),
        'importance': linear_model.IMPORTANCE,
    }
    return {
        'curves': [],
        'tables': [table],
        'facts': facts,
        'importance': linear_model.importance(params),
    }
