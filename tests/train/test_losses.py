"""Each loss and its gradients against a plain transcription in torch, in float64 there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recon.core import errors
from recon.train import losses
from tests.zoo import reference  # noqa: F401  declares torchvision's operators

torch = pytest.importorskip('torch')
F = torch.nn.functional


def rows(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def agree(ours, theirs, *arrays, rtol=2e-5):
    """Value and the gradient with respect to each of `arrays`."""
    both = jax.jit(jax.value_and_grad(ours, tuple(range(len(arrays)))))
    value, grads = both(*map(jnp.asarray, arrays))
    leaves = [torch.from_numpy(a).double().requires_grad_() for a in arrays]
    wanted = theirs(*leaves)
    wanted.backward()
    np.testing.assert_allclose(value, wanted.detach(), rtol=rtol, atol=1e-6)
    for grad, leaf in zip(grads, leaves, strict=True):
        scale = float(leaf.grad.abs().max())
        np.testing.assert_allclose(grad, leaf.grad, rtol=1e-4, atol=rtol * scale + 1e-9)
    return float(value)


@pytest.mark.parametrize('power', [1, 2])
def test_perceptual_losses_are_weighted_means_over_layers(power):
    kernel = rows(3, 5, seed=1)

    def features(x, tanh=jnp.tanh, kernel=kernel):
        first = tanh(x @ kernel)
        return {'one': first, 'two': first[:, ::2, ::2] ** 2, 'unused': x / 0}

    def theirs(a, b):
        a, b = (features(x, torch.tanh, torch.from_numpy(kernel).double()) for x in (a, b))
        distance = F.mse_loss if power == 2 else F.l1_loss
        return 0.7 * distance(a['one'], b['one']) + 2.5 * distance(a['two'], b['two'])

    weights = {'two': 2.5, 'one': 0.7}
    agree(
        lambda a, b: losses.perceptual(features, a, b, weights, power),
        theirs,
        rows(2, 4, 6, 3, seed=2),
        rows(2, 4, 6, 3, seed=3),
    )


def test_a_layer_or_a_power_that_does_not_exist_is_refused():
    features = lambda x: {'relu1': x, 'relu2': x}  # noqa: E731
    with pytest.raises(errors.ConfigError, match='no layer relu3 .*relu1, relu2'):
        losses.perceptual(features, rows(1), rows(1), {'relu1': 1, 'relu3': 1})
    with pytest.raises(errors.ConfigError, match='power is 3'):
        losses.perceptual(features, rows(1), rows(1), {'relu1': 1}, power=3)


def cross_entropy(logits, target):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


DISCRIMINATORS = {
    'nonsaturating': lambda r, f: cross_entropy(r, 1.0) + cross_entropy(f, 0.0),
    'minimax': lambda r, f: -torch.sigmoid(r).log().mean() - (1 - torch.sigmoid(f)).log().mean(),
    'hinge': lambda r, f: (1 - r).clamp(min=0).mean() + (1 + f).clamp(min=0).mean(),
    'least_squares': lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
}
GENERATORS = {
    'nonsaturating': lambda f: cross_entropy(f, 1.0),
    'minimax': lambda f: (1 - torch.sigmoid(f)).log().mean(),
    'hinge': lambda f: -f.mean(),
    'least_squares': lambda f: ((f - 1) ** 2).mean() / 2,
}


@pytest.mark.parametrize('kind', losses.ADVERSARIAL)
def test_adversarial_losses_are_as_published(kind):
    real, fake = 2 * rows(3, 5, 4, 1, seed=4), 2 * rows(7, 1, seed=5)
    ours = lambda r, f: losses.discriminator(r, f, kind)  # noqa: E731
    agree(ours, DISCRIMINATORS[kind], real, fake)
    agree(lambda f: losses.generator(f, kind), GENERATORS[kind], fake)


@pytest.mark.parametrize('kind', losses.ADVERSARIAL)
def test_adversarial_losses_pull_the_right_way_and_stay_finite(kind):
    sure = np.array([[90.0]], np.float32)
    good = losses.discriminator(jnp.ones((1, 1)), -jnp.ones((1, 1)), kind)
    assert good < losses.discriminator(-jnp.ones((1, 1)), jnp.ones((1, 1)), kind)
    assert losses.generator(jnp.zeros((1, 1)) + 0.5, kind) < losses.generator(-sure, kind)
    for real, fake in ((sure, sure), (-sure, -sure), (-sure, sure)):
        grads = jax.grad(lambda r, f: losses.discriminator(r, f, kind), (0, 1))(real, fake)
        assert np.isfinite(grads).all()


def test_another_adversarial_loss_is_refused():
    with pytest.raises(errors.ConfigError, match="'wgan' .*hinge"):
        losses.generator(rows(2, 1), 'wgan')
    with pytest.raises(errors.ConfigError, match="'wgan' .*hinge"):
        losses.discriminator(rows(2, 1), rows(2, 1), 'wgan')


def test_r1_is_half_gamma_times_the_squared_slope_and_trains_the_discriminator():
    images, kernel = rows(4, 3, 2, 3, seed=6), rows(3, 5, seed=7)

    def theirs(x, k):
        score = torch.tanh(x @ k).square().sum((1, 2, 3))
        (slope,) = torch.autograd.grad(score.sum(), x, create_graph=True)
        return 3.0 / 2 * slope.square().sum((1, 2, 3)).mean()

    def ours(x, k):
        return losses.r1(lambda x: jnp.tanh(x @ k) ** 2, x, 3.0)

    assert agree(ours, theirs, images, kernel) > 0


def test_info_nce_is_the_cross_entropy_of_cosines_both_ways():
    def theirs(a, b, scale):
        logits = scale * F.normalize(a) @ F.normalize(b).T
        right = torch.arange(6)
        return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2

    a, b, scale = rows(6, 8, seed=8), rows(6, 8, seed=9), np.array(14.0, np.float32)
    agree(losses.info_nce, theirs, a, b, scale)
    assert losses.info_nce(a, a, 100.0) < 1e-3
    np.testing.assert_allclose(losses.info_nce(a, b, 0.0), np.log(6), rtol=1e-5)


@pytest.mark.parametrize('temperature', [0.05, 0.5])
def test_soft_clip_takes_its_labels_from_the_targets_cosines(temperature):
    def theirs(p, t):
        p, t = F.normalize(p), F.normalize(t)
        total = 0
        for way in (p @ t.T, t @ p.T):
            for i in range(5):
                labels = torch.softmax(t[i] @ t.T / temperature, 0)
                total = total - labels @ torch.log_softmax(way[i] / temperature, 0)
        return total / 10

    p, t = rows(5, 7, seed=10), rows(5, 7, seed=11)
    t[3] = t[1] + 0.1 * t[3]  # two alike
    agree(lambda p, t: losses.soft_clip(p, t, temperature), theirs, p, t)
    nearer = losses.soft_clip(t, t, temperature)
    assert nearer < losses.soft_clip(p, t, temperature)


def paper_bimixco(partner, weight, temperature):
    """Equation 2 of MindEye, sum by sum."""

    def theirs(p, t):
        p, t = F.normalize(p), F.normalize(t)
        n, total = len(p), 0
        by_row, by_column = (torch.log_softmax(p @ t.T / temperature, axis) for axis in (1, 0))
        for i in range(n):
            total = total - weight[i] * by_row[i, i] - (1 - weight[i]) * by_row[i, partner[i]]
        for j in range(n):
            total = total - weight[j] * by_column[j, j]
            for other in range(n):
                if partner[other] == j:
                    total = total - (1 - weight[other]) * by_column[other, j]
        return total / (2 * n)

    return theirs


@pytest.mark.parametrize('partner', [[1, 2, 3, 4, 0], [0, 2, 1, 3, 4]])
def test_bimixco_is_the_papers_where_rows_are_their_own_partners_too(partner):
    weight = np.array([0.2, 1.0, 0.6, 0.9, 1.0], np.float32)
    p, t = rows(5, 6, seed=12), rows(5, 6, seed=13)
    ours = lambda p, t: losses.bimixco(p, t, jnp.array(partner), weight, 0.1)  # noqa: E731
    value = agree(ours, paper_bimixco(partner, weight, 0.1), p, t)
    if (
        partner[0] == 0
    ):  # the released code gives row 0 the weight 0.8, and rows 3 and 4 nearly none
        labels = np.diag(weight)
        labels[np.arange(5), partner] = 1 - weight
        logits = np.asarray(losses._unit(p) @ losses._unit(t).T / 0.1)
        upstream = losses._both_ways(logits, labels)
        assert abs(upstream - value) > 0.1


def test_bimixco_of_unmixed_rows_is_info_nce():
    p, t = rows(6, 4, seed=14), rows(6, 4, seed=15)
    partner = jnp.array([3, 1, 0, 2, 5, 4])
    plain = losses.info_nce(p, t, 1 / 0.3)
    np.testing.assert_allclose(losses.bimixco(p, t, partner, np.ones(6), 0.3), plain, rtol=1e-6)


def test_rows_are_mixed_with_partners_by_weights_that_are_drawn():
    voxels = rows(4000, 2, 3, seed=16)
    mix = jax.jit(losses.mix)
    mixed, partner, weight = mix(voxels, jax.random.key(2), share=0.5)
    assert sorted(np.asarray(partner)) == list(range(4000))
    own = np.asarray(weight)[:, None, None]
    wanted = own * voxels + (1 - own) * voxels[np.asarray(partner)]
    np.testing.assert_allclose(mixed, wanted, rtol=1e-5, atol=1e-6)
    drawn = np.asarray(weight)[np.asarray(weight) < 1]
    true = np.random.default_rng(0).beta(0.15, 0.15, 200_000)
    assert abs((np.asarray(weight) != 1).mean() - 0.5 * (true.astype('f') < 1).mean()) < 0.03
    for level in (0.01, 0.1, 0.5, 0.9):
        share = (true < level).mean() / (true.astype(np.float32) < 1).mean()
        assert abs((drawn < level).mean() - share) < 0.04
    assert np.isfinite(weight).all()
    other = mix(voxels, jax.random.key(3), share=0.5)[2]
    assert (np.asarray(other) != np.asarray(weight)).any()
    np.testing.assert_array_equal(mix(voxels, jax.random.key(2), share=0.0)[0], voxels)


@pytest.mark.parametrize(('gamma', 'alpha'), [(2.0, 0.25), (0.0, -1), (1.5, 0.8), (0.5, -1)])
def test_focal_loss_is_torchvisions(gamma, alpha):
    def theirs(logits):
        p = torch.sigmoid(logits)
        true = p * labels + (1 - p) * (1 - labels)
        loss = -((1 - true) ** gamma) * true.log()
        if alpha >= 0:
            loss = loss * (alpha * labels + (1 - alpha) * (1 - labels))
        return loss.mean()

    labels = torch.tensor([[0.0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 0]], dtype=torch.float64)
    logits = 3 * rows(4, 3, seed=17)
    given = None if alpha < 0 else alpha
    value = agree(lambda x: losses.focal(x, labels.numpy(), gamma, given), theirs, logits)
    from torchvision.ops import sigmoid_focal_loss

    out = sigmoid_focal_loss(torch.from_numpy(logits).double(), labels, alpha, gamma, 'mean')
    np.testing.assert_allclose(value, out, rtol=1e-5)
    ends = jax.grad(lambda x: losses.focal(x, np.ones(2), gamma, given))(jnp.array([200.0, -200.0]))
    assert np.isfinite(ends).all()


def test_kl_is_that_of_torchs_distributions():
    def theirs(mean, log_variance):
        ours = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
        standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        per_row = torch.distributions.kl_divergence(ours, standard).sum((1, 2, 3))
        return per_row @ torch.tensor([1.0, 2, 3], dtype=torch.float64)

    def ours(mean, log_variance):
        return losses.kl_gaussian(mean, log_variance) @ jnp.array([1.0, 2, 3])

    agree(ours, theirs, rows(3, 2, 4, 5, seed=18), rows(3, 2, 4, 5, seed=19))


@pytest.mark.parametrize('loss', ['info_nce', 'soft_clip', 'kl', 'focal', 'hinge'])
def test_losses_of_halves_are_computed_in_float32(loss):
    a, b = (jnp.asarray(rows(9, 16, seed=s), jnp.bfloat16) for s in (20, 21))
    calls = {
        'info_nce': lambda a, b: losses.info_nce(a, b, 30.0),
        'soft_clip': lambda a, b: losses.soft_clip(a, b, 0.02),
        'kl': lambda a, b: losses.kl_gaussian(a, b).sum(),
        'focal': lambda a, b: losses.focal(a, b > 0),
        'hinge': lambda a, b: losses.discriminator(a, b, 'hinge'),
    }
    half = calls[loss](a, b)
    assert half.dtype == jnp.float32
    full = calls[loss](a.astype(jnp.float32), b.astype(jnp.float32))
    np.testing.assert_allclose(half, full, rtol=1e-6)


def test_a_row_of_zeros_has_a_finite_gradient():
    a, b = rows(4, 3, seed=22), rows(4, 3, seed=23)
    a[2] = 0
    assert np.isfinite(jax.grad(losses.info_nce)(a, b, 5.0)).all()
