import dataclasses
import subprocess
import sys
import types as modules

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recon.core import errors, types
from recon.zoo import _feature_cache, features


@dataclasses.dataclass(frozen=True)
class Config:
    width: int = 5


class Small(nn.Module):
    config: Config = Config()
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def layers(self, x):
        first = nn.Conv(self.config.width, (3, 3), (2, 2), dtype=self.dtype)(x)
        second = nn.Dense(7, dtype=self.dtype)(nn.tanh(first).mean((1, 2)))
        return {'first': first, 'second': second}


def LAYERS(config):  # noqa: N802
    return ('first', 'second')


def prepare(config, images):
    return 2 * images - 1


TRACES = []


@dataclasses.dataclass(frozen=True)
class Counted:
    label: str

    def __call__(self, images):
        TRACES.append((self.label, images.shape))
        return 2 * images - 1


@pytest.fixture(scope='module')
def net():
    module = Small()
    init = jax.jit(lambda key, x: module.init(key, x, method='layers')['params'])
    params = init(jax.random.key(3), jnp.zeros((1, 8, 8, 3)))
    return modules.SimpleNamespace(
        name='small', module=module, params=params, config=Config(), folder='here', stamp='small 1'
    )


def pictures(m, seed, side=12):
    return np.random.default_rng(seed).random((m, side, side, 3), np.float32)


def directly(net, images):
    apply = jax.jit(lambda p, x: net.module.apply({'params': p}, 2 * x - 1, method='layers'))
    return jax.tree.map(np.asarray, apply(net.params, jnp.asarray(images)))


@pytest.mark.parametrize('cached', [False, True])
@pytest.mark.parametrize(('m', 'batch'), [(13, 4), (3, 32), (8, 8), (1, 4), (0, 4)])
def test_values_are_the_nets_whatever_the_batch(net, tmp_path, m, batch, cached):
    images = pictures(m, m)
    found = features.extract(
        net, ('second', 'first'), images, batch=batch, cache=tmp_path if cached else None
    )
    assert list(found) == ['second', 'first']
    wanted = directly(net, images)
    for name, values in found.items():
        assert values.shape == wanted[name].shape and values.dtype == np.float32
        np.testing.assert_allclose(values, wanted[name], atol=2e-6)


def test_one_compilation_for_all_batches_and_none_the_second_time(net):
    TRACES.clear()
    for seed in (1, 2):
        features.extract(net, ('second',), pictures(11, seed), batch=4, prepare=Counted('once'))
    assert TRACES == [('once', (4, 12, 12, 3))]


def test_a_second_run_reads_what_the_first_left(net, tmp_path, monkeypatch):
    images = pictures(9, 4)
    first = features.extract(net, ('first', 'second'), images, batch=4, cache=tmp_path)
    for name in ('_run', '_shapes'):  # any use of the net, even to ask for a shape, now fails
        monkeypatch.setattr(features, name, lambda *_: 1 / 0)
    order = np.array([4, 0, 8, 4])
    for index in (slice(None), order):
        again = features.extract(net, ('first', 'second'), images[index], batch=4, cache=tmp_path)
        for name in first:
            np.testing.assert_array_equal(again[name], first[name][index])
    assert isinstance(first['first'], np.memmap) and not first['first'].flags.writeable


def test_equal_pictures_are_computed_once(net, tmp_path):
    images = pictures(2, 5)[[0, 1, 0, 0, 1]]
    features.extract(net, ('second',), images, batch=2, cache=tmp_path)
    [folder] = tmp_path.iterdir()
    assert (folder / 'images.bin').stat().st_size == 2 * 20
    assert (folder / 'values.bin').stat().st_size == 2 * 7 * 4


def test_uint8_counts_as_parts_of_255(net, tmp_path):
    raw = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 3), np.uint8)
    for cache in (None, tmp_path):
        found = features.extract(net, ('second',), raw, cache=cache)['second']
        same = features.extract(net, ('second',), raw.astype(np.float32) / 255, cache=cache)
        np.testing.assert_array_equal(found, same['second'])


def test_another_net_dtype_preprocessing_or_code_has_values_of_its_own(net, tmp_path, monkeypatch):
    images = pictures(3, 6)

    def rows(net=net, **options):
        before = len(list(tmp_path.iterdir()))
        features.extract(net, ('second',), images, cache=tmp_path, **options)
        return len(list(tmp_path.iterdir())) - before

    retrained = modules.SimpleNamespace(**(vars(net) | {'stamp': 'small 2'}))
    assert rows() == 1 and rows() == 0
    assert rows(retrained) == 1
    assert rows(dtype=jnp.bfloat16) == 1
    assert rows(prepare=Counted('a')) == 1 and rows(prepare=Counted('b')) == 1
    monkeypatch.setattr(features, '_code', lambda file: 'mended')
    assert rows() == 1


def test_code_of_a_net_is_its_file_and_those_of_ours_that_it_uses():
    from recon.core import resize
    from recon.zoo import alexnet

    whole = features._code(alexnet)
    assert whole == features._code(alexnet) != features._code(resize)
    blind = modules.ModuleType('blind')
    blind.__file__ = alexnet.__file__
    assert features._code(blind) != whole, 'what it imports must count'


def test_a_stopped_run_keeps_its_finished_pictures(net, tmp_path):
    images = pictures(20, 7)

    def read(rows):
        if rows.max() >= 12:
            raise KeyboardInterrupt
        return images[rows]

    broken = types.Images(np.arange(20), read, (12, 12))
    with pytest.raises(KeyboardInterrupt):
        features.extract(net, ('second',), broken, batch=4, cache=tmp_path)
    [folder] = tmp_path.iterdir()
    assert (folder / 'images.bin').stat().st_size == 12 * 20
    TRACES.clear()
    whole = features.extract(net, ('second',), images, batch=4, cache=tmp_path)['second']
    np.testing.assert_allclose(whole, directly(net, images)['second'], atol=2e-6)
    assert (folder / 'images.bin').stat().st_size == 20 * 20


@pytest.mark.parametrize('cached', [False, True])
def test_pictures_of_a_data_set_are_read_in_parts(net, tmp_path, cached):
    images, asked = pictures(10, 8), []

    def read(rows):
        asked.append(len(rows))
        return images[rows]

    lazy = types.Images(np.arange(100, 110), read, (12, 12))
    ids = [107, 101, 107, 103, 100]
    found = features.extract(
        net, ('second',), lazy, ids=ids, batch=2, cache=tmp_path if cached else None
    )
    wanted = directly(net, images[np.array(ids) - 100])['second']
    np.testing.assert_allclose(found['second'], wanted, atol=2e-6)
    assert asked == [2, 2, 1]


def test_layers_that_are_there_are_not_computed_again(net, tmp_path, monkeypatch):
    images = pictures(4, 9)
    features.extract(net, ('second',), images, cache=tmp_path)
    asked, run = [], features._run

    def watched(module, prepare, params, shape, layers, pictures):
        asked.append(layers)
        return run(module, prepare, params, shape, layers, pictures)

    monkeypatch.setattr(features, '_run', watched)
    features.extract(net, ('first', 'second'), images, cache=tmp_path)
    assert asked == [('first',)]


def test_bfloat16_is_near_float32_and_kept_apart(net):
    images = pictures(5, 10)
    exact = features.extract(net, ('second',), images)['second']
    rough = features.extract(net, ('second',), images, dtype=jnp.bfloat16)['second']
    error = np.abs(rough - exact).max() / np.abs(exact).max()
    assert 1e-5 < error < 2e-2


@pytest.mark.parametrize(('dtype', 'full'), [(jnp.float32, True), (jnp.bfloat16, False)])
def test_float32_is_not_rounded_on_accelerators(net, dtype, full):
    run = features._program(net.module.clone(dtype=dtype), ('second',), Counted('bits'))
    text = str(jax.make_jaxpr(run)(net.params, pictures(1, 0)))
    assert 'conv_general_dilated' in text and ('HIGHEST' in text) == full


def test_a_tail_that_a_killed_process_left_is_cut_off(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(6, 2)
    names = [bytes([i]) * 16 for i in range(6)]
    _feature_cache.Rows(tmp_path, {}, lambda: (2,)).append(names[:3], values[:3])
    [folder] = tmp_path.iterdir()
    with open(folder / 'values.bin', 'ab') as file:
        file.write(b'x' * 100)  # more than what comes next
    with open(folder / 'images.bin', 'ab') as file:
        file.write(b'half')
    rows = _feature_cache.Rows(tmp_path, {}, lambda: (2,))
    assert len(rows.known) == 3
    rows.append(names[2:], values[2:])
    again = _feature_cache.Rows(tmp_path, {}, lambda: (2,))
    np.testing.assert_array_equal(again.read(names), values)
    assert (folder / 'values.bin').stat().st_size == 6 * 8


@pytest.mark.parametrize('rows', [[5], [3, 4, 5], [2]])
def test_rows_that_a_crash_left_as_zeros_are_computed_again(net, tmp_path, caplog, rows):
    images = pictures(6, 11)
    first = np.array(features.extract(net, ('second',), images, batch=2, cache=tmp_path)['second'])
    [folder] = tmp_path.iterdir()
    values = np.memmap(folder / 'values.bin', np.float32, 'r+', shape=first.shape)
    values[rows] = 0
    values.flush()
    for count in (1, 0):  # mended once, and for good
        caplog.clear()
        found = features.extract(net, ('second',), images, batch=2, cache=tmp_path)['second']
        np.testing.assert_allclose(found, first, atol=2e-6)
        assert caplog.text.count('damaged rows are computed again') == count
    assert (folder / 'images.bin').stat().st_size == (6 + len(rows)) * 20


def test_rows_that_another_process_has_added_are_seen_before_writing(tmp_path):
    values = np.arange(10, dtype=np.float32).reshape(5, 2)
    names = [bytes([i]) * 16 for i in range(5)]
    one, other = (_feature_cache.Rows(tmp_path, {}, lambda: (2,)) for _ in range(2))
    one.append(names[:2], values[:2])
    other.append(names[1:4], values[1:4])
    one.append(names[3:], values[3:])
    assert [len(rows.known) for rows in (one, other)] == [5, 4]
    other.refresh()
    for rows in (one, other):
        np.testing.assert_array_equal(rows.read(names), values)


def test_processes_that_write_at_once_lose_and_mix_up_nothing(tmp_path):
    code = (
        'import sys, numpy as np\n'
        'from recon.zoo import _feature_cache\n'
        'seed = int(sys.argv[2])\n'
        'rows = _feature_cache.Rows(sys.argv[1], {}, lambda: (50,))\n'
        'order = np.random.default_rng(seed).permutation(120)\n'
        'for part in np.split(order, 40):\n'
        '    values = np.repeat(part.astype(np.float32)[:, None], 50, 1)\n'
        '    rows.append([b"%016d" % i for i in part], values)\n'
    )
    running = [subprocess.Popen([sys.executable, '-c', code, tmp_path, str(s)]) for s in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    rows = _feature_cache.Rows(tmp_path, {}, lambda: (50,))
    [folder] = tmp_path.iterdir()
    assert (folder / 'images.bin').stat().st_size == 120 * 20
    found = rows.read([b'%016d' % i for i in range(120)])
    np.testing.assert_array_equal(found, np.arange(120)[:, None] * np.ones((1, 50)))


def test_parameters_of_another_type_have_values_of_their_own(net, tmp_path):
    images = pictures(6, 9)
    first = features.extract(net, ('second',), images, cache=tmp_path)['second']
    rounded = modules.SimpleNamespace(
        **vars(net) | {'params': jax.tree.map(lambda x: x.astype(jnp.bfloat16), net.params)}
    )
    wanted = features.extract(rounded, ('second',), images)['second']
    found = features.extract(rounded, ('second',), images, cache=tmp_path)['second']
    np.testing.assert_array_equal(found, wanted)
    assert (found != first).any()


@pytest.mark.parametrize('kind', [np.int64, np.float32, np.uint16])
def test_pictures_of_whole_numbers_are_not_taken_for_light_between_0_and_1(net, kind):
    images = (255 * pictures(3, 7)).astype(kind)
    with pytest.raises(errors.DataInvalid, match=r'up to 2\d\d.*in \[0, 1\], or uint8'):
        features.extract(net, ('second',), images)


def test_a_cache_whose_facts_are_broken_is_told(net, tmp_path):
    features.extract(net, ('second',), pictures(2, 1), cache=tmp_path)
    (facts,) = tmp_path.glob('*/facts.json')
    for text in ('', facts.read_text()[:90], '{}'):
        facts.write_text(text)
        with pytest.raises(errors.DataInvalid, match='remove its folder'):
            features.extract(net, ('second',), pictures(2, 1), cache=tmp_path)


def test_what_a_user_gets_wrong_is_said(net, tmp_path):
    with pytest.raises(errors.ConfigError, match="no layer 'third'.*first, second"):
        features.extract(net, ('third',), pictures(1, 0))
    with pytest.raises(errors.DataInvalid, match=r'\(4, 12, 12\)'):
        features.extract(net, ('first',), pictures(4, 0)[..., 0])
    broken = pictures(3, 0)
    broken[1, 2, 2] = np.nan
    for cache in (None, tmp_path):
        with pytest.raises(errors.DataInvalid, match='layer second has values that are not finite'):
            features.extract(net, ('second',), broken, cache=cache)
    assert not list(tmp_path.glob('*/values.bin'))
