import os
import shutil

import nibabel
import numpy as np
import pytest
from nilearn import datasets, maskers

from recon.core import errors
from recon.data import prepare
from recon.data.datasets import miyawaki2008
from recon.data.layouts import miyawaki2008 as layout
from recon.data.preprocess import audit, rois, select


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return layout.write(tmp_path_factory.mktemp('data') / 'miyawaki2008')


@pytest.fixture(scope='module')
def truth(folder):
    return np.load(folder.with_name('miyawaki2008_truth') / 'truth.npz')


@pytest.fixture(scope='module')
def brain(folder):
    return miyawaki2008.load({'path': str(folder)})


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the folder, its files linked: unlink before writing."""
    return shutil.copytree(folder, tmp_path / 'copy', copy_function=os.link)


def rewrite(path, content):
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content)
    else:
        nibabel.save(content, path)


def change_volume(path, change, dtype=None, affine=None):
    old = nibabel.load(path)
    data = change(np.array(old.dataobj, dtype))
    rewrite(path, nibabel.Nifti1Image(data, old.affine if affine is None else affine))


def load(folder, **options):
    return miyawaki2008.load({'path': str(folder)} | options)


def recipe(folder, names, shift=2):
    """nilearn's way: mask and detrend each run, shift it, join, drop rest. [n v], [n 100]."""
    masker = maskers.NiftiMasker(
        mask_img=str(folder / 'mask' / 'mask.nii.gz'), detrend=True, standardize=None
    ).fit()
    voxels, patterns = [], []
    for name in names:
        x = masker.transform(str(folder / 'func' / f'{name}.nii.gz'))
        y = np.loadtxt(folder / 'label' / f'{name}_label.csv', delimiter=',')
        voxels.append(x[shift:])
        patterns.append(y[: len(y) - shift])
    voxels, patterns = np.concatenate(voxels), np.concatenate(patterns)
    return voxels[patterns[:, 0] != -1], patterns[patterns[:, 0] != -1]


@pytest.mark.parametrize('shift', [0, 2, 3])
@pytest.mark.parametrize(
    ('kind', 'part', 'runs'), [('random', 'train', 20), ('figure', 'test', 12)]
)
def test_voxels_and_patterns_equal_nilearns_recipe(folder, kind, part, runs, shift):
    names = [f'data_{kind}_run{i:02d}' for i in range(1, runs + 1)]
    voxels, patterns = recipe(folder, names, shift)
    split = load(folder, shift=shift).splits()[part]
    np.testing.assert_allclose(split.voxels, voxels, atol=0.02)  # of 8,000 scanner units
    assert np.corrcoef(split.voxels.ravel(), voxels.ravel())[0, 1] > 1 - 1e-9
    shown = load(folder, shift=shift).images[split.image_id][..., 0]
    assert np.array_equal(shown, [p.reshape(10, 10, order='F') for p in patterns])


def test_ids_runs_repeats_and_pictures_are_the_writers(brain, truth):
    for name, split in (('train', brain.train), ('test', brain.test)):
        for key in ('image_id', 'run', 'repeat'):
            assert np.array_equal(getattr(split, key), truth[f'{name}_{key}']), (name, key)
        assert (split.trials == 1).all()
    assert np.array_equal(brain.images[brain.images.ids][..., 0], truth['patterns'])
    assert brain.images.channels == 1 and brain.images.shape == (10, 10) and brain.tr == 2.0
    assert set(brain.train.run) == set(range(1, 21)) and set(brain.test.run) == set(range(21, 33))
    assert set(brain.train.session) == {1} and set(brain.test.session) == {2}
    # Every figure is shown in two runs or more; volumes of one presentation share a repeat.
    assert brain.test.repeat.max() >= 1 and (brain.train.repeat == 0).all()


def test_ids_do_not_depend_on_the_shift_or_on_the_kind_of_rows(folder, brain):
    patterns = brain.images[brain.images.ids]
    for options in (dict(shift=0), dict(shift=5), dict(rows='blocks')):
        other = load(folder, **options).images
        assert np.array_equal(other[other.ids], patterns)


def test_areas_hemispheres_and_places_are_the_writers(brain, truth):
    assert np.array_equal(brain.voxel_info['hemisphere'], truth['hemisphere'])
    assert np.abs(brain.voxel_info['xyz'] - truth['xyz']).max() < 40  # cells of 7 mm, crowded
    assert np.median(np.linalg.norm(brain.voxel_info['xyz'] - truth['xyz'], axis=1)) < 7
    for name, area in layout.AREAS.items():
        here = truth['area'] == area
        assert np.array_equal(brain.rois[name], here)
        assert np.array_equal(brain.rois[f'LH{name}'], here & (truth['hemisphere'] == 0))
        assert np.array_equal(brain.rois[f'RH{name}'], here & (truth['hemisphere'] == 1))
    v1, v2 = brain.rois['V1'], brain.rois['V2']
    assert np.array_equal(v1, np.isin(truth['area'], ('V1d', 'V1v'))) and v1.any()
    both = rois.fit({'keep': 'V1+V2'}, brain)['keep']
    assert np.array_equal(both, v1 | v2)
    assert len(brain.rois) == 38 + 19 + 2


def test_blocks_are_the_means_of_their_volumes(folder, brain):
    blocks = load(folder, rows='blocks')
    for volumes, rows in ((brain.train, blocks.train), (brain.test, blocks.test)):
        keys = [np.stack([s.run, s.image_id, s.repeat], 1) for s in (volumes, rows)]
        assert len(np.unique(keys[1], axis=0)) == len(rows) == len(volumes) / 3
        for i in range(0, len(rows), 7):
            members = (keys[0] == keys[1][i]).all(1)
            wanted = volumes.voxels[members].mean(0)
            np.testing.assert_allclose(rows.voxels[i], wanted, atol=1e-3)
        assert (rows.trials == 1).all()
    assert brain.facts['rows'] == 'single volumes' and blocks.facts['rows'] == 'block averages'


def test_a_pattern_shown_twice_in_a_row_without_rest_is_one_presentation(copy):
    path = copy / 'label' / 'data_random_run01_label.csv'
    lines = path.read_text().splitlines()
    lines[5:8] = lines[2:5]  # instead of rest
    rewrite(path, '\n'.join(lines))
    blocks = load(copy, rows='blocks').train
    assert (blocks.run == 1).sum() == 6 and blocks.repeat.max() == 0
    lines[5:8] = [','.join(['-1'] * 100)] * 3
    lines[8:11] = lines[2:5]
    rewrite(path, '\n'.join(lines))
    blocks = load(copy, rows='blocks').train
    assert (blocks.run == 1).sum() == 6 and blocks.repeat[:2].tolist() == [0, 1]
    assert blocks.image_id[0] == blocks.image_id[1]


def test_the_parent_folder_will_do(folder, brain):
    assert np.array_equal(load(folder.parent).train.voxels, brain.train.voxels)


def test_a_voxel_that_does_not_change_is_exactly_zero(copy, brain):
    path = copy / 'func' / 'data_random_run02.nii.gz'
    mask = nibabel.load(copy / 'mask' / 'mask.nii.gz').get_fdata() > 0
    place = tuple(np.argwhere(mask)[11])

    def flatten(data):
        data[place] = 7321
        return data

    change_volume(path, flatten)
    changed = load(copy).train
    assert (changed.voxels[changed.run == 2, 11] == 0).all()
    assert (changed.voxels[changed.run == 3] == brain.train.voxels[changed.run == 3]).all()
    # A voxel that is flat in one run does no harm in normalising by run either.
    prepared, _ = prepare.run({'order': ('normalise',), 'normalise': {'by': 'run'}}, load(copy))
    assert np.isfinite(prepared.train.voxels).all()


def test_a_figure_that_was_a_training_pattern_is_seen_by_the_audit(copy):
    figure = (copy / 'label' / 'data_figure_run03_label.csv').read_text().splitlines()[2]
    path = copy / 'label' / 'data_random_run07_label.csv'
    lines = path.read_text().splitlines()
    lines[2:5] = [figure] * 3
    rewrite(path, '\n'.join(lines))
    seen = load(copy)
    with pytest.raises(errors.LeakError, match='1 images of test'):
        audit.check({}, seen, seen, {})
    assert audit.check({'allow_seen': True}, seen, seen, {})['label'] == 'seen images'


def test_correct_files_do_not_warn_and_labels_off_by_one_block_do(copy, brain):
    clean = audit.check({}, brain, brain, {})
    assert clean['alignment_warning'] is None and clean['seen_test_images'] == 0
    assert clean['alignment']['0'] > max(clean['alignment']['-1'], clean['alignment']['1'])
    for i in range(1, 21):
        path = copy / 'label' / f'data_random_run{i:02d}_label.csv'
        rows = path.read_text().splitlines()
        rewrite(path, '\n'.join(rows[-6:] + rows[:-6]))  # a presentation and its rest are 6
    late = load(copy)
    assert 'off-by-one' in audit.check({}, late, late, {})['alignment_warning']


def test_voxels_may_be_selected_by_f_over_patterns_or_by_correlation(brain):
    # 140 rows of 3 volumes: drift of a run is shared by its patterns, so F chooses by that too.
    keep = select.fit({'by': 'f', 'classes': 'image_id', 'k': 40}, brain)['keep']
    assert keep.sum() == 40
    seeing = np.any([brain.rois[name] for name in miyawaki2008.AREAS], axis=0)
    chosen = select.fit({'by': 'correlation', 'k': 40}, brain)['keep']
    assert seeing[chosen].mean() > seeing.mean() + 0.2


def test_missing_files_are_counted_and_named(copy, tmp_path):
    (copy / 'func' / 'data_random_run13.nii.gz').unlink()
    (copy / 'mask' / 'LHV1d.nii.gz').unlink()
    with pytest.raises(errors.DataMissing, match=r'2 of 103 .*func/data_random_run13.nii.gz'):
        load(copy)
    with pytest.raises(errors.DataMissing, match='python launch/fetch.py miyawaki2008'):
        load(tmp_path / 'nowhere')
    with pytest.raises(errors.DataMissing, match='dataset.path is not set'):
        load('')


@pytest.mark.parametrize('name', ['func/data_figure_run02', 'mask/mask', 'mask/RHVP'])
@pytest.mark.parametrize('kind', ['cut', 'text', 'empty'])
def test_a_broken_nifti_is_named(copy, name, kind):
    path = copy / f'{name}.nii.gz'
    whole = path.read_bytes()
    content = {'cut': whole[: len(whole) // 2], 'text': b'<html>' * 90, 'empty': b''}[kind]
    rewrite(path, content)
    said = f'(not a readable NIfTI|the file is empty).*{path.name}'
    with pytest.raises(errors.DataInvalid, match=said):
        load(copy)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda rows: rows[:-1], r'34 rows of labels, 35 volumes in data_figure_run05'),
        (lambda rows: [r + ',0' for r in rows], r'labels have shape \(35, 101\)'),
        (lambda rows: [r[:-2] if i == 9 else r for i, r in enumerate(rows)], 'table of numbers'),
        (lambda rows: [r.replace('1', 'x') for r in rows], 'not a table of numbers'),
        (lambda rows: [r.replace('-1', '-2') for r in rows], 'row 1 is neither'),
        (lambda rows: ['2' + r[1:] if i == 2 else r for i, r in enumerate(rows)], 'row 3 is'),
        (lambda rows: ['0' + r[2:] if i == 0 else r for i, r in enumerate(rows)], 'row 1 is'),
        (lambda rows: [], r'labels have shape'),
    ],
)
@pytest.mark.filterwarnings('ignore:loadtxt')
def test_labels_that_do_not_fit_are_named(copy, change, message):
    path = copy / 'label' / 'data_figure_run05_label.csv'
    rewrite(path, '\n'.join(change(path.read_text().splitlines())))
    with pytest.raises(errors.DataInvalid, match=f'{message}.*data_figure_run05_label.csv'):
        load(copy)


@pytest.mark.parametrize('name', ['func/data_random_run04', 'mask/LHV2d'])
def test_a_file_on_another_grid_is_named(copy, name):
    path = copy / f'{name}.nii.gz'
    affine = nibabel.load(path).affine.copy()
    affine[0, 3] += 7
    change_volume(path, lambda x: x, affine=affine)
    with pytest.raises(errors.DataInvalid, match=f'affine.*{path.name}'):
        load(copy)
    change_volume(path, lambda x: x[:-1])
    with pytest.raises(errors.DataInvalid, match=rf'its grid is \(23, 28, 14\).*{path.name}'):
        load(copy)


def test_masks_that_are_labels_or_of_both_sides_are_refused_and_minus_one_is_no_area(copy, brain):
    path, other = (copy / 'mask' / f'{side}V1d.nii.gz' for side in ('LH', 'RH'))
    change_volume(path, lambda x: np.where(x == 0, -1, x), np.int16)
    assert np.array_equal(load(copy).rois['LHV1d'], brain.rois['LHV1d'])
    left, right = (nibabel.load(p).get_fdata() > 0 for p in (path, other))
    one = np.zeros_like(left)
    one[tuple(np.argwhere(right)[0])] = True
    change_volume(path, lambda x: (left | one).astype(np.int16))  # one voxel at the middle
    assert load(copy).rois['LHV1d'].sum() == brain.rois['LHV1d'].sum() + 1
    change_volume(path, lambda x: (left | right).astype(np.int16))
    with pytest.raises(errors.DataInvalid, match='voxels of LHV1d.nii.gz and RHV1d.nii.gz are the'):
        load(copy)
    change_volume(path, lambda x: (left + 2 * one).astype(np.int16))
    with pytest.raises(errors.DataInvalid, match='it holds 1, 2, a mask has one number.*LHV1d'):
        load(copy)


def test_other_axes_nan_and_too_few_volumes_are_named(copy):
    path = copy / 'func' / 'data_random_run01.nii.gz'
    whole = path.read_bytes()

    def spoil(x):
        x[..., 5] = np.nan
        return x

    change_volume(path, spoil, np.float32)
    with pytest.raises(errors.DataInvalid, match='500 values inside the mask.*500 voxels.*run01'):
        load(copy)
    rewrite(path, whole)
    change_volume(path, lambda x: x[..., 0])
    with pytest.raises(errors.DataInvalid, match='wanted 4 axes'):
        load(copy)
    rewrite(path, whole)
    with pytest.raises(errors.DataInvalid, match='41 volumes, shift 41'):
        load(copy, shift=41)


def test_an_empty_mask_and_a_split_of_rest_alone_are_invalid(copy):
    for i in range(1, 13):
        path = copy / 'label' / f'data_figure_run{i:02d}_label.csv'
        rows = path.read_text().splitlines()
        rewrite(path, '\n'.join([','.join(['-1'] * 100)] * len(rows)))
    with pytest.raises(errors.DataInvalid, match='every volume of a whole split is rest'):
        load(copy)
    change_volume(copy / 'mask' / 'mask.nii.gz', np.zeros_like)
    with pytest.raises(errors.DataInvalid, match='no voxel is in the mask'):
        load(copy)


def test_unknown_options_are_refused(folder):
    for options in (dict(rows='rows'), dict(shift=-1)):
        with pytest.raises(errors.ConfigError, match="rows is 'volumes' or 'blocks'"):
            load(folder, **options)


def test_it_downloads_only_if_it_may_and_says_what_went_wrong(folder, tmp_path, monkeypatch):
    calls = []

    def fetch(data_dir, verbose):
        calls.append(data_dir)
        if len(calls) == 1:
            raise OSError('no route to host')
        shutil.copytree(folder, os.path.join(data_dir, 'miyawaki2008'))

    monkeypatch.setattr(datasets, 'fetch_miyawaki2008', fetch)
    target = tmp_path / 'new'
    with pytest.raises(errors.DataMissing, match='103 of 103 files are not there'):
        load(target)
    assert not calls
    with pytest.raises(errors.DataMissing, match='download failed.*no route to host'):
        load(target, download=True)
    assert not target.exists()
    assert len(load(target, download=True).train) == 360
    load(target, download=True)
    assert len(calls) == 2  # what is there is not fetched again


def test_pattern_images_are_binary_pictures_of_one_channel():
    patterns = np.random.default_rng(0).integers(0, 2, (5, 10, 10))
    images = miyawaki2008.pattern_images(patterns)
    assert np.array_equal(images[[3, 1]], np.repeat(patterns[[3, 1], ..., None], 3, -1))
    assert images.channels == 1 and images.shape == (10, 10)
    labels = patterns.transpose(0, 2, 1).reshape(5, -1)
    assert np.array_equal(miyawaki2008.upright(labels), patterns)
    assert np.array_equal(miyawaki2008.upright(labels)[2], labels[2].reshape(10, 10, order='F'))
