import gzip

import nibabel
import numpy as np
import pytest

from recon.core import errors
from recon.data.formats import nifti


def save(path, volume, affine=None):
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4) if affine is None else affine), path)
    return path


@pytest.mark.parametrize('ending', ['.nii', '.nii.gz'])
def test_a_volume_is_what_nibabel_wrote(tmp_path, ending):
    volume = np.random.default_rng(3).integers(-9, 9, (4, 5, 6, 7)).astype(np.int16)
    affine = np.diag([-2.0, 2, 3, 1])
    read, found = nifti.read(save(tmp_path / f'a{ending}', volume, affine), 4)
    assert np.array_equal(read, volume) and np.array_equal(found, affine)


def test_a_header_that_promises_far_more_than_is_there_is_refused_before_it_is_read(
    tmp_path,
):
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((10_000, 10_000, 10_000))
    header['vox_offset'], header['magic'] = 352, b'n+1'
    path = tmp_path / 'a.nii.gz'
    path.write_bytes(gzip.compress(header.binaryblock + b'\0' * 100_000))
    with pytest.raises(errors.DataInvalid, match='promises .10000, 10000, 10000., 1,862'):
        nifti.read(path, 3)


@pytest.mark.parametrize('content', [b'', b'not a volume', gzip.compress(b'\0' * 400)])
def test_a_file_that_is_no_volume_is_refused(tmp_path, content):
    path = tmp_path / 'a.nii.gz'
    path.write_bytes(content)
    with pytest.raises(errors.DataInvalid):
        nifti.read(path, 3)


def test_a_volume_cut_short_is_refused(tmp_path):
    path = save(tmp_path / 'a.nii.gz', np.random.default_rng(0).random((20, 20, 20)))
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(errors.DataInvalid, match='cut short'):
        nifti.read(path, 3)


@pytest.mark.parametrize('kind', [np.int16, np.float32])
def test_a_mask_is_what_is_above_zero_and_minus_one_is_outside(tmp_path, kind):
    volume = np.random.default_rng(5).integers(-1, 2, (4, 5, 6)).astype(kind)
    inside = volume == 1
    if kind == np.float32:
        volume[0, 0, 0], inside[0, 0, 0] = np.nan, False
    path = save(tmp_path / 'a.nii.gz', volume)
    for one in (False, True):
        assert np.array_equal(nifti.read_mask(path, one)[0], inside)
    volume[0, 0, 1:3] = 1, 3
    save(path, volume)
    assert nifti.read_mask(path)[0][0, 0, 2]
    with pytest.raises(errors.DataInvalid, match='it holds 1, 3, a mask has one number'):
        nifti.read_mask(path, one=True)


@pytest.mark.parametrize('seed', range(3))
def test_a_bit_flipped_in_a_packed_file_is_found_by_its_checksum(tmp_path, seed):
    rng = np.random.default_rng(seed)
    image = nibabel.Nifti1Image(rng.integers(0, 2**15, (9, 9, 9)).astype(np.int16), np.eye(4))
    stored = bytearray(gzip.compress(image.to_bytes(), 0))  # stored as it is: any flip is a value
    stored[rng.integers(500, len(stored) - 8)] ^= 64
    (tmp_path / 'a.nii.gz').write_bytes(stored)
    with pytest.raises(errors.DataInvalid, match='CRC check failed'):
        nifti.read(tmp_path / 'a.nii.gz', 3)


def test_a_volume_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(errors.DataMissing, match='no such file'):
        nifti.read(tmp_path / 'a.nii.gz', 3)


def test_grids_that_differ_are_refused_by_shape_and_by_affine():
    eye = np.eye(4)
    nifti.check_grid('a', (2, 3, 4), eye, (2, 3, 4), eye + 1e-5)
    with pytest.raises(errors.DataInvalid, match='its grid'):
        nifti.check_grid('a', (2, 3, 4), eye, (2, 3, 5), eye)
    with pytest.raises(errors.DataInvalid, match='its affine'):
        nifti.check_grid('a', (2, 3, 4), eye, (2, 3, 4), 2 * eye)
