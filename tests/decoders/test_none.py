import numpy as np
import pytest

from recon.core import errors
from recon.decoders import none
from recon.train import checkpoint


def test_voxels_pass_as_they_are_of_any_shape(tmp_path):
    rows = np.random.default_rng(0).standard_normal((5, 4, 4, 2))
    params = none.fit({}, rows, np.zeros((5, 8, 8, 3)), groups=None, rois={})
    checkpoint.save(tmp_path / 'none', params)
    out = none.predict({}, checkpoint.load(tmp_path / 'none'), rows[:2])
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, rows[:2].astype(np.float32))


def test_rows_of_another_shape_are_refused():
    params = none.fit({}, np.zeros((5, 7)), np.zeros((5, 8, 8, 3)))
    with pytest.raises(errors.DataInvalid, match='those of the fit'):
        none.predict({}, params, np.zeros((2, 6)))
