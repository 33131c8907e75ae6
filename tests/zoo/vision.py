"""How the nets that classify pictures are held against torchvision's. No tests here."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from recon.zoo import tensors
from tests.zoo import reference


def pictures(shape, seed):
    """Normal noise [n h w 3], float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_prepares(net, config, released, size):
    """`net.prepare` equals the preprocessing that comes with torchvision's `released` weights."""
    images = np.random.default_rng(size).random((2, *size, 3), np.float32)
    # In float64, since float32's own error is 4e-5 there.
    expected = reference.nhwc(released.transforms()(reference.nchw(images).double()))
    found = jax.jit(net.prepare, static_argnums=0)(config, images)
    assert found.shape == expected.shape
    assert np.abs(np.asarray(found) - expected).max() < 1e-5


def perturb(module, seed, scale=0.1):
    """`reference.perturb`, and statistics of norms away from 0 and 1; in place, returned."""
    reference.perturb(module, seed, scale)
    generator = torch.Generator().manual_seed(seed + 1)
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean += scale * torch.randn(norm.running_mean.shape, generator=generator)
            norm.running_var *= 0.5 + torch.rand(norm.running_var.shape, generator=generator)
    return module


def nodes(module, names, *x):
    """{name: what the submodule of that name gave}, and the module's output under ''."""
    found, hooks = {}, []
    for name, part in module.named_modules():
        if isinstance(part, torch.nn.ReLU | torch.nn.Dropout | torch.nn.SiLU):
            part.inplace = False  # else the nodes before them are overwritten
        if name in names:
            keep = lambda _, __, y, name=name: found.setdefault(name, y)  # noqa: E731
            hooks.append(part.register_forward_hook(keep))
    found[''] = module(*x)
    for hook in hooks:
        hook.remove()
    return found


def _same_axes(theirs):
    theirs = theirs.detach()
    return reference.nhwc(theirs) if theirs.ndim == 4 else theirs.float().numpy()


def compare(theirs, ours, shape, names, seed, table=None):
    """Differences of outputs, of nodes and of the gradient, ours from theirs.

    Returns:
      {'output', 'gradient', and each of `names` that is a submodule of theirs: relative}.
    """
    x = pictures(shape, seed)
    params = reference.params(theirs, ours, x, table=table)
    y = reference.nchw(x).requires_grad_(True)
    expected = nodes(theirs, names, y)
    output = expected.pop('')
    weights = np.random.default_rng(seed + 1).normal(size=output.shape).astype(np.float32)
    (gradient,) = torch.autograd.grad((output * torch.from_numpy(weights)).sum(), y)

    def scalar(x):
        found = ours.apply({'params': params}, x, method='layers')
        result = ours.apply({'params': params}, x)
        return (result * weights).sum(), (result, {name: found[name] for name in expected})

    differentiated = jax.jit(jax.value_and_grad(scalar, has_aux=True))
    (_, (result, found)), slope = differentiated(jnp.asarray(x))
    out = {name: reference.relative(found[name], _same_axes(expected[name])) for name in expected}
    out['output'] = reference.relative(result, output)
    out['gradient'] = reference.relative(slope, reference.nhwc(gradient))
    return out


def output_difference(theirs, ours, shape, seed, table=None, change=lambda params: params):
    """Difference of the output alone; `change` may spoil the parameters on their way."""
    x = pictures(shape, seed)
    params = change(reference.params(theirs, ours, x, table=table))
    with torch.no_grad():
        expected = theirs(reference.nchw(x))
    return reference.relative(jax.jit(ours.apply)({'params': params}, x), expected)


def random_params(init, seed, scale=0.1):
    """Parameters of the shapes of `init(key)`, from numpy: to compile jax's draws takes seconds."""
    rng = np.random.default_rng(seed)
    draw = lambda leaf: scale * rng.normal(size=leaf.shape).astype(np.float32)  # noqa: E731
    return jax.tree.map(draw, jax.eval_shape(init, jax.random.key(0)))


def from_tensors(ours, named, *example):
    """{tensor name: array} -> parameters of our net."""
    return tensors.params(named, jax.eval_shape(ours.init, jax.random.key(0), *example)['params'])


def block_difference(theirs, ours, x, *, gradient=False):
    """Differences of one block: (output,), or (output, gradient); x is [n h w c]."""
    named = {name: value.numpy() for name, value in theirs.state_dict().items()}
    params = from_tensors(ours, named, x)
    y = reference.nchw(x).requires_grad_(True)
    expected = theirs(y)
    weights = np.random.default_rng(0).normal(size=reference.nhwc(expected).shape)
    (slope,) = torch.autograd.grad((expected * reference.nchw(weights)).sum(), y)

    def scalar(x):  # a function of its own each time, so that it is compiled anew
        result = ours.apply({'params': params}, x)
        return (result * weights).sum(), result

    if not gradient:
        result = jax.jit(scalar)(x)[1]
        return (reference.relative(result, reference.nhwc(expected)),)
    (_, result), found = jax.jit(jax.value_and_grad(scalar, has_aux=True))(x)
    return (
        reference.relative(result, reference.nhwc(expected)),
        reference.relative(found, reference.nhwc(slope)),
    )


def shapes(ours, example):
    """{tensor name: shape in torch's layout} of our net, without any memory."""
    params = jax.eval_shape(ours.init, jax.random.key(0), *example)['params']
    out = {}
    for path, leaf in tensors.flatten(params).items():
        empty = np.broadcast_to(np.float32(0), leaf.shape)
        out[tensors.name_of(path)] = tensors.to_theirs(empty, path[-1]).shape
    return out


def their_shapes(make, table):
    """{tensor name: shape} of a torch class built without memory; and its count of parameters."""
    with torch.device('meta'):
        module = make()
    named = {table.today(name): tuple(v.shape) for name, v in module.state_dict().items()}
    named.pop(None, None)
    return named, sum(parameter.numel() for parameter in module.parameters())


def total(named):
    """How many parameters: the statistics of norms do not count as such in torch."""
    return sum(
        int(np.prod(shape)) for name, shape in named.items() if '.running_' not in f'.{name}'
    )
