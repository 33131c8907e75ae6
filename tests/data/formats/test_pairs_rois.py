import json

import h5py
import nibabel
import numpy as np
import pytest
import scipy.io

from recon.core import errors
from recon.data.datasets import pairs
from recon.data.formats import pairs_rois, pairs_voxels

RNG = np.random.default_rng(0)
MASK = RNG.random((5, 6, 7)) < 0.4
V = int(MASK.sum())
CODES = RNG.integers(-1, 4, MASK.shape).astype(np.int16)  # -1 is no cortex, as in NSD


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'rois').mkdir()
    nibabel.save(nibabel.Nifti1Image(MASK.astype(np.uint8), np.eye(4)), tmp_path / 'mask.nii.gz')
    np.save(tmp_path / 'voxels.npy', np.zeros((3, V), np.float32))
    return tmp_path


def load(root, notes=None, **options):
    voxels = pairs_voxels.load(root, pairs.DEFAULTS['voxels'] | options, [])
    return pairs_rois.load(root, pairs.DEFAULTS['rois'], voxels, [] if notes is None else notes)


def save(path, volume, affine=None):
    affine = np.eye(4) if affine is None else affine
    nibabel.save(nibabel.Nifti1Image(volume, affine), path)


def test_minus_one_is_no_region(folder):
    save(folder / 'rois' / 'V1.nii.gz', np.minimum(CODES, 1))
    rois = load(folder)
    assert np.array_equal(rois['V1'], (CODES > 0)[MASK]) and list(rois) == ['V1']


@pytest.mark.parametrize('order', ['C', 'F'])
def test_codes_are_regions_named_by_a_table_beside(folder, order):
    save(folder / 'rois' / 'prf.nii.gz', CODES)
    flat = CODES.reshape(-1, order=order)[MASK.reshape(-1, order=order)]
    rois = load(folder, order=order)
    assert list(rois) == ['prf=1', 'prf=2', 'prf=3']
    for name, text in (
        ('prf.json', json.dumps({'0': 'none', '1': 'V1', '2': 'V2', '3': 'V3', '4': 'hV4'})),
        (
            'prf.ctab',
            '0 Unknown 0 0 0 0\n1 V1 1 2 3 0\n2 V2 1 1 1 0\n3 V3 1 1 1 0\n4 hV4 0 0 0 0\n',
        ),
        ('prf.txt', '1 V1\n2 V2\n\n3 V3\n4 hV4'),
    ):
        (folder / 'rois' / name).write_text(text)
        notes = []
        rois = load(folder, notes, order=order)
        assert list(rois) == ['V1', 'V2', 'V3', 'hV4'], name
        for code, key in enumerate(rois, start=1):
            assert np.array_equal(rois[key], flat == code)
        assert notes == ['no voxel is in hV4']
        (folder / 'rois' / name).unlink()


@pytest.mark.parametrize('kind', ['npz', 'mat', 'h5'])
def test_one_file_may_hold_all_masks(folder, kind):
    (folder / 'rois').rmdir()
    masks = {'V1': RNG.random(V) < 0.3, 'V2': (RNG.random(V) < 0.3).astype(np.uint8)}
    path = folder / f'rois.{kind}'
    if kind == 'npz':
        np.savez(path, **masks)
    elif kind == 'mat':
        scipy.io.savemat(path, masks)  # [1 v], as MATLAB has it
    else:
        with h5py.File(path, 'w') as file:
            for name, mask in masks.items():
                file[f'group/{name}'] = mask
    rois = load(folder)
    for name, mask in masks.items():
        assert rois[name].dtype == bool and np.array_equal(rois[name], mask.astype(bool))


def test_hemispheres_are_joined_under_the_areas_name(folder):
    left, right = RNG.random((2, V)) < 0.2
    np.save(folder / 'rois' / 'lh.V1.npy', left)
    np.save(folder / 'rois' / 'rh.V1.npy', right)
    np.save(folder / 'rois' / 'lh.prf.npy', np.where(right, 2, 0))
    (folder / 'rois' / 'lh.prf.txt').write_text('2 V2\n')
    rois = load(folder)
    assert set(rois) == {'lh.V1', 'rh.V1', 'V1', 'lh.V2'}
    assert np.array_equal(rois['V1'], left | right)


def test_masks_of_another_size_or_grid_are_named(folder):
    path = folder / 'rois' / 'V1.npy'
    for wrong in (np.zeros(V + 1, bool), np.arange(5), np.zeros((V, 2))):
        np.save(path, wrong)
        with pytest.raises(errors.DataInvalid, match=f'there are {V} voxels.*V1.npy'):
            load(folder)
    np.save(path, np.linspace(0, 1, V))
    with pytest.raises(errors.DataInvalid, match='values such as 0.0.*set a threshold'):
        load(folder)
    np.save(path, np.array([{}], object), allow_pickle=True)
    with pytest.raises(errors.DataInvalid, match='never unpickled'):
        load(folder)
    path.unlink()
    save(folder / 'rois' / 'V1.nii.gz', CODES[:-1])
    with pytest.raises(errors.DataInvalid, match=r'its grid is \(4, 6, 7\)'):
        load(folder)
    save(folder / 'rois' / 'V1.nii.gz', CODES, np.diag([-1.0, 1, 1, 1]))
    with pytest.raises(errors.DataInvalid, match='its affine'):
        load(folder)
    (folder / 'mask.nii.gz').unlink()
    with pytest.raises(errors.DataMissing, match='no mask that says where the voxels are'):
        load(folder)


def test_two_regions_of_one_name_and_tables_that_are_none_are_refused(folder):
    np.save(folder / 'rois' / 'V1.npy', np.zeros(V, bool))
    save(folder / 'rois' / 'V1.nii.gz', (CODES > 0).astype(np.uint8))
    with pytest.raises(errors.DataInvalid, match='two regions are called V1'):
        load(folder)
    (folder / 'rois' / 'V1.npy').unlink()
    for name, text in (('V1.json', '["V1"]'), ('V1.txt', 'V1 one'), ('V1.txt', 'V1')):
        (folder / 'rois' / name).write_text(text)
        with pytest.raises(errors.DataInvalid, match='no table of codes and names'):
            load(folder)
        (folder / 'rois' / name).unlink()


def gifti(path, codes, names=None):
    table = nibabel.gifti.GiftiLabelTable()
    for code, name in (names or {}).items():
        label = nibabel.gifti.GiftiLabel(code)
        label.label = name
        table.labels.append(label)
    array = nibabel.gifti.GiftiDataArray(np.asarray(codes, np.int32), 'NIFTI_INTENT_LABEL')
    nibabel.save(nibabel.gifti.GiftiImage(darrays=[array], labeltable=table), path)


def test_surface_labels_go_to_their_own_hemisphere_and_a_swap_is_seen(tmp_path):
    sizes, both = {'lh': 40, 'rh': 55}, {}
    (tmp_path / 'rois').mkdir()
    for side, size in sizes.items():
        rows = [nibabel.gifti.GiftiDataArray(np.ones(size, np.float32), 'NIFTI_INTENT_ESTIMATE')]
        nibabel.save(nibabel.gifti.GiftiImage(darrays=rows), tmp_path / f'{side}.voxels.func.gii')
        both[side] = RNG.integers(0, 3, size)
        path = tmp_path / 'rois' / f'{side}.areas.label.gii'
        gifti(path, both[side], {0: '???', 1: 'V1', 2: 'V2'})
        assert np.array_equal(nibabel.load(path).agg_data(), both[side])
    rois = load(tmp_path)
    assert set(rois) == {'lh.V1', 'lh.V2', 'rh.V1', 'rh.V2', 'V1', 'V2'}
    assert np.array_equal(rois['V1'], np.concatenate([both['lh'], both['rh']]) == 1)
    assert not rois['lh.V2'][40:].any() and not rois['rh.V2'][:40].any()
    gifti(tmp_path / 'rois' / 'lh.areas.label.gii', both['rh'], {1: 'V1', 2: 'V2'})
    with pytest.raises(errors.DataInvalid, match='55 vertices, the voxels have 40 of lh.*swapped'):
        load(tmp_path)
    gifti(tmp_path / 'rois' / 'lh.areas.label.gii', both['lh'][1:], {1: 'V1'})
    with pytest.raises(errors.DataInvalid, match='39 vertices.*must be on one surface'):
        load(tmp_path)


def test_no_regions_are_no_fault(folder):
    assert load(folder) == {}
    (folder / 'rois').rmdir()
    assert load(folder) == {}
