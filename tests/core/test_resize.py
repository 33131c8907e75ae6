"""core/resize against torch's interpolate and Pillow's float pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from PIL import Image

from recon.core import errors, resize

SIZES = [((13, 29), (7, 40)), ((64, 48), (17, 17)), ((9, 9), (32, 31)), ((21, 16), (21, 5))]


def _pictures(seed, shape, n=2):
    return np.random.default_rng(seed).random((n, *shape, 3), np.float32)


def _torch(x, size, method, antialias):
    corners = {} if 'nearest' in method else {'align_corners': False}
    out = torch.nn.functional.interpolate(
        torch.from_numpy(x).permute(0, 3, 1, 2), size, mode=method, antialias=antialias, **corners
    )
    return out.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize('antialias', [True, False])
@pytest.mark.parametrize('method', ['bilinear', 'bicubic'])
def test_it_equals_torch_at_every_ratio(method, antialias):
    for seed, (here, there) in enumerate(SIZES):
        x = _pictures(seed, here)
        ours = resize.resize(jnp.asarray(x), there, method, antialias=antialias)
        assert np.abs(ours - _torch(x, there, method, antialias)).max() < 1e-5


@pytest.mark.parametrize('antialias', [True, False])
def test_nearest_equals_torchs_two_kinds(antialias):
    method = 'nearest-exact' if antialias else 'nearest'
    for seed, (here, there) in enumerate([*SIZES, ((3, 5), (7, 49))]):
        x = _pictures(10 + seed, here)
        ours = resize.resize(jnp.asarray(x), there, 'nearest', antialias=antialias)
        np.testing.assert_array_equal(ours, _torch(x, there, method, False))


@pytest.mark.parametrize('method', ['bilinear', 'bicubic'])
def test_with_antialias_it_equals_pillow(method):
    for seed, (here, there) in enumerate(SIZES):
        x = _pictures(20 + seed, here)
        kind = getattr(Image.Resampling, method.upper())
        theirs = [
            np.asarray(Image.fromarray(x[0, :, :, c]).resize(there[::-1], kind)) for c in range(3)
        ]
        ours = resize.resize(jnp.asarray(x), there, method, antialias=True)
        assert np.abs(ours[0] - np.stack(theirs, -1)).max() < 1e-5


def test_kinds_of_one_name_differ():
    x = jnp.asarray(_pictures(3, (40, 40)))
    for method in ('bilinear', 'bicubic'):
        smooth = resize.resize(x, (11, 11), method, antialias=True)
        assert np.abs(smooth - resize.resize(x, (11, 11), method, antialias=False)).max() > 0.1


def test_the_gradient_is_torchs():
    x = _pictures(4, (19, 22), 1)
    towards = np.random.default_rng(5).normal(size=(1, 8, 31, 3)).astype(np.float32)
    ours = jax.jit(
        jax.grad(lambda x: (resize.resize(x, (8, 31), 'bicubic', antialias=True) * towards).sum())
    )(jnp.asarray(x))
    theirs = torch.from_numpy(x).permute(0, 3, 1, 2).requires_grad_()
    out = torch.nn.functional.interpolate(theirs, (8, 31), mode='bicubic', antialias=True)
    (out * torch.from_numpy(towards).permute(0, 3, 1, 2)).sum().backward()
    assert np.abs(ours - theirs.grad.permute(0, 2, 3, 1).numpy()).max() < 1e-5


def test_the_type_stays_and_equal_size_changes_nothing():
    x = jnp.asarray(_pictures(6, (12, 10)), jnp.bfloat16)
    assert resize.resize(x, (5, 5)).dtype == jnp.bfloat16
    np.testing.assert_array_equal(resize.resize(x, (12, 10), 'bicubic'), x)


@pytest.mark.parametrize(('here', 'there'), [((30, 41), (16, 21)), ((50, 20), (40, 16))])
def test_the_shorter_side_gets_the_size(here, there):
    assert resize.shortest(jnp.zeros((1, *here, 3)), 16).shape[1:3] == there


@pytest.mark.parametrize(('half', 'offset'), [('down', 1), ('even', 2)])
def test_an_odd_margin_is_halved_as_asked(half, offset):
    x = jnp.arange(11.0)[None, :, None, None] * jnp.ones((1, 11, 8, 3))
    out = resize.centre_crop(x, (8, 8), half=half)
    assert out.shape == (1, 8, 8, 3)
    assert float(out[0, 0, 0, 0]) == offset


def test_faults_of_a_config_are_named():
    x = jnp.zeros((1, 8, 8, 3))
    with pytest.raises(errors.ConfigError, match="'lanczos'"):
        resize.resize(x, (4, 4), 'lanczos')
    with pytest.raises(errors.ConfigError, match='9 x 4 from 8 x 8'):
        resize.centre_crop(x, (9, 4))
