import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recon.core import errors, lora


def net(dtype=np.float32):
    """Matrices of two transformers, one of them to be left alone, and what is no matrix."""
    random = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(random.normal(size=shape), dtype)  # noqa: E731
    block = {
        'attn1': {'to_q': {'kernel': draw(6, 6)}, 'to_out.0': {'kernel': draw(6, 6)}},
        'attn2': {'to_k': {'kernel': draw(9, 6)}, 'to_v': {'kernel': draw(9, 6)}},
        'ff': {'net.2': {'kernel': draw(24, 6)}},
    }
    return {'down.0': {'transformer_blocks.0': block}, 'conv': {'kernel': draw(3, 3, 6, 6)}}


def test_nothing_is_added_at_first_and_the_input_is_left_as_it_is():
    params = net()
    added = lora.begin(params, 2, jax.random.key(0))
    assert [name.removeprefix('down.0.transformer_blocks.0.') for name in sorted(added)] == [
        'attn1.to_out.0.kernel',
        'attn1.to_q.kernel',
        'attn2.to_k.kernel',
        'attn2.to_v.kernel',
    ]
    assert lora.count(added) == 2 * (12 + 12 + 15 + 15)
    found = lora.merge(params, added, 5.0)
    assert jax.tree.structure(found) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, found, params)
    assert all(np.any(part['down']) for part in added.values())


def test_a_merged_matrix_does_what_the_matrix_and_its_addition_do_apart():
    params = net()
    added = lora.begin(params, 3, jax.random.key(1))
    name = 'down.0.transformer_blocks.0.attn2.to_v.kernel'
    random = np.random.default_rng(2)
    up = random.normal(size=(3, 6)).astype(np.float32)
    added[name]['up'] = up
    found = lora.merge(params, added, 0.5)['down.0']['transformer_blocks.0']
    before = params['down.0']['transformer_blocks.0']
    x = random.normal(size=(5, 9)).astype(np.float32)
    apart = x @ before['attn2']['to_v']['kernel'] + 0.5 * (x @ added[name]['down'] @ up)
    np.testing.assert_allclose(x @ found['attn2']['to_v']['kernel'], apart, rtol=1e-4, atol=1e-5)
    assert np.abs(apart - x @ before['attn2']['to_v']['kernel']).max() > 0.1
    np.testing.assert_array_equal(
        found['attn2']['to_k']['kernel'], before['attn2']['to_k']['kernel']
    )


def test_other_matrices_can_be_named_and_draws_are_their_own():
    added = lora.begin(net(), 2, jax.random.key(0), r'\.ff\.|attn1')
    assert len(added) == 3
    q, out = (added[f'down.0.transformer_blocks.0.attn1.{k}.kernel'] for k in ('to_q', 'to_out.0'))
    assert not np.allclose(q['down'], out['down'])
    again = lora.begin(net(), 2, jax.random.key(0))
    np.testing.assert_array_equal(
        again['down.0.transformer_blocks.0.attn1.to_q.kernel']['down'], q['down']
    )


def test_the_dtype_of_a_matrix_stays():
    params = net(jnp.bfloat16)
    found = lora.merge(params, lora.begin(params, 2, jax.random.key(0)))
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype('bfloat16')}


def test_what_does_not_fit_is_refused():
    with pytest.raises(errors.ConfigError, match='rank is 0'):
        lora.begin(net(), 0, jax.random.key(0))
    with pytest.raises(errors.ConfigError, match="no matrix matches 'conv'"):
        lora.begin(net(), 2, jax.random.key(0), 'conv')
    added = lora.begin(net(), 2, jax.random.key(0))
    other = net()
    del other['down.0']['transformer_blocks.0']['attn1']
    with pytest.raises(errors.DataInvalid, match=r'attn1.to_\S+kernel \(6, 6\) .*another net'):
        lora.merge(other, added)
    wide = net()
    wide['down.0']['transformer_blocks.0']['attn2']['to_k'] = {'kernel': jnp.zeros((12, 6))}
    with pytest.raises(errors.DataInvalid, match=r'attn2.to_k.kernel \(9, 6\)'):
        lora.merge(wide, added)
