import contextlib
import gzip
import pickle
import zlib

import h5py
import nibabel
import numpy as np
import pytest

from recon.core import errors
from recon.data.formats import nsd_volumes

GRID = (7, 9, 6)


def betas(seed=0, trials=37, grid=GRID, dtype=np.int16):
    rng = np.random.default_rng(seed)
    return (800 * rng.standard_normal((trials, *grid))).astype(dtype)


def write_hdf5(path, values, userblock=0, **options):
    """values [t x y z] as NSD's HDF5, axes reversed."""
    with h5py.File(path, 'w', userblock_size=userblock) as file:
        file.create_dataset('betas', data=values.transpose(0, 3, 2, 1), **options)
    return path


def write_nifti(path, values, slope=0.0):
    image = nibabel.Nifti1Image(np.ascontiguousarray(values.transpose(1, 2, 3, 0)), np.eye(4))
    image.header['scl_slope'] = slope
    image.header['scl_inter'] = 0
    path.write_bytes(gzip.compress(image.to_bytes()) if path.suffix == '.gz' else image.to_bytes())
    return path


def write_mgh(path, values):
    """values [t v]."""
    frames = np.ascontiguousarray(values.T)[:, None, None, :]
    nibabel.save(nibabel.freesurfer.MGHImage(frames.astype(np.float32), np.eye(4)), path)
    return path


def whole(recording, positions):
    pieces = list(nsd_volumes.trials(recording, positions))
    assert all(len(piece) == 16 for piece in pieces[:-1])
    return np.concatenate(pieces)


WRITERS = {
    'one chunk a trial': lambda d, v: write_hdf5(d / 'a.hdf5', v, chunks=(1, 6, 9, 7)),
    'contiguous': lambda d, v: write_hdf5(d / 'a.hdf5', v),
    'compressed': lambda d, v: write_hdf5(
        d / 'a.hdf5', v, chunks=(5, 2, 9, 3), compression='gzip', shuffle=True
    ),
    'all trials in a chunk': lambda d, v: write_hdf5(d / 'a.hdf5', v, chunks=(37, 2, 2, 3)),
    'some trials in a chunk': lambda d, v: write_hdf5(d / 'a.hdf5', v, chunks=(10, 6, 9, 7)),
    'matlab 7.3': lambda d, v: write_hdf5(d / 'a.mat', v, userblock=512, chunks=(1, 6, 9, 7)),
    'matlab 7.3, packed': lambda d, v: write_hdf5(
        d / 'a.mat', v, userblock=512, chunks=(2, 3, 9, 7), compression='gzip'
    ),
    'nifti': lambda d, v: write_nifti(d / 'a.nii', v),
    'nifti, packed': lambda d, v: write_nifti(d / 'a.nii.gz', v),
}


@pytest.mark.parametrize('writer', WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize('dtype', [np.int16, np.float32])
def test_every_format_gives_the_same_voxels_in_c_order(tmp_path, writer, dtype, monkeypatch):
    values = betas(seed=3, dtype=dtype)
    mask = np.random.default_rng(1).random(GRID) < 0.3
    path = writer(tmp_path, values)
    for budget in (2**28, 2_000):  # bytes unpacked at once: all, or slabs
        monkeypatch.setattr(nsd_volumes, '_BUDGET', budget)
        recording = nsd_volumes.inspect(path, GRID)
        assert recording.divisor == (300 if dtype == np.int16 else 1)
        found = whole(recording, nsd_volumes.grid_index(mask))
        assert found.dtype == dtype and np.array_equal(found, values[:, mask])


def test_files_of_matlab_are_left_to_the_library(tmp_path):
    """What comes before their HDF5 is counted in offsets by some of its versions alone."""
    path = WRITERS['matlab 7.3'](tmp_path, betas())
    assert nsd_volumes.inspect(path, GRID).offsets is None
    path = WRITERS['one chunk a trial'](tmp_path, betas())
    assert nsd_volumes.inspect(path, GRID).offsets is not None


def test_h5py_and_nibabel_read_the_same_from_the_same_files(tmp_path):
    """The oracle: h5['betas'][t].T and nibabel's [..., t], each masked."""
    values, mask = betas(seed=5), np.random.default_rng(2).random(GRID) < 0.4
    index = nsd_volumes.grid_index(mask)
    path = write_hdf5(tmp_path / 'a.hdf5', values, chunks=(1, 6, 9, 7))
    with h5py.File(path) as file:
        wanted = np.stack([file['betas'][t].T[mask] for t in range(len(values))])
    assert np.array_equal(whole(nsd_volumes.inspect(path, GRID), index), wanted)
    path = write_nifti(tmp_path / 'a.nii.gz', values)
    image = nibabel.load(path)
    wanted = np.asarray(image.dataobj)[mask].T
    assert np.array_equal(whole(nsd_volumes.inspect(path, GRID), index), wanted)


@pytest.mark.parametrize('ending', ['mgh', 'mgz'])
def test_vertices_of_mgh_are_as_nibabel_has_them(tmp_path, ending):
    values = betas(grid=(31,), dtype=np.float32)
    values[3, 7] = np.nan
    path = write_mgh(tmp_path / f'lh.a.{ending}', values)
    recording = nsd_volumes.inspect(path, (31,))
    wanted = nibabel.load(path).get_fdata()[:, 0, 0].T
    found = whole(recording, np.arange(31))
    assert found.dtype == np.float32 and np.array_equal(found, wanted, equal_nan=True)
    assert recording.divisor == 1
    assert np.array_equal(whole(recording, np.array([30, 2])), values[:, [30, 2]])


def test_vertices_of_hdf5_and_no_vertex_at_all(tmp_path):
    values = betas(grid=(20,))
    with h5py.File(tmp_path / 'a.hdf5', 'w') as file:
        file.create_dataset('betas', data=values, chunks=(1, 20))
    recording = nsd_volumes.inspect(tmp_path / 'a.hdf5', (20,))
    assert np.array_equal(whole(recording, np.array([19, 0])), values[:, [19, 0]])
    assert whole(recording, np.array([], int)).shape == (37, 0)


@pytest.mark.parametrize(
    ('slope', 'divisor'), [(0, 300), (np.nan, 300), (1, 300), (1 / 300, 300), (0.5, 2)]
)
def test_the_slope_of_a_header_counts_only_where_it_says_something(tmp_path, slope, divisor):
    path = write_nifti(tmp_path / 'a.nii', betas(), slope)
    assert nsd_volumes.inspect(path, GRID).divisor == divisor


def test_a_header_that_adds_something_is_refused(tmp_path):
    image = nibabel.Nifti1Image(betas().transpose(1, 2, 3, 0), np.eye(4))
    image.header.set_slope_inter(1, 5)
    nibabel.save(image, tmp_path / 'a.nii')
    content = bytearray((tmp_path / 'a.nii').read_bytes())
    content[112:120] = np.array([1, 5], '<f4').tobytes()
    (tmp_path / 'a.nii').write_bytes(content)
    with pytest.raises(errors.DataInvalid, match='its header adds 5'):
        nsd_volumes.inspect(tmp_path / 'a.nii', GRID)


def test_axes_in_another_order_are_named(tmp_path):
    values = betas()

    def hdf5(array):
        with h5py.File(tmp_path / 'a.hdf5', 'w') as file:
            file['betas'] = array
        return nsd_volumes.inspect(tmp_path / 'a.hdf5', GRID)

    with pytest.raises(
        errors.DataInvalid, match=r'axes of space are in the other order.*\(trials, 6, 9'
    ):
        hdf5(values)
    with pytest.raises(errors.DataInvalid, match='trials are at the other end'):
        hdf5(values.transpose(1, 2, 3, 0))
    with pytest.raises(errors.DataInvalid, match='trials are at the other end'):
        hdf5(values.transpose(3, 2, 1, 0))
    with pytest.raises(errors.DataInvalid, match=r'\(37, 6, 9, 5\), the masks \(7, 9, 6\)'):
        hdf5(values.transpose(0, 3, 2, 1)[..., :5])
    for axes, message in (
        ((3, 2, 1, 0), r'\(6, 9, 7, 37\): its axes of space are in the other order'),
        ((0, 1, 2, 3), r'\(37, 7, 9, 6\): its trials are at the other end'),
        ((2, 1, 3, 0), r'\(9, 7, 6, 37\), the masks \(7, 9, 6\)'),
    ):
        image = nibabel.Nifti1Image(values.transpose(axes), np.eye(4))
        nibabel.save(image, tmp_path / 'a.nii.gz')
        with pytest.raises(errors.DataInvalid, match=f'its shape is {message}.*grid of the masks'):
            nsd_volumes.inspect(tmp_path / 'a.nii.gz', GRID)
    with pytest.raises(errors.DataInvalid, match='left and right may be swapped'):
        nsd_volumes.inspect(write_mgh(tmp_path / 'a.mgh', betas(grid=(31,))), (30,))
    with h5py.File(tmp_path / 'v.hdf5', 'w') as file:
        file['betas'] = betas(grid=(31,))
    with pytest.raises(errors.DataInvalid, match='left and right may be swapped'):
        nsd_volumes.inspect(tmp_path / 'v.hdf5', (30,))


@pytest.mark.parametrize('writer', WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize('kind', ['empty', 'cut', 'half', 'text', 'pickle', 'gone'])
def test_a_broken_file_is_named(tmp_path, writer, kind):
    path = writer(tmp_path, betas())
    content = path.read_bytes()
    broken = {
        'empty': b'',
        'cut': content[:-9],
        'half': content[: len(content) // 2],
        'text': b'<html>' * 200,
        'pickle': pickle.dumps(betas()),
    }
    path.unlink()
    if kind != 'gone':
        path.write_bytes(broken[kind])
    wanted = errors.DataMissing if kind == 'gone' else errors.DataInvalid
    with pytest.raises(wanted, match=path.name):
        whole(nsd_volumes.inspect(path, GRID), np.arange(50))


@pytest.mark.parametrize('ending', ['mgh', 'mgz'])
@pytest.mark.parametrize('kind', ['empty', 'cut', 'half', 'text'])
def test_a_broken_mgh_is_named(tmp_path, ending, kind):
    # Noise does not pack, so a byte that is missing is one of the values.
    path = write_mgh(tmp_path / f'lh.a.{ending}', np.random.default_rng(0).random((40, 50)))
    content = path.read_bytes()
    length = {'empty': 0, 'cut': len(content) - 25, 'half': len(content) // 2, 'text': 0}[kind]
    path.unlink()
    path.write_bytes(b'<html>' * 200 if kind == 'text' else content[:length])
    with pytest.raises(errors.DataInvalid, match=path.name):
        whole(nsd_volumes.inspect(path, (50,)), np.arange(50))


def test_flipped_bits_within_gzip_are_found_by_its_checksum(tmp_path):
    path = write_nifti(tmp_path / 'a.nii.gz', betas())
    content = bytearray(path.read_bytes())
    content[-6] ^= 255  # of the checksum itself
    path.write_bytes(content)
    with pytest.raises(errors.DataInvalid, match='cannot be unpacked'):
        whole(nsd_volumes.inspect(path, GRID), np.arange(50))


@pytest.mark.parametrize('name', ['a.nii.gz', 'lh.a.mgz', 'lh.a.mgh'])
def test_any_wrong_byte_is_an_array_or_our_own_error(tmp_path, name):
    path, rng = tmp_path / name, np.random.default_rng(len(name))
    grid = GRID if name == 'a.nii.gz' else (50,)
    write_nifti(path, betas()) if grid == GRID else write_mgh(path, betas(grid=grid))
    content = path.read_bytes()
    for place in (*range(0, 80), *rng.integers(80, len(content), 80)):
        broken = bytearray(content)
        broken[place] = rng.integers(256)
        path.write_bytes(broken)
        with contextlib.suppress(errors.UserError):
            whole(nsd_volumes.inspect(path, grid), np.arange(40))
    for zeros in (4, 300, 2000):
        path.write_bytes(bytes(zeros))
        with pytest.raises(errors.DataInvalid, match=name):
            nsd_volumes.inspect(path, grid)
    for deflated in (zlib.compress(content), content[:10] + b'\x07' * 200):  # zlib.error
        path.write_bytes(deflated)
        with pytest.raises(errors.DataInvalid, match=name):
            nsd_volumes.inspect(path, grid)


def test_headers_that_promise_ten_to_the_twelve_are_refused(tmp_path):
    with h5py.File(tmp_path / 'a.hdf5', 'w') as file:
        file.create_dataset('betas', (10**10, 6, 9, 7), np.int16, chunks=(1, 6, 9, 7))
    with pytest.raises(errors.DataInvalid, match=r'promises \(10000000000, 6, 9, 7\)'):
        nsd_volumes.inspect(tmp_path / 'a.hdf5', GRID)
    for name in ('a.nii', 'a.nii.gz'):
        path = write_nifti(tmp_path / name, betas())
        content = bytearray(
            path.read_bytes() if name == 'a.nii' else gzip.decompress(path.read_bytes())
        )
        content[40:56] = np.array([4, 10_000, 10_000, 10_000, 1, 1, 1, 1], '<i2').tobytes()
        path.write_bytes(content if name == 'a.nii' else gzip.compress(bytes(content)))
        with pytest.raises(errors.DataInvalid, match='promises'):
            nsd_volumes.inspect(path, (10_000,) * 3)
    path = write_mgh(tmp_path / 'a.mgh', betas(grid=(30,)))
    content = bytearray(path.read_bytes())
    content[4:20] = np.array([30, 1, 1, 2**31 - 1], '>i4').tobytes()
    path.write_bytes(content)
    with pytest.raises(errors.DataInvalid, match='promises'):
        nsd_volumes.inspect(path, (30,))


def test_trials_that_were_never_written_are_counted(tmp_path):
    with h5py.File(tmp_path / 'a.hdf5', 'w') as file:
        data = file.create_dataset('betas', (9, 6, 9, 7), np.int16, chunks=(1, 6, 9, 7))
        for t in (0, 1, 2, 4, 5, 8):
            data[t] = 5
    with pytest.raises(errors.DataInvalid, match='3 of 9 trials were never written, first trial 3'):
        nsd_volumes.inspect(tmp_path / 'a.hdf5', GRID)


def test_another_name_or_type_of_the_dataset_is_named(tmp_path):
    with h5py.File(tmp_path / 'a.hdf5', 'w') as file:
        file['other'] = betas()
    with pytest.raises(errors.DataInvalid, match="no dataset 'betas'.*it holds other"):
        nsd_volumes.inspect(tmp_path / 'a.hdf5', GRID)
    write_hdf5(tmp_path / 'a.hdf5', betas().astype(np.uint16))
    with pytest.raises(errors.DataInvalid, match='its type is uint16'):
        nsd_volumes.inspect(tmp_path / 'a.hdf5', GRID)
