import gzip

import nibabel
import numpy as np
import pytest
from nilearn import maskers

from recon.core import errors
from recon.data.datasets import pairs
from recon.data.formats import pairs_voxels

RNG = np.random.default_rng(0)
MASK = RNG.random((5, 6, 7)) < 0.3
AFFINE = np.array([[-2.0, 0, 0, 5], [0, 2, 0, -3], [0, 0, 3, 1], [0, 0, 0, 1]])
VOLUME = RNG.normal(size=(5, 6, 7, 4)).astype(np.float32)


def load(root, notes=None, **options):
    cfg = pairs.DEFAULTS['voxels'] | options
    return pairs_voxels.load(root, cfg, [] if notes is None else notes)


def save_volume(path, volume, affine=AFFINE, slope=None):
    image = nibabel.Nifti1Image(volume, affine)
    if slope:
        image.header.set_slope_inter(slope, 0)
    nibabel.save(image, path)


def save_surface(path, rows, intent='NIFTI_INTENT_ESTIMATE'):
    arrays = [nibabel.gifti.GiftiDataArray(row, intent) for row in rows]
    nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), path)


@pytest.fixture
def folder(tmp_path):
    save_volume(tmp_path / 'mask.nii.gz', MASK.astype(np.uint8))
    save_volume(tmp_path / 'voxels.nii.gz', VOLUME)
    return tmp_path


def test_a_volume_is_masked_as_nilearn_does(folder):
    voxels = load(folder)
    masker = maskers.NiftiMasker(str(folder / 'mask.nii.gz'), standardize=None).fit()
    assert np.array_equal(voxels.values, masker.transform(str(folder / 'voxels.nii.gz')))
    index = np.argwhere(MASK)
    wanted = nibabel.affines.apply_affine(AFFINE, index)
    np.testing.assert_allclose(voxels.grid.xyz(), wanted)
    assert voxels.values.dtype == np.float32


def test_matlabs_order_is_x_fastest(folder):
    voxels = load(folder, order='F')
    flat = VOLUME.reshape(-1, 4, order='F')[MASK.reshape(-1, order='F')]
    assert np.array_equal(voxels.values, flat.T)
    index = np.stack(
        np.unravel_index(np.flatnonzero(MASK.reshape(-1, order='F')), MASK.shape, 'F'), 1
    )
    np.testing.assert_allclose(voxels.grid.xyz(), nibabel.affines.apply_affine(AFFINE, index))


def test_a_mask_counts_what_is_above_0(folder):
    save_volume(folder / 'mask.nii.gz', np.where(MASK, 1, -1).astype(np.int16))
    assert load(folder).values.shape == (4, MASK.sum())
    nan = np.where(MASK, 1, np.nan).astype(np.float32)
    save_volume(folder / 'mask.nii.gz', nan)
    assert load(folder).values.shape == (4, MASK.sum())
    save_volume(folder / 'mask.nii.gz', -MASK.astype(np.int16))
    with pytest.raises(errors.DataInvalid, match='no voxel is in the mask'):
        load(folder)


def test_headers_that_scale_are_obeyed_and_others_are_divided_on_request(folder):
    stored = np.rint(VOLUME * 300).astype(np.int16)
    save_volume(folder / 'voxels.nii.gz', stored, slope=1 / 300)
    np.testing.assert_allclose(load(folder).values, VOLUME[MASK].T, atol=2e-3)
    save_volume(folder / 'voxels.nii.gz', stored)
    notes = []
    load(folder, notes)
    assert 'median size of' in notes[0] and 'divide=300' in notes[0]
    notes.clear()
    np.testing.assert_array_equal(
        load(folder, notes, divide=300).values, stored[MASK].T.astype(np.float32) / np.float32(300)
    )
    assert not notes


def test_another_grid_or_number_of_axes_is_named(folder):
    save_volume(folder / 'voxels.nii.gz', VOLUME.transpose(2, 1, 0, 3))
    with pytest.raises(errors.DataInvalid, match=r'its grid is \(7, 6, 5\)'):
        load(folder)
    shifted = AFFINE.copy()
    shifted[0, 0] *= -1  # left and right swapped
    save_volume(folder / 'voxels.nii.gz', VOLUME, shifted)
    with pytest.raises(errors.DataInvalid, match='its affine .* is not that of the mask'):
        load(folder)
    save_volume(folder / 'voxels.nii.gz', VOLUME[..., 0])
    with pytest.raises(errors.DataInvalid, match='wanted 4 axes'):
        load(folder)
    (folder / 'mask.nii.gz').unlink()
    with pytest.raises(errors.DataMissing, match='no mask for voxels.nii.gz'):
        load(folder)


@pytest.mark.parametrize('axes', ['rows x y z', 'x y z rows', 'rows z y x', 'z y x rows'])
def test_an_array_of_volumes_goes_by_its_stated_axes(folder, axes):
    (folder / 'voxels.nii.gz').unlink()
    names = ('x', 'y', 'z', 'rows')
    np.save(folder / 'voxels.npy', VOLUME.transpose([names.index(a) for a in axes.split()]))
    assert np.array_equal(load(folder, axes=axes).values, VOLUME[MASK].T)
    wrong = 'rows y x z' if axes != 'rows y x z' else 'rows x y z'
    with pytest.raises(errors.DataInvalid, match=f"axes that would fit: '{axes}'"):
        load(folder, axes=wrong)


def test_arrays_may_be_of_any_kind_of_number_and_are_float32(folder):
    (folder / 'voxels.nii.gz').unlink()
    (folder / 'mask.nii.gz').unlink()
    for kind in (np.float64, np.float16, '>f4', np.int16, np.uint8):
        array = np.arange(12).reshape(3, 4).astype(kind)
        np.save(folder / 'voxels.npy', array)
        found = load(folder)
        assert found.values.dtype == np.float32 and np.array_equal(found.values, array)
        assert np.array_equal(load(folder, axes='voxels rows').values, array.T)
    for wrong in (np.zeros((3, 4), complex), np.array([['a']]), np.zeros((3, 4), bool)):
        np.save(folder / 'voxels.npy', wrong)
        with pytest.raises(errors.DataInvalid, match='type'):
            load(folder)
    for wrong in (np.zeros(5), np.zeros((2, 3, 4)), np.zeros((0, 4)), np.zeros((4, 0))):
        np.save(folder / 'voxels.npy', wrong)
        with pytest.raises(errors.DataInvalid):
            load(folder)


def test_hemispheres_are_joined_by_voxel_and_known_by_their_names(tmp_path):
    rows = RNG.normal(size=(3, 642 + 642)).astype(np.float32)
    save_surface(tmp_path / 'lh.voxels.func.gii', rows[:, :642])
    save_surface(tmp_path / 'rh.voxels.func.gii', rows[:, 642:])
    notes = []
    found = load(tmp_path, notes)
    assert np.array_equal(found.values, rows)
    assert np.array_equal(found.info['hemisphere'], np.repeat([0, 1], 642))
    assert np.array_equal(found.info['vertex'], np.tile(np.arange(642), 2))
    assert 'fsaverage3' in notes[0]
    for name in ('sub-01_hemi-L_space-fsnative.func.gii', 'sub-01_hemi-R_space-fsnative.func.gii'):
        side = slice(0, 600) if '-L_' in name else slice(600, 1250)
        save_surface(tmp_path / name, rows[:, side])
    found = load(tmp_path, file='*hemi-L*.gii,*hemi-R*.gii', join='voxels')
    assert np.array_equal(found.values, rows[:, :1250]) and 'vertex' not in found.info
    assert found.info['hemisphere'].sum() == 650
    assert found.columns == {'lh': slice(0, 600), 'rh': slice(600, 1250)}
    with pytest.raises(errors.DataInvalid, match=r"joined by rows.*\(3, 650\).*join='voxels'"):
        load(tmp_path, file='*hemi-L*.gii,*hemi-R*.gii')


def test_sessions_of_one_surface_are_joined_by_row(tmp_path):
    rows = RNG.normal(size=(5, 642)).astype(np.float32)
    save_surface(tmp_path / 'lh.ses-1.func.gii', rows[:2])
    save_surface(tmp_path / 'lh.ses-2.func.gii', rows[2:])
    found = load(tmp_path, file='lh.*.gii')
    assert np.array_equal(found.values, rows) and found.rows == [2, 3]
    assert (found.info['hemisphere'] == 0).all() and len(found.info['vertex']) == 642


@pytest.mark.parametrize('fault', ['empty', 'cut', 'text', 'promise'])
@pytest.mark.parametrize('kind', ['nii', 'nii.gz', 'func.gii'])
def test_broken_volumes_and_surfaces_are_named(folder, kind, fault):
    path = folder / f'v.{kind}'
    if kind == 'func.gii':
        save_surface(path, VOLUME[0, 0])
    else:
        save_volume(path, VOLUME)
    whole = path.read_bytes()
    lie = whole.replace(b'Dim0="4"', b'Dim0="1000000000000"')
    if kind != 'func.gii':
        raw = bytearray(gzip.decompress(whole) if kind == 'nii.gz' else whole)
        raw[42:48] = np.array([30_000] * 3, '<i2').tobytes()  # x, y, z of the header
        lie = gzip.compress(raw) if kind == 'nii.gz' else bytes(raw)
    assert lie != whole
    broken = {'empty': b'', 'cut': whole[: len(whole) // 2], 'text': b'<html>' * 90, 'promise': lie}
    path.write_bytes(broken[fault])
    with pytest.raises(errors.DataInvalid, match=path.name):
        load(folder, file=path.name)


def test_options_that_do_not_fit_are_refused(folder):
    for options in ({'join': 'rws'}, {'order': 'K'}, {'divide': -1}):
        with pytest.raises(errors.ConfigError, match=f'dataset.voxels.{[*options][0]}'):
            load(folder, **options)


@pytest.mark.parametrize(
    ('name', 'side'),
    [('lh.a.gii', 'lh'), ('a_hemi-R_b.gii', 'rh'), ('sub-1.R.func.gii', 'rh'), ('lrh.gii', ''),
     ('left_x.gii', 'lh'), ('all.gii', '')],
)  # fmt: skip
def test_sides_by_name(name, side):
    assert pairs_voxels.side_of(name) == side


def test_finite_voxels_and_rows_are_counted():
    values = np.ones((600, 5), np.float32)
    values[3, 1], values[599, 1], values[400, 4] = np.nan, np.inf, -np.inf
    good, rows = pairs_voxels.finite(values)
    assert good.tolist() == [True, False, True, True, False] and rows == 3
