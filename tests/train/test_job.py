import types

import numpy as np
import pytest

from recon.core import errors, sharding
from recon.data import loader
from recon.train import job


def made(groups, **more):
    groups = np.array(groups)
    rows = np.arange(len(groups), dtype=np.float32)[:, None]
    return job.Job(rows, 10 * rows, groups, folder=None, **more)


def test_rows_put_aside_are_whole_images_and_the_rest_stays_in_order():
    whole = made(np.repeat(np.arange(10), 3), seed=4)
    kept = whole.with_validation(0.2)
    voxels, target = kept.validation
    assert len(kept) == 24 and len(voxels) == 6
    aside = set(whole.groups[voxels[:, 0].astype(int)])
    assert len(aside) == 2 and not aside & set(kept.groups)
    assert (np.diff(kept.voxels[:, 0]) > 0).all()
    np.testing.assert_array_equal(target, 10 * voxels)
    again = whole.with_validation(0.2).validation[0]
    np.testing.assert_array_equal(again, voxels)
    others = [made(whole.groups, seed=s).with_validation(0.2).validation[0] for s in range(5, 9)]
    assert any(not np.array_equal(other, voxels) for other in others)


def test_rows_to_validate_on_that_are_given_are_kept():
    given = (np.ones((2, 1)), np.ones((2, 1)))
    whole = made(range(6), validation=given)
    assert whole.with_validation(0.5) is whole
    assert made(range(6)).with_validation(0).validation is None


@pytest.mark.parametrize('share', [-0.1, 1.0, 0.01, 0.99])
def test_a_share_that_leaves_no_image_is_refused(share):
    with pytest.raises(errors.ConfigError, match=f'validation={share} of 6'):
        made(range(6)).with_validation(share)


def test_a_batch_is_rows_of_the_job_and_a_multiple_of_the_devices():
    whole = made(range(7), seed=2)
    np.testing.assert_array_equal(whole.rows(3, 4), loader.rows(2, 3, 7, 4))
    shared = made(range(7), mesh=types.SimpleNamespace(shape={'data': 3, 'model': 1}))
    with pytest.raises(errors.ConfigError, match='batch is 4 on 3 devices'):
        shared.rows(0, 4)


def test_a_state_is_divided_where_there_are_devices_to_divide_it_over():
    assert made(range(3)).place(()) is None
    found = made(range(3), mesh=sharding.mesh()).place((('w', ('data',)),))({'w': np.zeros(4)})
    assert tuple(found['w'].spec) == ('data',)


def test_a_length_is_in_steps_and_has_to_be_given():
    rows = made(range(20))
    assert rows.steps({'batch': 4, 'epochs': 3, 'steps': 0}) == 15
    with pytest.raises(errors.ConfigError, match='epochs and steps are 0'):
        rows.steps({'batch': 4, 'epochs': 0, 'steps': 0})
