import jax
import numpy as np
import pytest
import torch

from recon.generators import _pix2pix_nets as nets
from tests.zoo import reference

RNG = np.random.default_rng(5)
FUNCTIONAL = torch.nn.functional
THEIRS = {
    nets.down: lambda x, k: FUNCTIONAL.conv2d(x, k, stride=2, padding=1),
    nets.flat: lambda x, k: FUNCTIONAL.conv2d(x, k, stride=1, padding=1),
    nets.up: lambda x, k: FUNCTIONAL.conv_transpose2d(x, k, stride=2, padding=1),
}


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def count(module, *example):
    made = jax.eval_shape(module.init, jax.random.key(0), *example)
    return sum(leaf.size for leaf in jax.tree.leaves(made))


@pytest.mark.parametrize(
    ('kind', 'c', 'f'),
    [('down', 3, 5), ('flat', 3, 5), ('flat', 7, 2), ('up', 3, 5), ('up', 70, 2)],
)
def test_the_convolutions_are_torchs_with_their_gradients(kind, c, f):
    kind = getattr(nets, kind)
    order = (2, 3, 0, 1) if kind is nets.up else (3, 2, 0, 1)
    x, kernel = normal(2, 4, 4, c), normal(4, 4, c, f)  # 70 channels take another path
    x_t = reference.nchw(x).requires_grad_()
    k_t = torch.from_numpy(kernel.transpose(order).copy()).requires_grad_()
    wanted = THEIRS[kind](x_t, k_t)
    weight = normal(*np.moveaxis(wanted.detach().numpy(), 1, -1).shape)
    (wanted * reference.nchw(weight)).sum().backward()

    @jax.jit
    def ours(x, kernel, weight):
        value, pull = jax.vjp(kind, x, kernel)
        return value, *pull(weight)

    value, dx, dk = ours(x, kernel, weight)
    assert reference.relative(value, reference.nhwc(wanted)) < 1e-5
    assert reference.relative(dx, reference.nhwc(x_t.grad)) < 1e-5
    assert reference.relative(dk, k_t.grad.numpy().transpose(np.argsort(order))) < 1e-5


def test_the_published_numbers_of_parameters():
    pictures = jax.ShapeDtypeStruct((1, 256, 256, 3), np.float32)
    assert count(nets.Generator(), pictures) == 54_425_859
    both = jax.ShapeDtypeStruct((1, 256, 256, 6), np.float32)
    assert count(nets.Discriminator(), both) == 2_770_433
