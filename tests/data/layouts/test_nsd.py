"""The written tree against the peers' own readers, and against the simulator's truth."""

import hashlib
import shutil

import h5py
import nibabel
import numpy as np
import pandas
import pytest
import scipy.io
from PIL import Image

from recon.core import errors
from recon.data import mark
from recon.data.layouts import _coco, _nsd_design, _nsd_labels, _nsd_volumes, nsd
from recon.data.simulator import brain as brains
from recon.data.simulator import scenes

B3, B2 = nsd.VERSIONS['b3'], nsd.VERSIONS['b2']
FULL = (73_000, 1000, 9000, 40, (63, 62, 75))  # the design at full size


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return nsd.write(tmp_path_factory.mktemp('nsd') / 'a')


@pytest.fixture(scope='module')
def truth(folder):
    return dict(np.load(folder.with_name('a_truth') / 'truth.npz'))


@pytest.fixture(scope='module')
def second(tmp_path_factory):
    """Subject 2 with another seed; annotations have tests of their own and are left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_coco, 'write', _no_annotations)
        return nsd.write(tmp_path_factory.mktemp('nsd') / 'b', subject=2, seed=5)


@pytest.fixture(scope='module')
def plan():
    return _nsd_design.make(*FULL, seed=3)


def _no_annotations(root, nsd_ids, seed, n):
    return {'ids': np.asarray(nsd_ids), 'coverage': np.zeros((len(nsd_ids), 1), np.float32)}


def digests(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob('*'))
        if p.is_file() and 'annotations' not in p.parts
    }


def betas(folder, space, version=B3):
    (found,) = (folder / 'nsddata_betas' / 'ppdata').glob(f'subj0*/{space}/{version}')
    return found


def masks(folder, space='func1pt8mm'):
    (found,) = (folder / 'nsddata' / 'ppdata').glob(f'subj0*/{space}')
    return found


def volume(path):
    return np.asarray(nibabel.load(path).dataobj)


def table(path):
    """A .ctab as nsd_access reads it."""
    read = pandas.read_csv(path, delimiter=' ', index_col=0, header=None)
    return read[1].to_dict()


def test_the_tree_is_nsds_and_says_that_it_is_simulated(folder):
    names = set(digests(folder)) | {str(p.relative_to(folder)) for p in folder.rglob('*')}
    people, betas_of = 'nsddata/ppdata/subj01', 'nsddata_betas/ppdata/subj01'
    wanted = {
        mark.FILE,
        'nsddata/experiments/nsd/nsd_expdesign.mat',
        'nsddata/experiments/nsd/nsd_stim_info_merged.csv',
        f'{people}/behav/responses.tsv',
        'nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5',
        'annotations/captions_train2017.json',
        f'{betas_of}/fsaverage/{B3}/lh.ncsnr.mgh',
        f'{betas_of}/func1pt8mm/{B3}/betas_session01.mat',
        f'{betas_of}/func1pt8mm/{B2}/betas_session02.nii.gz',
        'nsddata/freesurfer/subj01/label/rh.prf-visualrois.mgz',
        'nsddata/freesurfer/subj01/label/prf-visualrois.mgz.ctab',
        'nsddata/freesurfer/fsaverage/label/lh.Kastner2015.mgz',
    }
    for space in ('func1pt8mm', 'func1mm'):
        wanted |= {f'{people}/{space}/{name}.nii.gz' for name in ('brainmask', 'mean', 'R2')}
        wanted |= {f'{betas_of}/{space}/{B3}/ncsnr{part}.nii.gz' for part in ('', '_split1')}
        for n in (1, 2, 3):
            wanted |= {
                f'{people}/{space}/valid_session0{n}.nii.gz',
                f'{betas_of}/{space}/{B3}/betas_session0{n}.hdf5',
                f'{betas_of}/fsaverage/{B3}/rh.betas_session0{n}.mgh',
                f'{betas_of}/nativesurface/{B3}/lh.betas_session0{n}.hdf5',
            }
        for roi in _nsd_labels.NAMES:
            wanted |= {f'{people}/{space}/roi/{side}{roi}.nii.gz' for side in ('', 'lh.', 'rh.')}
    assert wanted <= names, wanted - names
    # Localisers are not known on fsaverage, and deep nuclei on no surface.
    assert not [n for n in names if 'fsaverage/label' in n and ('floc' in n or 'prf' in n)]
    assert not [n for n in names if 'freesurfer' in n and ('MTL' in n or 'thalamus' in n)]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(folder, second, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_coco, 'write', _no_annotations)
        again = digests(nsd.write(tmp_path / 'a'))
    assert again == digests(folder)
    other = digests(second)
    same = {name for name in set(again) & set(other) if again[name] == other[name]}
    assert all(name.endswith(('.ctab', mark.FILE)) for name in same), same
    shutil.rmtree(tmp_path / 'a')


def test_another_subject_has_other_sizes_and_a_session_that_is_missing(folder, second):
    sizes = []
    for root in (folder, second):
        mask = volume(masks(root) / 'brainmask.nii.gz')
        general = volume(masks(root) / 'roi' / 'nsdgeneral.nii.gz') == 1
        left = nibabel.load(next(root.glob('nsddata/freesurfer/subj*/label/lh.streams.mgz')))
        sizes.append((mask.shape, mask.sum(), general.sum(), left.shape[0]))
    assert all(a != b for a, b in zip(*sizes, strict=True)), sizes
    assert 500 < min(s[2] for s in sizes) < max(s[2] for s in sizes) < 700
    for space, version in (('func1pt8mm', B3), ('func1pt8mm', B2), ('fsaverage', B3)):
        names = {p.name for p in betas(second, space, version).glob('*betas_session*')}
        assert {n.split('session')[1][:2] for n in names} == {'01', '03'}


def test_numbers_of_the_design_count_from_one_and_everyone_shares_the_first(folder):
    held = scipy.io.loadmat(folder / 'nsddata/experiments/nsd/nsd_expdesign.mat')
    order, subjects, shared = (held[k] for k in ('masterordering', 'subjectim', 'sharedix'))
    assert order.shape == (1, 312) and subjects.shape == (8, 104) and shared.shape == (1, 16)
    assert np.array_equal(np.bincount(order[0])[1:], np.full(104, 3))  # each three times, from 1
    assert subjects.min() >= 1 and subjects.max() <= 1000
    assert (subjects[:, :16] == shared).all() and (np.diff(shared[0]) > 0).all()
    assert scenes.held_out(shared - 1).all() and not scenes.held_out(subjects[:, 16:] - 1).any()
    own = subjects[:, 16:].ravel()
    assert len(np.unique(own)) == own.size  # nobody else sees them
    pattern = held['stimpattern']
    assert pattern.shape == (4, 12, 9) and (pattern.sum(2) == [7, 6] * 6).all()
    assert (pattern[:, :, [0, -1]] == 0).all()
    assert (held['basiccnt'][:, -1] == 104).all() and (np.diff(held['basiccnt'], axis=1) >= 0).all()
    assert held['basiccnt'][:, 0].sum() == 78


def test_the_table_of_images_plans_the_same_trials_for_all_subjects(folder):
    held = scipy.io.loadmat(folder / 'nsddata/experiments/nsd/nsd_expdesign.mat')
    sheet = pandas.read_csv(folder / 'nsddata/experiments/nsd/nsd_stim_info_merged.csv')
    first = ['cocoId', 'cocoSplit', 'cropBox', 'loss', 'nsdId', 'flagged', 'BOLD5000', 'shared1000']
    people = [f'subject{s}' for s in range(1, 9)]
    repeats = [f'subject{s}_rep{r}' for s in range(1, 9) for r in range(3)]
    assert list(sheet.columns) == ['Unnamed: 0', *first, *people, *repeats] and len(sheet) == 1000
    assert (sheet['nsdId'] == np.arange(1000)).all() and sheet['flagged'].dtype == bool
    assert np.array_equal(np.flatnonzero(sheet['shared1000']), held['sharedix'][0] - 1)
    for s in range(1, 9):
        shown = held['subjectim'][s - 1][held['masterordering'][0] - 1] - 1
        for r in range(3):
            trial = sheet[f'subject{s}_rep{r}'].to_numpy()
            seen = np.flatnonzero(trial)
            assert np.array_equal(shown[trial[seen] - 1], seen)
            assert np.array_equal(sheet[f'subject{s}'].to_numpy() == 1, trial > 0)
        assert (sheet[f'subject{s}_rep0'] <= sheet[f'subject{s}_rep1']).all()


def test_answers_name_the_images_of_all_trials_from_one(folder, truth):
    path = folder / 'nsddata' / 'ppdata' / 'subj01' / 'behav' / 'responses.tsv'
    sheet = pandas.read_csv(path, sep='\t')
    assert tuple(sheet.columns) == _nsd_design.RESPONSES and sheet.shape == (3 * 78, 19)
    assert (sheet['SUBJECT'] == 1).all() and sheet.groupby(['SESSION', 'RUN']).ngroups == 36
    trial = np.concatenate([truth[f'{part}_trial'] for part in ('train', 'test')])
    ids = np.concatenate([truth[f'{part}_image_id'] for part in ('train', 'test')])
    assert np.array_equal(sheet['73KID'].to_numpy()[trial] - 1, ids)
    old = np.concatenate([truth[f'{part}_repeat'] for part in ('train', 'test')]) > 0
    assert np.array_equal(sheet['ISOLD'].to_numpy()[trial] == 1, old)
    assert (sheet['TRIAL'].min(), sheet['MISSINGDATA'].sum()) == (1, 7)


def test_all_formats_hold_the_same_integers_axes_reversed_in_hdf5(folder):
    at = betas(folder, 'func1pt8mm')
    whole = volume(at / 'betas_session01.nii.gz')
    assert whole.dtype == np.int16 and whole.shape == (20, 20, 16, 78)
    for name in ('betas_session01.hdf5', 'betas_session01.mat'):
        with h5py.File(at / name) as file:
            data = file['betas']
            assert data.shape == (78, 16, 20, 20) and data.chunks == (1, 16, 20, 20)
            assert data.dtype == np.int16 and data.compression is None
            assert np.array_equal(data[()].transpose(3, 2, 1, 0), whole)
    content = (at / 'betas_session01.mat').read_bytes()
    assert content.startswith(b'MATLAB 7.3 MAT-file') and content[126:128] == b'IM'
    with pytest.raises(NotImplementedError, match='v7.3'):
        scipy.io.loadmat(at / 'betas_session01.mat')


def test_headers_do_not_scale_and_what_was_not_measured_is_zero(folder):
    at, mask = betas(folder, 'func1pt8mm'), volume(masks(folder) / 'brainmask.nii.gz') == 1
    for n in (1, 2, 3):
        loaded = nibabel.load(at / f'betas_session0{n}.nii.gz')
        with nibabel.openers.ImageOpener(at / f'betas_session0{n}.nii.gz') as file:
            raw = nibabel.Nifti1Header.from_fileobj(file)
        assert raw['scl_slope'] == 0 and raw['scl_inter'] == 0
        whole = np.asarray(loaded.dataobj)
        assert np.array_equal(loaded.get_fdata(), whole)  # still times 300
        valid = volume(masks(folder) / f'valid_session0{n}.nii.gz') == 1
        assert (valid <= mask).all() and (valid.sum() < mask.sum()) == (n > 1)
        assert (whole[~valid] == 0).all() and (whole[valid].std(1) > 0).all()
        assert 100 < np.median(np.abs(whole[valid])) < 900


@pytest.mark.parametrize('who', ['folder', 'second'])
def test_masked_and_divided_files_are_the_truth_in_every_space(who, request):
    """By hand, with h5py and nibabel alone, as a user of NSD would."""
    root = request.getfixturevalue(who)
    truth = dict(np.load(root.with_name(f'{root.name}_truth') / 'truth.npz'))
    parts = ('train', 'test')
    order = np.argsort(np.concatenate([truth[f'{part}_trial'] for part in parts]))
    for key, space, version in (
        ('', 'func1pt8mm', B3),
        ('b2_', 'func1pt8mm', B2),
        ('func1mm_', 'func1mm', B3),
    ):
        mask = volume(masks(root, space) / 'roi' / 'nsdgeneral.nii.gz') == 1
        found = []
        for n in truth['sessions']:
            with h5py.File(betas(root, space, version) / f'betas_session{n:02d}.hdf5') as file:
                found.append(np.stack([trial.T[mask] for trial in file['betas']]))
        wanted = np.concatenate([truth[f'{key}{part}_voxels'] for part in parts])[order]
        assert wanted.dtype == np.float32
        assert np.array_equal(np.concatenate(found) / np.float32(300), wanted)
        ncsnr = volume(betas(root, space, version) / 'ncsnr.nii.gz')[mask]
        assert np.array_equal(ncsnr, truth[f'{key}info_ncsnr'])
        affine = nibabel.load(masks(root, space) / 'brainmask.nii.gz').affine
        xyz = nibabel.affines.apply_affine(affine, np.argwhere(mask))
        np.testing.assert_allclose(truth[f'{key}info_xyz'], xyz, atol=1e-4)
        assert np.array_equal(truth[f'{key}info_hemisphere'] == 0, xyz[:, 0] < 0)


@pytest.mark.parametrize('who', ['folder', 'second'])
def test_vertices_that_are_nowhere_nan_are_the_truth_on_surfaces(who, request):
    root = request.getfixturevalue(who)
    truth = dict(np.load(root.with_name(f'{root.name}_truth') / 'truth.npz'))
    order = np.argsort(np.concatenate([truth[f'{p}_trial'] for p in ('train', 'test')]))
    for space, owner in (('fsaverage', 'fsaverage'), ('nativesurface', 'subj*')):
        rows, side_of, vertex, labels = [], [], [], []
        for i, side in enumerate(('lh', 'rh')):
            (label,) = root.glob(f'nsddata/freesurfer/{owner}/label/{side}.nsdgeneral.mgz')
            mask = np.asarray(nibabel.load(label).dataobj)[:, 0, 0] == 1
            sessions = []
            for n in truth['sessions']:
                stem = betas(root, space) / f'{side}.betas_session{n:02d}'
                if space == 'fsaverage':
                    image = nibabel.load(f'{stem}.mgh')
                    assert image.get_data_dtype() == '>f4' and image.shape == (2562, 1, 1, 78)
                    sessions.append(np.asarray(image.dataobj)[:, 0, 0].T)
                    lost = np.isnan(sessions[-1])
                    assert (lost.all(0) == lost.any(0)).all()  # a session long
                    assert lost.any() == (n == truth['sessions'][-1])
                else:
                    with h5py.File(f'{stem}.hdf5') as file:
                        assert file['betas'].dtype == np.int16
                        sessions.append(file['betas'][()] / np.float32(300))
            whole = np.concatenate(sessions)
            keep = mask & np.isfinite(whole).all(0)
            assert (keep.sum() < mask.sum()) == (space == 'fsaverage')
            rows.append(whole[:, keep])
            side_of += [i] * keep.sum()
            vertex.append(np.flatnonzero(keep))
            (kastner,) = root.glob(f'nsddata/freesurfer/{owner}/label/{side}.Kastner2015.mgz')
            labels.append(np.asarray(nibabel.load(kastner).dataobj)[keep, 0, 0])
        wanted = [truth[f'{space}_{part}_voxels'] for part in ('train', 'test')]
        wanted = np.concatenate(wanted)[order]
        assert np.array_equal(np.concatenate(rows, 1), wanted) and wanted.shape[1] > 300
        assert np.array_equal(side_of, truth[f'{space}_info_hemisphere'])
        assert np.array_equal(np.concatenate(labels) == 1, truth[f'{space}_roi_Kastner2015/V1v'])
        if space == 'fsaverage':
            assert np.array_equal(np.concatenate(vertex), truth['fsaverage_info_vertex'])


def test_label_volumes_are_minus_one_outside_the_cortex_and_named_by_their_tables(folder, truth):
    at = masks(folder) / 'roi'
    general = volume(at / 'nsdgeneral.nii.gz') == 1
    seen = set()
    for file, names in _nsd_labels.NAMES.items():
        both, left, right = (volume(at / f'{side}{file}.nii.gz') for side in ('', 'lh.', 'rh.'))
        assert (left[10:] < 1).all() and (right[:10] < 1).all()
        assert np.array_equal(np.maximum(left, right), both)
        assert both.min() == (0 if file in _nsd_labels.DEEP else -1) and both.max() <= len(names)
        if file not in _nsd_labels.DEEP:
            path = folder / f'nsddata/freesurfer/subj01/label/{file}.mgz.ctab'
            assert table(path) == dict(enumerate(('Unknown', *names)))
            assert (both == -1).sum() > 0.5 * both.size  # as a boolean it would be nearly all
        for i, name in enumerate(names, start=1):
            key = f'{file}/{name}' if file in _nsd_labels.PREFIXED else name
            seen.add(f'roi_{key}')
            assert np.array_equal(both[general] == i, truth[f'roi_{key}']), key
    unions = {'V1', 'V2', 'V3', 'FFA', 'FBA', 'VWFA'}
    assert {k for k in truth if k.startswith('roi_')} == seen | {f'roi_{u}' for u in unions}
    assert np.array_equal(truth['roi_V1'], truth['roi_V1v'] | truth['roi_V1d'])
    empty = [n for n in ('aTL-faces', 'mTL-bodies', 'mTL-words') if not truth[f'roi_{n}'].any()]
    assert len(empty) == 3
    main = [n for f in (*_nsd_labels.LOCALISED, 'streams') for n in _nsd_labels.NAMES[f]]
    assert all(truth[f'roi_{n}'].any() for n in main if n not in empty)


def test_areas_keep_their_names_in_all_files(truth):
    """The simulator's own area of each voxel, against prf, floc and both atlases."""
    for name in ('V1v', 'V3d', 'hV4'):
        assert np.array_equal(truth['area'] == name, truth[f'roi_{name}'])
        assert np.array_equal(truth['area'] == name, truth[f'roi_Kastner2015/{name}'])
    for name in ('OFA', 'FFA-2', 'EBA', 'PPA', 'RSC', 'VWFA-1'):
        assert np.array_equal(truth['area'] == name, truth[f'roi_{name}'])
    for area, parts in (('LO', ('LO1', 'LO2')), ('MT', ('hMT', 'MST')), ('VO', ('VO1', 'VO2'))):
        found = [truth[f'roi_Kastner2015/{p}'] for p in parts]
        assert np.array_equal(truth['area'] == area, np.any(found, 0))
    assert np.array_equal(truth['roi_HCP_MMP1/V1'], truth['roi_V1'])
    reach = np.hypot(truth['x'], truth['y'])
    assert (reach[truth['roi_ecc1']] >= 0.5).all() and (reach[truth['roi_ecc1']] < 1).all()
    assert _nsd_labels.NAMES['HCP_MMP1'][17] == 'FFC' and len(_nsd_labels.NAMES['HCP_MMP1']) == 180


def test_rows_are_chronological_and_the_split_is_that_of_the_shared_images(folder, truth):
    held = scipy.io.loadmat(folder / 'nsddata/experiments/nsd/nsd_expdesign.mat')
    shown = held['subjectim'][0][held['masterordering'][0] - 1] - 1
    for part in ('train', 'test'):
        trial = truth[f'{part}_trial']
        assert (np.diff(trial) > 0).all() and np.array_equal(
            truth[f'{part}_image_id'], shown[trial]
        )
        assert np.array_equal(truth[f'{part}_session'], trial // 78 + 1)
        assert (truth[f'{part}_run'] - 1 >= 12 * (truth[f'{part}_session'] - 1)).all()
        before = [(shown[:t] == shown[t]).sum() for t in trial]
        assert np.array_equal(truth[f'{part}_repeat'], before)
        shared = np.isin(truth[f'{part}_image_id'], held['sharedix'] - 1)
        assert shared.all() if part == 'test' else not shared.any()
    assert len(truth['train_voxels']) + len(truth['test_voxels']) == 234
    assert len(np.unique(truth['test_image_id'])) < 16  # the fourth session was not recorded


def test_the_missing_session_leaves_gaps_in_repeats_and_runs(second):
    truth = dict(np.load(second.with_name('b_truth') / 'truth.npz'))
    session, run = truth['train_session'], truth['train_run']
    assert set(session) == {1, 3} and not ((run > 12) & (run <= 24)).any() and run.max() == 36
    ids, repeat = truth['train_image_id'], truth['train_repeat']
    assert any(0 not in repeat[ids == i] for i in np.unique(ids))  # first seen in session 2


def test_the_brick_holds_what_is_shown_by_image(folder, truth):
    with h5py.File(folder / 'nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5') as file:
        brick = file['imgBrick']
        assert brick.shape == (1000, 64, 64, 3) and brick.chunks == (1, 64, 64, 3)
        assert brick.dtype == np.uint8
        drawn = scenes.draw(truth['ids'], 64, 0).images
        assert np.array_equal(brick[truth['ids']], drawn)
        filled = np.flatnonzero(brick[()].reshape(1000, -1).any(1))
        pngs = sorted((folder / 'nsddata/stimuli/nsd/shared1000').iterdir())
        assert len(pngs) == 16 and pngs[0].name.startswith('shared0001_nsd')
        shared = [int(p.stem.split('nsd')[1]) - 1 for p in pngs]
        assert sorted(shared) == shared and len(pngs[0].stem) == len('shared0001_nsd02951')
        assert np.array_equal(filled, np.union1d(truth['ids'], shared))
        assert np.array_equal(np.asarray(Image.open(pngs[3])), brick[shared[3]])


def test_trials_have_the_ceiling_that_ncsnr_promises(truth):
    """Correlation with the noise-free signal over all trials, sessions' offsets taken out."""
    ids = np.concatenate([truth['train_image_id'], truth['test_image_id']])
    session = np.concatenate([truth['train_session'], truth['test_session']])
    clean = truth['signals'][np.searchsorted(truth['ids'], ids)]
    best = np.argsort(-truth['info_ncsnr'])[:150]
    for key in ('', 'b2_'):
        voxels = np.concatenate([truth[f'{key}train_voxels'], truth[f'{key}test_voxels']])
        within = [session == s for s in np.unique(session)]
        r = [[np.corrcoef(voxels[at, i], clean[at, i])[0, 1] for at in within] for i in best]
        wanted = np.sqrt(brains.noise_ceiling(truth[f'{key}info_ncsnr'][best])).mean()
        assert abs(np.mean(r) - wanted) < 0.05, (key, np.mean(r), wanted)


def test_at_full_size_the_plan_has_nsds_numbers(plan):
    assert plan.order.shape == (30_000,) and plan.images.shape == (8, 10_000)
    assert plan.images.max() == 73_000 or plan.images.max() > 72_900
    assert plan.per_session == 750 and len(plan.shared) == 1000
    assert (plan.slots.sum(2) == [63, 62] * 6).all() and plan.slots.shape == (40, 12, 75)
    for s in range(8):
        assert len(np.unique(plan.images[s])) == 10_000
    rows = plan.rows(4, np.arange(1, 31))
    assert len(rows['image_id']) == 22_500 and rows['repeat'].max() == 2
    assert rows['run'].max() == 360 and (np.diff(rows['trial']) == 1).all()
    seen = np.unique(rows['image_id'])
    assert 8500 < len(seen) < 10_000  # 9,209 in NSD: late ones fall into sessions not recorded


def test_at_full_size_the_sheet_has_a_row_for_each_image(plan, tmp_path):
    path = tmp_path / 'sheet.csv'
    path.write_bytes(_nsd_design.sheet(plan, _coco.originals(73_000, 3)))
    sheet = pandas.read_csv(path)
    assert len(sheet) == 73_000 and sheet['subject8_rep2'].max() <= 30_000
    assert (sheet[[f'subject{s}' for s in range(1, 9)]].sum() == 10_000).all()
    assert sheet['shared1000'].sum() == 1000


@pytest.mark.long
def test_at_full_size_arrays_are_nsds(full):
    root, _ = full('nsd')
    at = betas(root, 'func1pt8mm')
    assert sorted(p.name for p in at.glob('betas_*')) == [
        'betas_session01.hdf5', 'betas_session02.hdf5',
    ]  # fmt: skip
    mask = volume(masks(root) / 'roi' / 'nsdgeneral.nii.gz') == 1
    assert mask.shape == (82, 106, 84) and abs(mask.sum() / 14_278 - 1) < 0.1
    truth = dict(np.load(f'{root}_truth/truth.npz'))
    parts = ('train', 'test')
    order = np.argsort(np.concatenate([truth[f'{part}_trial'] for part in parts]))
    voxels = np.concatenate([truth[f'{part}_voxels'] for part in parts])[order]
    assert voxels.shape == (1500, mask.sum())
    with h5py.File(at / 'betas_session02.hdf5') as file:
        assert file['betas'].shape == (750, 84, 106, 82)
        for i in (0, 400, 749):
            found = file['betas'][i].T[mask] / np.float32(300)
            assert np.array_equal(found, voxels[750 + i])
    with h5py.File(root / 'nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5') as file:
        assert file['imgBrick'].shape == (73_000, 425, 425, 3)
        for i in truth['ids'][::200]:
            assert np.array_equal(file['imgBrick'][i], scenes.draw([i], 425, 0).images[0])
    assert len(list((root / 'nsddata/stimuli/nsd/shared1000').iterdir())) == 1000


def test_a_cells_border_is_in_the_midline_for_odd_grids_too():
    for x in (20, 21, 81):
        grid = _nsd_volumes.Grid((x, 20, 16), 1.8)
        centres = grid.affine[0, 3] + 1.8 * np.arange(x)
        assert np.isclose(np.abs(centres).min(), 0.9)
        assert (centres < 0).sum() == x // 2
    brain = brains.build(1, 2, 400)
    grid = _nsd_volumes.Grid((21, 20, 16), 6.5)
    where = _nsd_volumes.place(grid, brain, np.arange(400)[:300], 0.7, 1.0, (1,))
    assert np.array_equal(where.xyz[:, 0] < 0, brain.hemisphere[where.voxels] == 0)
    assert (np.diff(where.cells) > 0).all()


def test_an_unknown_scale_or_subject_is_refused(tmp_path):
    with pytest.raises(errors.ConfigError, match="scale is 'huge'"):
        nsd.write(tmp_path / 'a', scale='huge')
    for subject in (0, 9):
        with pytest.raises(errors.ConfigError, match=f'subject is {subject}'):
            nsd.write(tmp_path / 'a', subject=subject)
    assert not (tmp_path / 'a').exists()
