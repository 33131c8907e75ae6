"""The convolutional net of labels against a torch transcription."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from recon.core import errors
from recon.decoders import label_cnn
from recon.train import checkpoint, losses
from tests.zoo import reference

SMALL = {'widths': (4, 6), 'dense': (8,), 'parts': 5}
LABELS = 3


@functools.cache
def fitted(channels=2, voxels=21, seed=0):
    """(net, params as of `fit`, rows [12 v c]); weights by numpy, which spares compiling."""
    net = label_cnn.build(SMALL, (LABELS,))
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((12, voxels, channels), np.float32)
    shapes = jax.eval_shape(net.init, jax.random.key(0), rows)['params']
    params = jax.tree.map(lambda s: 0.4 * draw.standard_normal(s.shape, np.float32), shapes)
    for name in net.norms:
        params[f'{name}_norm']['scale'] += 1
    statistics = label_cnn.measure(net, params, rows, parts=5)
    return net, params, statistics, rows


def as_fitted(**more):
    net, params, statistics, rows = fitted()
    return {
        'net': params,
        'statistics': statistics,
        'shape': np.array([LABELS]),
        'input': np.array(rows.shape[1:]),
        'threshold': np.full(LABELS, 0.5, np.float32),
        'positives': np.array([4, 2, 7]),
        'rows': np.array(12),
    } | more


class Theirs(nn.Module):
    """The published layers, written in torch; [n c v]."""

    def __init__(self, net, params, channels, voxels):
        super().__init__()
        layers, width, left = [], channels, voxels
        for block, features in enumerate(net.widths):
            for i in range(2):
                name = f'block{block}_conv{i}'
                conv = nn.Conv1d(width, features, 3, padding=1, bias=False)
                norm = nn.BatchNorm1d(features, eps=1e-3)
                self._copy(conv.weight, params[name]['kernel'].transpose(2, 1, 0))
                self._copy(norm.weight, params[f'{name}_norm']['scale'])
                self._copy(norm.bias, params[f'{name}_norm']['bias'])
                layers += [conv, norm, nn.ReLU()]
                width = features
            layers.append(nn.MaxPool1d(2))
            left //= 2
        self.features, self.dense = nn.Sequential(*layers), nn.ModuleList()
        width *= left
        for i in range(len(net.dense) + 1):
            name = f'dense{i}' if i < len(net.dense) else 'out'
            kernel = params[name]['kernel']
            layer = nn.Linear(*kernel.shape)
            self._copy(layer.weight, kernel.T)
            self._copy(layer.bias, params[name]['bias'])
            self.dense.append(layer)

    @staticmethod
    def _copy(parameter, value):
        with torch.no_grad():
            parameter.copy_(torch.tensor(np.ascontiguousarray(value)))

    def forward(self, x):
        x = self.features(x).transpose(1, 2).flatten(1)  # our order: voxels, then channels
        for layer in self.dense[:-1]:
            x = torch.relu(layer(x))
        return self.dense[-1](x)


def theirs(net, params, rows):
    return Theirs(net, params, rows.shape[2], rows.shape[1]), torch.tensor(rows.swapaxes(1, 2))


def test_training_mode_gives_torchs_outputs_loss_and_gradients():
    net, params, _, rows = fitted()
    target = (np.random.default_rng(1).random((12, LABELS)) < 0.4).astype(np.float32)
    module, given = theirs(net, params, rows)
    out = module.train()(given)
    log_right = nn.functional.logsigmoid((2 * torch.tensor(target) - 1) * out)
    loss = -((1 - log_right.exp()) ** 2 * log_right).mean()
    loss.backward()

    def ours(params):
        logits = net.apply({'params': params}, rows)
        return losses.focal(logits, target, 2.0), logits

    (value, logits), grads = jax.jit(jax.value_and_grad(ours, has_aux=True))(params)
    assert reference.relative(logits, out) < 1e-5
    assert float(value) == pytest.approx(loss.item(), rel=1e-5)
    convs = [m for m in module.features if isinstance(m, nn.Conv1d)]
    norms = [m for m in module.features if isinstance(m, nn.BatchNorm1d)]
    for name, conv, norm in zip(net.norms, convs, norms, strict=True):
        kernel = grads[name]['kernel'].transpose(2, 1, 0)
        assert reference.relative(kernel, conv.weight.grad) < 1e-5
        assert reference.relative(grads[f'{name}_norm']['scale'], norm.weight.grad) < 1e-5
        assert reference.relative(grads[f'{name}_norm']['bias'], norm.bias.grad) < 1e-5
    for name, layer in zip(('dense0', 'out'), module.dense, strict=True):
        assert reference.relative(grads[name]['kernel'].T, layer.weight.grad) < 1e-5
        assert reference.relative(grads[name]['bias'], layer.bias.grad) < 1e-5


def test_prediction_is_torchs_evaluation_mode_with_the_same_statistics():
    net, params, statistics, rows = fitted()
    module, given = theirs(net, params, rows)
    norms = [m for m in module.features if isinstance(m, nn.BatchNorm1d)]
    for name, norm in zip(net.norms, norms, strict=True):
        norm.running_mean.copy_(torch.tensor(statistics[name]['mean']))
        norm.running_var.copy_(torch.tensor(statistics[name]['var']))
    with torch.no_grad():
        wanted = torch.sigmoid(module.eval()(given))
    got = label_cnn.predict(SMALL, as_fitted(), rows)
    assert got.dtype == np.float32
    assert reference.relative(got, wanted) < 1e-5


def test_measured_norms_give_the_training_rows_as_one_batch():
    net, params, statistics, rows = fitted()
    wanted = label_cnn._logits(net, params, None, rows)
    np.testing.assert_allclose(
        label_cnn.logits(net, params, statistics, rows, parts=5), wanted, atol=1e-5
    )


def test_a_row_does_not_depend_on_the_rows_beside_it():
    *_, rows = fitted()
    params = as_fitted()
    together = label_cnn.predict(SMALL, params, rows)
    np.testing.assert_allclose(
        label_cnn.predict(SMALL, params, rows[7:9]), together[7:9], atol=1e-6
    )


def test_rows_without_channels_get_one():
    net = label_cnn.build(SMALL, (LABELS,))
    rows = np.ones((2, 9), np.float32)
    assert label_cnn.channels(rows, net).shape == (2, 9, 1)
    assert label_cnn.channels(rows[..., None].repeat(2, -1), net).shape == (2, 9, 2)


def test_the_full_size_has_the_layers_of_the_report():
    net = label_cnn.build({}, (133,))
    rows = jax.ShapeDtypeStruct((1, 21025, 2), jnp.float32)
    params = jax.eval_shape(net.init, jax.random.key(0), rows)['params']
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    ins, outs = (2, 32, 32, 64, 64, 128), (32, 32, 64, 64, 128, 128)
    convolutions = sum(3 * i * o + 2 * o for i, o in zip(ins, outs, strict=True))
    dense = (2628 * 128 + 1) * 256 + 257 * 256 + 257 * 133  # 21025 // 2 // 2 // 2 = 2628
    assert count == convolutions + dense == 86_310_853


def test_bfloat16_follows_float32():
    net, params, statistics, rows = fitted()
    half = label_cnn.build(SMALL | {'dtype': 'bfloat16'}, (LABELS,))
    wanted = label_cnn.logits(net, params, statistics, rows)
    got = label_cnn.logits(half, params, statistics, rows)
    assert got.dtype == np.float32
    difference = np.abs(got - wanted).max() / np.abs(wanted).max()
    assert 0 < difference < 0.06


def test_parameters_survive_the_disk(tmp_path):
    *_, rows = fitted()
    params = as_fitted()
    checkpoint.save(tmp_path / 'fit', params, 'x')
    back = checkpoint.load(tmp_path / 'fit', 'x')
    np.testing.assert_array_equal(
        label_cnn.predict(SMALL, back, rows), label_cnn.predict(SMALL, params, rows)
    )


def test_it_says_what_it_is():
    facts = label_cnn.describe(SMALL, as_fitted())['facts']
    assert facts['training rows'] == 12
    assert facts['rows with a category'] == '2 to 7'
    assert facts['parameters'] == sum(leaf.size for leaf in jax.tree.leaves(fitted()[1]))


def test_what_does_not_fit_is_refused():
    net, *_, rows = fitted()
    with pytest.raises(errors.ConfigError, match=r'shape \(4, 4\).*learns labels'):
        label_cnn.build(SMALL, (4, 4))
    with pytest.raises(errors.ConfigError, match="dtype='int8'"):
        label_cnn.build({'dtype': 'int8'}, (4,))
    with pytest.raises(errors.DataInvalid, match='4 voxels or more'):
        label_cnn.channels(rows[:, :3], net)
    with pytest.raises(errors.DataInvalid, match=r'shape \(0, 21, 2\)'):
        label_cnn.channels(rows[:0], net)
    with pytest.raises(errors.DataInvalid, match='not finite'):
        label_cnn.channels(rows * np.nan, net)
    with pytest.raises(errors.DataInvalid, match=r'\(20, 2\), those of the training had \(21, 2\)'):
        label_cnn.predict(SMALL, as_fitted(), rows[:, :20])


def test_a_picture_of_the_cortex_is_read_row_by_row():
    net = label_cnn.build(dict(widths=(4, 4), dense=(4,)), (3,))
    picture = np.arange(2 * 6 * 5 * 2, dtype=np.float32).reshape(2, 6, 5, 2)
    np.testing.assert_array_equal(label_cnn.channels(picture, net), picture.reshape(2, 30, 2))
