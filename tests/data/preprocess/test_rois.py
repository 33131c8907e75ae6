import numpy as np
import pytest

from recon.core import errors
from recon.data.preprocess import rois
from tests.data import small


def test_keep_is_a_union_and_drop_a_difference():
    data = small.brain()
    keep = rois.fit({'keep': ('V1', 'V2')}, data)['keep']
    assert np.array_equal(keep, data.rois['V1'] | data.rois['V2'])
    keep = rois.fit({'keep': ('V1', 'V2'), 'drop': ('V2',)}, data)['keep']
    assert np.array_equal(keep, data.rois['V1'] & ~data.rois['V2'])
    assert np.array_equal(rois.fit({'drop': ('V4',)}, data)['keep'], ~data.rois['V4'])


def test_no_name_keeps_every_voxel_and_one_string_names_several_areas():
    data = small.brain()
    assert rois.fit({}, data)['keep'].all()
    both = rois.fit({'keep': ('V1', 'V2')}, data)['keep']
    assert np.array_equal(rois.fit({'keep': 'V1+V2'}, data)['keep'], both)
    assert np.array_equal(rois.fit({'keep': 'V1,V2'}, data)['keep'], both)


def test_an_unknown_area_is_named_with_those_that_exist_and_their_voxels():
    with pytest.raises(errors.ConfigError, match=r"'FFA'.*V1 \(10\), V2 \(10\), V4 \(10\)"):
        rois.fit({'keep': ('V1', 'FFA')}, small.brain())
    with pytest.raises(errors.ConfigError, match='rois.drop'):
        rois.fit({'drop': ('FFA',)}, small.brain())


def test_an_empty_result_is_refused_by_name():
    with pytest.raises(errors.DataInvalid, match='no voxel is in V1 without V1'):
        rois.fit({'keep': ('V1',), 'drop': ('V1',)}, small.brain())
