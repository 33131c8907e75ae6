import jax
import numpy as np
import torch

from recon.zoo import tensors
from tests.zoo import reference  # noqa: F401


def test_paths_and_names_of_tensors():
    assert tensors.name_of(('down_blocks.0', 'conv1', 'kernel')) == 'down_blocks.0.conv1.weight'
    assert tensors.name_of(('norm', 'scale')) == 'norm.weight'
    assert tensors.name_of(('words', 'embedding')) == 'words.weight'
    assert tensors.name_of(('norm', 'bias')) == 'norm.bias'
    assert tensors.name_of(('logit_scale',)) == 'logit_scale'


def test_layouts_go_there_and_back_and_shapes_are_told_without_arrays():
    for shape, leaf, theirs in (
        ((3, 5), 'kernel', (5, 3)),
        ((2, 3, 4, 5), 'kernel', (5, 4, 2, 3)),
        ((3, 5), 'embedding', (3, 5)),
        ((1, 7, 5), 'position_embedding', (1, 7, 5)),
        ((), 'logit_scale', ()),
        ((4,), 'scale', (4,)),
    ):
        ours = np.random.default_rng(1).normal(size=shape)
        moved = tensors.to_theirs(ours, leaf)
        assert moved.shape == theirs == tensors.shape_of_theirs(shape, leaf)
        np.testing.assert_array_equal(tensors.to_ours(moved, leaf), ours)
        assert not shape or np.shares_memory(moved, ours)  # a view: nothing is copied


def test_a_convolution_and_a_linear_layer_mean_the_same_in_both_layouts():
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(3, 2, 4, 5)).astype(np.float32)  # [h w in out]
    x = rng.normal(size=(1, 7, 8, 4)).astype(np.float32)
    ours = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )
    weight = torch.from_numpy(np.ascontiguousarray(tensors.to_theirs(kernel, 'kernel')))
    theirs = torch.nn.functional.conv2d(reference.nchw(x), weight)
    np.testing.assert_allclose(ours, reference.nhwc(theirs), 1e-4, 1e-5)
    matrix = tensors.to_theirs(kernel[0, 0], 'kernel')
    linear = torch.nn.functional.linear(torch.from_numpy(x), torch.from_numpy(matrix))
    np.testing.assert_allclose(x @ kernel[0, 0], linear, 1e-4, 1e-5)


def test_a_nested_dict_is_flattened_and_nested_again():
    nested = {'a': {'b.0': {'kernel': 1, 'bias': 2}}, 'c': 3}
    flat = {('a', 'b.0', 'kernel'): 1, ('a', 'b.0', 'bias'): 2, ('c',): 3}
    assert tensors.flatten(nested) == flat
    assert tensors.unflatten(flat) == nested


def test_a_state_becomes_parameters_and_a_state_again():
    params = {'a': {'kernel': np.ones((2, 3)), 'bias': np.zeros(3)}, 'b': {'scale': np.ones(4)}}
    state = tensors.state(params)
    assert {name: value.shape for name, value in state.items()} == {
        'a.weight': (3, 2), 'a.bias': (3,), 'b.weight': (4,),
    }  # fmt: skip
    shapes = jax.eval_shape(lambda: params)
    assert jax.tree.map(np.shape, tensors.params(state, shapes)) == jax.tree.map(np.shape, params)


def test_a_table_renames_in_order_and_ignores_buffers_in_any_net():
    table = tensors.Table(
        renames=((r'^old\.', 'new.'), (r'^new\.query', 'new.to_q')), ignored=(r'^aux\.',)
    )
    assert table.today('old.query.bias') == 'new.to_q.bias'
    assert table.today('aux.fc.weight') is None
    for buffer in ('bn1.num_batches_tracked', 'x.embeddings.position_ids', 'position_ids'):
        assert tensors.Table().today(buffer) is None
    assert tensors.Table().today('my_position_ids.weight') == 'my_position_ids.weight'
