"""Losses of trained systems: pure functions, means over rows, in float32 whatever comes in."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from recon.core import errors

ADVERSARIAL = ('nonsaturating', 'minimax', 'hinge', 'least_squares')


def perceptual(
    features, a: Float[Array, 'n h w c'], b: Float[Array, 'n h w c'], weights: dict, power: int = 2
):
    """Distance of pictures in the layers of a net: Johnson et al. 2016, equation 2.

    Args:
      features: `features(images) -> {layer: [n ...]}`; what is not weighted is not computed (jit).
      a: the pictures that are trained; gradients reach both.
      b: the pictures to be like.
      weights: {layer: factor}.
      power: 2 squared differences, 1 absolute ones (Wang et al. 2018, equation 4).

    Returns:
      Scalar: the sum over layers of factor x mean over everything of |difference| ** power.

    Raises:
      ConfigError: a layer that `features` does not give, or another power.
    """
    if power not in (1, 2):
        raise errors.ConfigError(f'power is {power!r}', 'losses.perceptual', '1 or 2')
    ours, theirs = features(a), features(b)
    absent = sorted(weights.keys() - ours.keys())
    if absent:
        known = ', '.join(ours)
        raise errors.ConfigError(f'no layer {absent[0]}', 'losses.perceptual', f'layers: {known}')
    distance = jnp.square if power == 2 else jnp.abs
    total = jnp.zeros((), jnp.float32)
    for layer, factor in weights.items():
        total += factor * distance(_float(ours[layer]) - _float(theirs[layer])).mean()
    return total


def discriminator(real: Float[Array, 'n ...'], fake: Float[Array, 'n ...'], kind: str):
    """What a discriminator minimises, from its logits; means over rows and patches.

    Args:
      real: logits of true pictures, higher is truer.
      fake: logits of generated ones.
      kind: 'nonsaturating' and 'minimax': binary cross-entropy (Goodfellow et al. 2014, equation
        1); 'hinge' (Lim and Ye 2017, equation 17); 'least_squares' with targets 1 and 0, halved
        (Mao et al. 2017, equation 9).

    Raises:
      ConfigError: no such kind.
    """
    _check_kind(kind)
    real, fake = _float(real), _float(fake)
    if kind == 'hinge':
        return jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean()
    if kind == 'least_squares':
        return 0.5 * jnp.square(real - 1).mean() + 0.5 * jnp.square(fake).mean()
    return jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean()


def generator(fake: Float[Array, 'n ...'], kind: str):
    """What a generator minimises, from the discriminator's logits; kinds and sources as there.

    'minimax' is log(1 - D), whose gradient vanishes where the discriminator is sure;
    'nonsaturating' is -log D in its place (Goodfellow et al. 2014, section 3).
    """
    _check_kind(kind)
    fake = _float(fake)
    if kind == 'hinge':
        return -fake.mean()
    if kind == 'least_squares':
        return 0.5 * jnp.square(fake - 1).mean()
    return (
        jax.nn.softplus(-fake).mean() if kind == 'nonsaturating' else -jax.nn.softplus(fake).mean()
    )


def r1(discriminate, real: Float[Array, 'n h w c'], gamma: float):
    """Gradient penalty on true pictures: Mescheder et al. 2018, equation 9.

    Args:
      discriminate: `discriminate(images) -> logits [n ...]`, one row from one picture alone: where
        rows mix (batch statistics) their gradients mix too.
      real: true pictures.
      gamma: factor; the penalty is gamma / 2 x mean over rows of the squared norm.
    """
    gradient = jax.grad(lambda x: _float(discriminate(x)).sum())(real)
    return 0.5 * gamma * jnp.square(_float(gradient)).reshape(len(real), -1).sum(1).mean()


def info_nce(a: Float[Array, 'n d'], b: Float[Array, 'n d'], scale):
    """Symmetric contrastive loss of pairs: CLIP (Radford et al. 2021, figure 3).

    Args:
      a: brought to unit length here, as `b` is.
      b: row i belongs to row i of `a`.
      scale: factor of the cosines, 1 / temperature; may be trained.
    """
    logits = scale * _unit(a) @ _unit(b).T
    return _both_ways(logits, jnp.eye(len(a)))


def soft_clip(predicted: Float[Array, 'n d'], target: Float[Array, 'n d'], temperature):
    """Contrastive loss with soft labels: SoftCLIP of MindEye (Scotti et al. 2023, equation 3).

    The labels are the softmax of the targets' cosines among themselves, so that alike pictures are
    not pushed apart. Gradients reach the target too; stop them outside where it is given.
    """
    target = _unit(target)
    labels = jax.nn.softmax(target @ target.T / temperature)
    logits = _unit(predicted) @ target.T / temperature
    return 0.5 * (_cross_entropy(logits, labels) + _cross_entropy(logits.T, labels))


def mix(
    rows: Float[Array, 'n ...'], rng, *, concentration: float = 0.15, share: float = 0.5
) -> tuple[Array, Array, Array]:
    """Mixes rows with partners, for `bimixco`: MixCo (Kim et al. 2020) as MindEye draws it.

    Args:
      rows: voxels.
      rng: jax key.
      concentration: both parameters of the Beta distribution of the row's own weight.
      share: probability that a row is mixed at all.

    Returns:
      Mixed rows [n ...], partner [n] int (a permutation, which may leave rows in place), and the
      row's own weight [n], 1 where it was not mixed.
    """
    n = len(rows)
    order, weights, chosen = (jax.random.fold_in(rng, i) for i in range(3))
    partner = jax.random.permutation(order, n)
    weight = jax.random.beta(weights, concentration, concentration, (n,), jnp.float32)
    weight = jnp.where(jax.random.bernoulli(chosen, share, (n,)), weight, 1.0)
    own = weight.reshape(n, *[1] * (rows.ndim - 1)).astype(rows.dtype)
    return own * rows + (1 - own) * rows[partner], partner, weight


def bimixco(
    predicted: Float[Array, 'n d'],
    target: Float[Array, 'n d'],
    partner: Int[Array, 'n'],
    weight: Float[Array, 'n'],
    temperature,
):
    """Contrastive loss of mixed rows, both ways: MindEye (Scotti et al. 2023, equation 2).

    Row i is drawn to target i with weight[i], to target partner[i] with the rest. A row that is its
    own partner keeps the whole weight 1: the two are added up. (The released code writes one over
    the other there, which leaves such a row with 1 - weight, and an unmixed one with nothing.)

    Args:
      predicted: from mixed voxels.
      target: of the rows as they were before.
      partner: as `mix` returns it.
      weight: as `mix` returns it.
      temperature: divides the cosines; 0.006 in MindEye.
    """
    n = len(predicted)
    labels = jnp.diag(_float(weight)).at[jnp.arange(n), partner].add(1 - _float(weight))
    return _both_ways(_unit(predicted) @ _unit(target).T / temperature, labels)


def focal(logits: Float[Array, '...'], labels: Float[Array, '...'], gamma=2.0, alpha=None):
    """Binary cross-entropy with less weight on what is easy: Lin et al. 2017, equation 5.

    Args:
      logits: of independent labels.
      labels: 0 or 1.
      gamma: 0 is the plain cross-entropy.
      alpha: weight of the ones, 1 - alpha that of the zeros; None weighs neither.

    Returns:
      Scalar, mean over everything.
    """
    logits, labels = _float(logits), _float(labels)
    right = (2 * labels - 1) * logits
    # The probability of what is false, to the power gamma, by its logarithm: 0 ** 0.5 has no slope.
    loss = jnp.exp(-gamma * jax.nn.softplus(right)) * jax.nn.softplus(-right)
    if alpha is not None:
        loss *= alpha * labels + (1 - alpha) * (1 - labels)
    return loss.mean()


def kl_gaussian(mean: Float[Array, 'n ...'], log_variance: Float[Array, 'n ...']):
    """[n] nats from a standard normal: Kingma and Welling 2014, appendix B; sum over a row."""
    mean, log_variance = _float(mean), _float(log_variance)
    each = 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance)
    return each.reshape(len(mean), -1).sum(1)


def _both_ways(logits, labels):
    return 0.5 * (_cross_entropy(logits, labels) + _cross_entropy(logits.T, labels.T))


def _cross_entropy(logits, labels):
    return -(labels * jax.nn.log_softmax(logits)).sum(-1).mean()


def _unit(x):
    """Rows of unit length; a row of zeros stays so, and its gradient is finite."""
    x = _float(x)
    return x * jax.lax.rsqrt(jnp.maximum(jnp.square(x).sum(-1, keepdims=True), 1e-24))


def _float(x):
    return jnp.asarray(x, jnp.float32)


def _check_kind(kind: str) -> None:
    if kind not in ADVERSARIAL:
        raise errors.ConfigError(
            f'adversarial loss is {kind!r}', 'losses', f'names that exist: {", ".join(ADVERSARIAL)}'
        )
