import functools
import os
import pickle
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from recon.core import errors
from recon.data import mark, splitting
from recon.data.checks import hypotheses, orientation
from recon.data.datasets import algonauts2023
from recon.data.formats import algonauts_rois
from recon.data.layouts import _coco
from recon.data.layouts import algonauts2023 as layout
from recon.data.layouts import algonauts2023_course as course_layout

FIELDS = ('voxels', 'image_id', 'session', 'run', 'repeat', 'trials')
FRACTION = dict(splitting.DEFAULTS, by='fraction')


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    """The official tree of two subjects."""
    root = tmp_path_factory.mktemp('data')
    for subject, seed in ((1, 0), (4, 2)):
        layout.write(root / f's{subject}', subject=subject, seed=seed)
    return root


@pytest.fixture(scope='module')
def course(tmp_path_factory):
    return course_layout.write(tmp_path_factory.mktemp('data') / 'course', subject=1)


@pytest.fixture
def copy(tree, tmp_path):
    """A copy of subject 1, its files linked: unlink before writing."""
    return shutil.copytree(tree / 's1', tmp_path / 'copy', copy_function=os.link)


@pytest.fixture
def course_copy(course, tmp_path):
    return shutil.copytree(course, tmp_path / 'course', copy_function=os.link)


def load(folder, **options):
    return algonauts2023.load({'path': str(folder)} | options)


def truth_of(folder):
    return np.load(folder.with_name(f'{folder.name}_truth') / 'truth.npz')


def rewrite(path, array, **options):
    path.unlink()
    np.save(path, array, **options)


def swap(folder, pattern):
    for left in list(folder.glob(f'lh{pattern}')):
        right = left.with_name(left.name.replace('lh', 'rh', 1))
        spare = left.with_name('spare')
        left.rename(spare), right.rename(left), spare.rename(right)


def assert_is_the_truth(brain, truth):
    parts = {key.removesuffix('_voxels') for key in truth if key.endswith('_voxels')}
    assert parts == set(brain.splits())
    for name, split in brain.splits().items():
        for field in FIELDS:
            wanted = truth[f'{name}_{field}']
            assert np.array_equal(getattr(split, field), wanted), (name, field)
    rois = {k.removeprefix('roi_'): v for k, v in truth.items() if k.startswith('roi_')}
    assert set(rois) == set(brain.rois)
    assert all(np.array_equal(brain.rois[name], roi) for name, roi in rois.items())
    info = {k.removeprefix('info_') for k in truth if k.startswith('info_')}
    assert info == set(brain.voxel_info)
    for name in info:
        np.testing.assert_allclose(brain.voxel_info[name], truth[f'info_{name}'], rtol=1e-6)


def test_rows_areas_and_places_are_the_writers_for_two_subjects(tree):
    sizes = set()
    for subject in (1, 4):
        brain = load(tree / f's{subject}', subject=subject)
        assert_is_the_truth(brain, truth_of(tree / f's{subject}'))
        assert brain.train.voxels.dtype == np.float32 and brain.facts['subject'] == subject
        sizes.add(brain.train.voxels.shape)
    assert len(sizes) == 2


def test_it_reads_as_the_challenges_own_tutorial_does(tree):
    """Files sorted by name, arrays as they are, label names through the pickled tables."""
    folder = tree / 's1' / 'subj01'
    images = sorted(os.listdir(folder / 'training_split' / 'training_images'))
    brain = load(folder)
    assert brain.train.image_id.tolist() == [int(name[-9:-4]) for name in images]
    sides = [
        np.load(folder / 'training_split' / 'training_fmri' / f'{side}_training_fmri.npy')
        for side in ('lh', 'rh')
    ]
    assert np.array_equal(brain.train.voxels, np.concatenate(sides, 1))
    for i in (0, 9, 10, len(images) - 1):
        with Image.open(folder / 'training_split' / 'training_images' / images[i]) as picture:
            shown = brain.images[brain.train.image_id[i : i + 1]][0]
            assert np.array_equal(shown, np.asarray(picture, np.float32) / 255)
    for name in algonauts_rois.CLASSES:
        table = np.load(folder / 'roi_masks' / f'mapping_{name}.npy', allow_pickle=True).item()
        both = [
            np.load(folder / 'roi_masks' / f'{side}.{name}_challenge_space.npy')
            for side in ('lh', 'rh')
        ]
        for label, area in table.items():
            if label:
                assert np.array_equal(brain.rois[area], np.concatenate(both) == label), area
    where = [
        np.flatnonzero(np.load(folder / 'roi_masks' / f'{s}.all-vertices_fsaverage_space.npy'))
        for s in ('lh', 'rh')
    ]
    assert np.array_equal(brain.voxel_info['vertex'], np.concatenate(where))
    assert brain.voxel_info['hemisphere'].tolist() == [0] * len(where[0]) + [1] * len(where[1])


def test_the_seeds_sets_of_areas_are_there_by_name_and_printed(tree):
    brain = load(tree / 's1')
    low = ('V1v', 'V1d', 'V2v', 'V2d', 'V3v', 'V3d', 'hV4')
    second = ('EBA', 'FBA-1', 'FBA-2', 'mTL-bodies', 'OFA', 'FFA-1', 'FFA-2', 'mTL-faces',
              'aTL-faces', 'OPA', 'PPA', 'RSC')  # fmt: skip
    third = ('early', 'midventral', 'midlateral', 'midparietal', 'ventral', 'lateral', 'parietal')
    sets = {'early_visual': low, 'set1': (*low, 'FFA-1', 'FFA-2', 'PPA'), 'set2': second,
            'set3': third, 'V1': ('V1v', 'V1d'), 'VWFA': ('VWFA-1', 'VWFA-2')}  # fmt: skip
    for name, members in sets.items():
        assert np.array_equal(brain.rois[name], np.any([brain.rois[m] for m in members], 0)), name
        assert brain.facts['roi_definitions'][name] == ' + '.join(members)
    assert not brain.rois['mTL-bodies'].any() and 'mTL-bodies' in brain.facts['notes'][0]
    # Retrosplenial vertices lie in no stream, and only they.
    assert brain.rois['rsc'].any() and not (brain.rois['rsc'] & brain.rois['set3']).any()
    assert (brain.rois['rsc'] | brain.rois['set3']).all()


def test_only_wanted_areas_are_read(tree):
    whole = load(tree / 's1')
    part = load(tree / 's1', rois='V1+FFA')
    keep = whole.rois['V1'] | whole.rois['FFA']
    assert np.array_equal(part.train.voxels, whole.train.voxels[:, keep])
    assert np.array_equal(part.test.voxels, whole.test.voxels[:, keep])
    assert np.array_equal(part.voxel_info['vertex'], whole.voxel_info['vertex'][keep])
    assert np.array_equal(part.rois['FFA'], whole.rois['FFA'][keep])
    both = load(tree / 's1', rois=('V1', 'FFA'))
    assert np.array_equal(both.train.voxels, part.train.voxels)
    with pytest.raises(errors.ConfigError, match=r"names 'V9' \| .*V1 \(\d+\)"):
        load(tree / 's1', rois='V1,V9')
    with pytest.raises(errors.DataInvalid, match='no vertex is in mTL-faces'):
        load(tree / 's1', rois='mTL-faces')


def test_the_noise_ceiling_is_that_of_a_row(tree):
    info = load(tree / 's1').voxel_info
    assert np.array_equal(info['noise_ceiling'], truth_of(tree / 's1')['info_noise_ceiling'])
    assert 'ncsnr' not in info  # that would be of single trials


def test_facts_say_what_a_row_is_and_that_files_are_simulated(tree, copy):
    facts = load(tree / 's1').facts
    assert facts['id_space'] == 'nsd' and facts['contains_shared1000'] is True
    assert facts['simulated'] is True and 'how many is not told' in facts['rows']
    (copy / mark.FILE).unlink()
    facts = load(copy).facts
    assert 'simulated' not in facts
    assert '400 training pictures, published are 9841' in facts['notes']
    assert any('left vertices, published are 19004' in note for note in facts['notes'])


def test_without_test_responses_a_fraction_tests_and_splits_are_by_image(copy):
    shutil.rmtree(copy / 'subj01' / 'test_split' / 'test_fmri')
    drawn = load(copy)
    assert any('20% of the training pictures test' in note for note in drawn.facts['notes'])
    assert len(drawn.test) == 80 and '20% of the images test' in drawn.facts['split']
    for test, count in ((0.2, 80), (0.3, 120)):
        brain = load(copy, split=FRACTION | {'test': test, 'validation': 0.1})
        assert len(brain.test) == count and brain.validation is not None
        parts = [set(s.image_id.tolist()) for s in brain.splits().values()]
        assert len(set.union(*parts)) == sum(map(len, parts)) == 400
        assert f'{test:.0%} of the images test' in brain.facts['split']
    assert not brain.extra_tests


def test_another_split_is_of_the_training_rows_and_keeps_the_official_test_apart(tree, tmp_path):
    own = load(tree / 's1')
    brain = load(tree / 's1', split=FRACTION)
    assert len(brain.train) + len(brain.test) == len(own.train)
    assert np.array_equal(brain.extra_tests['official_test'].voxels, own.test.voxels)
    for i in range(len(brain.test)):
        row = np.flatnonzero(own.train.image_id == brain.test.image_id[i])[0]
        assert np.array_equal(brain.test.voxels[i], own.train.voxels[row])
    named = tmp_path / 'ids.txt'
    named.write_text('\n'.join(map(str, own.train.image_id[[5, 3]].tolist())))
    brain = load(tree / 's1', split=FRACTION | {'by': 'file', 'file': str(named)})
    assert brain.test.image_id.tolist() == own.train.image_id[[3, 5]].tolist()
    with pytest.raises(errors.ConfigError, match='dataset.split.sessions'):
        load(tree / 's1', split=FRACTION | {'by': 'session', 'sessions': (1,)})


def test_an_image_in_both_splits_is_a_leak(copy):
    images = copy / 'subj01' / 'test_split' / 'test_images'
    twice = load(copy).train.image_id.max()
    *_, before, last = sorted(images.iterdir())
    assert int(before.name[-9:-4]) < twice  # so that the test ids still ascend
    last.rename(last.with_name(f'{last.name[:-9]}{twice:05d}.png'))
    with pytest.raises(errors.LeakError, match=f'image {twice} is in train and in test'):
        load(copy)
    with pytest.raises(errors.LeakError, match='in the training and in the test split'):
        load(copy, split=FRACTION)


def test_scoring_on_the_shared_images_is_refused_at_once(tmp_path):
    with pytest.raises(errors.LeakError, match='almost all of the shared1000'):
        load(tmp_path / 'nowhere', test='shared1000')
    with pytest.raises(errors.ConfigError, match="dataset.test is 'special515'"):
        load(tmp_path / 'nowhere', test='special515')


def test_missing_folders_and_subjects_are_named(tree, tmp_path):
    with pytest.raises(errors.DataMissing, match=r'no subj03/training_split \(there: subj01\)'):
        load(tree / 's1', subject=3)
    for path in ('', tmp_path / 'nowhere'):
        with pytest.raises(errors.DataMissing, match='launch/fetch.py algonauts2023.*:smoke'):
            algonauts2023.load({'path': str(path) if path else ''})
    with pytest.raises(errors.ConfigError, match="dataset.layout is 'Course'"):
        load(tree / 's1', layout='Course')
    assert load(tree / 's4' / 'subj04').facts['subject'] == 4


@pytest.mark.parametrize(
    ('pattern', 'folder'),
    [
        ('*_fmri.npy', 'training_split/training_fmri'),
        ('.*_space.npy', 'roi_masks'),
        ('.*_challenge_space.npy', 'roi_masks'),
        ('.all-vertices*', 'roi_masks'),
        ('*_fmri.npy', 'test_split/test_fmri'),
        ('.floc-*_fsaverage_space.npy', 'roi_masks'),
    ],
)
def test_swapped_hemispheres_are_caught(copy, pattern, folder):
    swap(copy / 'subj01' / folder, pattern)
    with pytest.raises(errors.DataInvalid, match='(lh and rh files are|left and right) swapped'):
        load(copy)


def test_hemispheres_of_one_size_that_are_swapped_are_caught_by_the_long_masks(copy):
    folder = copy / 'subj01'
    left = np.load(folder / 'training_split/training_fmri/lh_training_fmri.npy').shape[1]
    for path in folder.rglob('rh*_fmri.npy'):
        rewrite(path, np.load(path)[:, :left])
    for path in (folder / 'roi_masks').glob('rh.*_challenge_space.npy'):
        rewrite(path, np.load(path)[:left])
    path = folder / 'roi_masks' / 'rh.all-vertices_fsaverage_space.npy'
    whole = np.load(path)
    whole[np.flatnonzero(whole)[left:]] = 0
    rewrite(path, whole)
    rewrite(folder / 'test_split/noise_ceiling/rh_noise_ceiling.npy', np.zeros(left, np.float32))
    assert load(copy).train.voxels.shape[1] == 2 * left
    swap(folder / 'roi_masks', '.*_challenge_space.npy')
    with pytest.raises(errors.DataInvalid, match='it differs from lh.prf-visualrois_challenge'):
        load(copy)
    swap(folder / 'roi_masks', '.*_challenge_space.npy')
    path = folder / 'roi_masks' / 'lh.streams_challenge_space.npy'
    rewrite(path, np.roll(np.load(path), 1))
    with pytest.raises(errors.DataInvalid, match='two subjects or releases are mixed'):
        load(copy)


def change_fmri(copy, change, sides=('lh', 'rh')):
    for side in sides:
        path = copy / 'subj01' / 'training_split' / 'training_fmri' / f'{side}_training_fmri.npy'
        rewrite(path, change(np.load(path)), allow_pickle=True)


def nan(x):
    x[7, 3] = np.nan
    return x


@pytest.mark.parametrize(
    ('change', 'sides', 'message'),
    [
        (lambda x: x * 300, ('lh', 'rh'), 'multiplied by 300'),
        (lambda x: x / 300, ('lh', 'rh'), 'divided by 300'),
        (lambda x: x.T, ('lh', 'rh'), '690 rows of the left.*transpose the arrays'),
        (lambda x: x[:-1], ('lh', 'rh'), '399 rows of responses, 400 pictures'),
        (lambda x: x[:-1], ('lh',), '399 rows of the left hemisphere, 400 of the right'),
        (lambda x: x[:, :-1], ('lh',), 'the responses of this hemisphere have 689 columns'),
        (nan, ('rh',), '1 values are NaN or infinite, first in row 7, vertex 693'),
        (lambda x: (300 * x).astype(np.int16), ('lh', 'rh'), 'type is int16.*wanted floats'),
        (lambda x: x.astype(object), ('lh',), 'objects are never unpickled'),
        (lambda x: x[..., None], ('lh',), 'wanted 2 axes'),
    ],
)
def test_responses_that_do_not_fit_are_refused(copy, change, sides, message):
    change_fmri(copy, change, sides)
    with pytest.raises(errors.DataInvalid, match=message):
        load(copy)


def test_axes_the_other_way_round_are_named_where_shapes_say_so(copy):
    change_fmri(copy, lambda x: x[:, :500].T)
    with pytest.raises(errors.DataInvalid, match='transpose the arrays'):
        load(copy)


@pytest.mark.parametrize(
    'name',
    [
        'training_split/training_fmri/rh_training_fmri.npy',
        'test_split/test_fmri/lh_test_fmri.npy',
        'test_split/noise_ceiling/rh_noise_ceiling.npy',
        'roi_masks/lh.floc-words_challenge_space.npy',
        'roi_masks/rh.prf-visualrois_fsaverage_space.npy',
        'roi_masks/lh.all-vertices_fsaverage_space.npy',
    ],
)
@pytest.mark.parametrize('kind', ['cut', 'text', 'empty', 'pickle', 'promise'])
def test_a_broken_array_is_named(copy, name, kind):
    path = copy / 'subj01' / name
    whole = path.read_bytes()
    huge = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    huge = b'\x93NUMPY\x01\x00' + len(huge).to_bytes(2, 'little') + huge
    content = {
        'cut': whole[: len(whole) // 2],
        'text': b'<html>' * 90,
        'empty': b'',
        'pickle': pickle.dumps({'a': 1}),
        'promise': huge,
    }[kind]
    path.unlink()
    path.write_bytes(content)
    started = time.time()
    with pytest.raises(errors.DataInvalid, match=path.name):
        load(copy)
    assert time.time() - started < 5


def test_a_missing_hemisphere_is_named_and_a_missing_class_noted(copy):
    for path in (copy / 'subj01' / 'roi_masks').glob('*floc-faces*'):
        path.unlink()
    brain = load(copy)
    assert 'no masks of floc-faces: its areas are missing' in brain.facts['notes']
    # A set of which a part is missing would be another set.
    assert not {'FFA', 'set1', 'set2'} & set(brain.rois) and 'set3' in brain.rois
    (copy / 'subj01' / 'roi_masks' / 'rh.streams_challenge_space.npy').unlink()
    with pytest.raises(errors.DataMissing, match=r'rh.streams_challenge_space.npy'):
        load(copy)


def test_a_noise_ceiling_in_percent_is_refused(copy):
    path = copy / 'subj01' / 'test_split' / 'noise_ceiling' / 'lh_noise_ceiling.npy'
    rewrite(path, 100 * np.load(path))
    with pytest.raises(errors.DataInvalid, match='wanted 690 fractions from 0 to 1'):
        load(copy)


def test_label_tables_are_unpickled_only_if_asked(copy, tmp_path):
    path = copy / 'subj01' / 'roi_masks' / 'mapping_floc-places.npy'
    rewrite(path, np.array({0: 'Unknown', 1: 'TOS', 2: 'PPA', 3: 'RSC'}, dtype=object))
    assert 'TOS' not in load(copy).rois
    brain = load(copy, pickles=True)
    assert 'TOS' in brain.rois and 'OPA' not in brain.rois and 'set2' not in brain.rois


originals = functools.cache(_coco.originals)


def write_list(path, ids, seed, subject=1, shift=0, twice=()):
    """nsd_stim_info_merged.csv of which only `ids` were seen; `twice`: shares a COCO id with."""
    known = originals(73_000, seed)
    coco = known['cocoId'].copy()
    for a, b in twice:
        coco[a] = coco[b]
    seen = np.isin(np.arange(73_000), ids)
    lines = [f',cocoId,cocoSplit,cropBox,nsdId,shared1000,subject{subject}']
    for i in range(73_000):
        box = '"(0, 0, 0.1, 0.1)"'
        shared = i % 10 == 9
        split = known['cocoSplit'][i]
        lines.append(f'{i},{coco[i]},{split},{box},{i + shift},{shared},{int(seen[i])}')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines))
    return path


def test_ids_off_by_one_are_caught_by_nsds_list(tree, copy, tmp_path):
    truth = truth_of(tree / 's1')
    path = tmp_path / 'nsd' / 'nsddata/experiments/nsd/nsd_stim_info_merged.csv'
    write_list(path, truth['ids'], seed=0)
    brain = load(tree / 's1', nsd=str(path))
    assert brain.facts['shared1000_in_training'] == (brain.train.image_id % 10 == 9).sum() == 40
    images = copy / 'subj01' / 'training_split' / 'training_images'
    for name in sorted(images.iterdir()):
        i = int(name.name[-9:-4])
        name.rename(name.with_name(f'{name.name[:-9]}{i + 1:05d}.png'))
    assert load(copy).train.image_id[0] == truth['train_image_id'][0] + 1
    with pytest.raises(errors.DataInvalid, match='of 400 ids are not of pictures that subject 1'):
        load(copy, nsd=str(tmp_path / 'nsd'))


def test_the_course_copy_is_the_writers(course):
    brain = load(course, split=FRACTION)
    truth = truth_of(course)
    assert_is_the_truth(brain, truth)
    assert brain.label_names == tuple(truth['label_names']) and len(brain.label_names) == 133
    assert all(np.array_equal(brain.labels[i], truth['labels'][i]) for i in truth['ids'])
    assert brain.facts['layout'] == 'course' and brain.facts['id_space'] == 'course:1'
    assert any('nobody says which pictures' in note for note in brain.facts['notes'])
    drawn = brain.images[[2, 10]]
    folder = course / 'subj01' / 'training_split' / 'training_images'
    for i, shown in zip((2, 10), drawn, strict=True):
        with Image.open(folder / f'{i}.png') as picture:
            assert np.array_equal(shown, np.asarray(picture, np.float32) / 255)
    assert_is_the_truth(load(course), truth)


def test_the_course_copy_gets_its_nsd_ids_back(course, tmp_path):
    truth = truth_of(course)
    nsd_id = truth['nsd_id']
    outside = np.setdiff1d(np.arange(73_000), nsd_id)
    path = write_list(tmp_path / 'list.csv', nsd_id, 0, twice=[(outside[3], nsd_id[4])])
    brain = load(course, nsd=str(path), split=FRACTION)
    assert brain.facts['id_space'] == 'nsd'
    rows = {i: n for n, i in enumerate(nsd_id.tolist())}
    plain = load(course, split=FRACTION)
    whole = {
        i: v for s in plain.splits().values() for i, v in zip(s.image_id, s.voxels, strict=True)
    }
    for split in brain.splits().values():
        for i, voxels in zip(split.image_id.tolist(), split.voxels, strict=True):
            assert np.array_equal(voxels, whole[rows[i]])
            assert np.array_equal(brain.labels[i], truth['labels'][rows[i]])
    # One of the pictures that the subject saw under two NSD ids is left out, and said to be.
    seen = [*nsd_id, outside[3]]
    path = write_list(tmp_path / 'two.csv', seen, 0, twice=[(outside[3], nsd_id[4])])
    brain = load(course, nsd=str(path), split=FRACTION)
    assert len(brain.train) + len(brain.test) == len(nsd_id) - 1
    assert any('1 pictures have several NSD ids' in note for note in brain.facts['notes'])


def test_a_list_of_another_subject_or_base_is_refused(course, tmp_path):
    nsd_id = truth_of(course)['nsd_id']
    path = write_list(tmp_path / 'a.csv', nsd_id[:-3], 0)
    with pytest.raises(errors.DataInvalid, match='3 of 280 pictures are not among those'):
        load(course, nsd=str(path), split=FRACTION)
    path = write_list(tmp_path / 'b.csv', nsd_id, 0, shift=1)
    with pytest.raises(errors.DataInvalid, match='nsdId starts at 1'):
        load(course, nsd=str(path), split=FRACTION)
    path = write_list(tmp_path / 'c.csv', nsd_id, 0, subject=2)
    with pytest.raises(errors.DataInvalid, match="no column 'subject1'"):
        load(course, nsd=str(path), split=FRACTION)


def test_without_labels_the_course_copy_is_read_and_the_lack_noted(course_copy):
    shutil.rmtree(course_copy / 'subj01' / 'image_infos')
    brain = load(course_copy, split=FRACTION)
    assert brain.labels is None and brain.label_names == ()
    assert any('no labels' in note for note in brain.facts['notes'])
    with pytest.raises(errors.DataMissing, match='subj01_infos_train.csv'):
        load(course_copy, split=FRACTION, nsd='x.csv')


def test_pictures_sorted_as_text_are_seen_by_inspection(course_copy):
    brain = load(course_copy, split=FRACTION)
    assert hypotheses.check(brain.train, brain.images, brain.rois)['warning'] is None
    images = course_copy / 'subj01' / 'training_split' / 'training_images'
    as_text = sorted(path.name for path in images.iterdir())
    (images.parent / 'renamed').mkdir()
    for name, given in zip(sorted(as_text, key=lambda n: int(n[:-4])), as_text, strict=True):
        (images / name).rename(images.parent / 'renamed' / given)
    images.rmdir()
    (images.parent / 'renamed').rename(images)
    brain = load(course_copy, split=FRACTION)
    assert 'text' in hypotheses.check(brain.train, brain.images, brain.rois)['warning']


@pytest.mark.parametrize(('step', 'said'), [(1, 'next picture'), (-1, 'previous picture')])
def test_rows_off_by_one_are_seen_by_inspection(copy, step, said):
    change_fmri(copy, lambda x: np.roll(x, -step, axis=0))
    brain = load(copy)
    assert said in hypotheses.check(brain.train, brain.images, brain.rois)['warning']


def test_transposed_pictures_are_seen_by_inspection(copy):
    assert orientation.check(load(copy))['warning'] is None
    for path in (copy / 'subj01').rglob('*.png'):
        with Image.open(path) as picture:
            turned = picture.transpose(Image.Transpose.TRANSPOSE)
        path.unlink()
        turned.save(path)
    assert 'transposed' in orientation.check(load(copy))['warning']
