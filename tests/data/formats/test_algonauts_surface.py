import numpy as np
import pytest

from recon.core import errors
from recon.data.formats import algonauts_rois, algonauts_surface

ENDS = {'official': 'challenge_space', 'course': 'space'}


def write(folder, layout='official', columns=(40, 30), seed=0, kind=np.int64):
    """Masks as the preparation makes them. Returns labels and vertices by side."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    labels, vertices = {}, []
    for side, count in zip(('lh', 'rh'), columns, strict=True):
        at = np.sort(rng.permutation(algonauts_surface.VERTICES)[:count])
        vertices.append(at)
        whole = np.zeros(algonauts_surface.VERTICES, kind)
        whole[at] = rng.integers(1, 3, count)  # the sum of two masks
        np.save(folder / f'{side}.all-vertices_fsaverage_space.npy', whole)
        for name, members in algonauts_rois.CLASSES.items():
            short = rng.integers(0, len(members) + 1, count).astype(kind)
            labels[side, name] = short
            np.save(folder / f'{side}.{name}_{ENDS[layout]}.npy', short)
            long = np.zeros_like(whole)
            long[at] = short
            np.save(folder / f'{side}.{name}_fsaverage_space.npy', long)
    return labels, vertices


@pytest.mark.parametrize(
    ('layout', 'columns', 'kind'),
    [('official', (40, 30), np.int64), ('course', (25, 61), np.float32), ('course', (5, 5), bool)],
)
def test_masks_of_both_hemispheres_stand_side_by_side(tmp_path, layout, columns, kind):
    labels, vertices = write(tmp_path / 'a', layout, columns, seed=columns[0], kind=kind)
    found = algonauts_surface.read(tmp_path / 'a', layout, columns)
    assert np.array_equal(found.vertex, np.concatenate(vertices))
    assert found.hemisphere.tolist() == [0] * columns[0] + [1] * columns[1]
    for name in algonauts_rois.CLASSES:
        assert np.array_equal(
            found.labels[name], np.concatenate([labels['lh', name], labels['rh', name]])
        )
    assert found.notes == ()


def test_without_long_masks_places_are_unknown_and_said_to_be(tmp_path):
    write(tmp_path / 'a')
    for path in (tmp_path / 'a').glob('*all-vertices*'):
        path.unlink()
    found = algonauts_surface.read(tmp_path / 'a', 'official', (40, 30))
    assert found.vertex is None and 'no all-vertices masks' in found.notes[0]


def minus_one(labels):
    """-1 in the first place, in a type that has none."""
    return np.where(np.arange(len(labels)) < 1, -1, labels).astype(np.uint8)


@pytest.mark.parametrize(
    ('name', 'change', 'message'),
    [
        ('lh.streams_challenge_space', lambda x: x[:-1], '39 labels, the responses .* 40 columns'),
        ('lh.streams_challenge_space', lambda x: x[:30], 'lh and rh files are swapped'),
        ('lh.streams_challenge_space', lambda x: x + 65536, 'it holds label 65'),
        ('lh.streams_challenge_space', lambda x: x - 9, 'it holds label -'),
        ('lh.streams_challenge_space', minus_one, '255 is -1, no cortex, in a type without a'),
        ('lh.streams_challenge_space', lambda x: x + 0.5, 'type is|not whole numbers'),
        ('rh.streams_challenge_space', lambda x: x[::-1], 'it differs from'),
        ('rh.streams_fsaverage_space', lambda x: x[:-1], 'fsaverage has 163842 vertices'),
        ('rh.streams_fsaverage_space', lambda x: np.roll(x, 1), 'releases are mixed'),
        ('rh.all-vertices_fsaverage_space', np.zeros_like, '0 vertices, the responses'),
        # As if the sum of two masks were one mask: where both are, it is 2.
        ('lh.all-vertices_fsaverage_space', lambda x: x * (x == 1), 'of this hemisphere have 40'),
        ('lh.floc-words_challenge_space', lambda x: x[None], 'wanted 1 axes'),
    ],
)
def test_masks_that_contradict_are_refused_by_name(tmp_path, name, change, message):
    write(tmp_path / 'a')
    path = tmp_path / 'a' / f'{name}.npy'
    np.save(path, change(np.load(path)))
    with pytest.raises(errors.DataInvalid, match=f'{message}.*{name}|{name}.*{message}'):
        algonauts_surface.read(tmp_path / 'a', 'official', (40, 30))


@pytest.mark.parametrize('swapped', ['challenge_space', 'fsaverage_space', 'all-vertices'])
def test_hemispheres_of_one_size_that_are_swapped_are_named_as_swapped(tmp_path, swapped):
    write(tmp_path / 'a', columns=(20, 20))
    names = [f'{name}_{swapped}' for name in algonauts_rois.CLASSES]
    for name in names if swapped[0] != 'a' else ['all-vertices_fsaverage_space']:
        left = tmp_path / 'a' / f'lh.{name}.npy'
        right = tmp_path / 'a' / f'rh.{name}.npy'
        a, b = np.load(left), np.load(right)
        np.save(left, b), np.save(right, a)
    with pytest.raises(
        errors.DataInvalid,
        match='differs from lh.prf-visualrois_challenge_space.npy at.*lh and rh files are swapped',
    ):
        algonauts_surface.read(tmp_path / 'a', 'official', (20, 20))


def test_long_masks_of_one_class_that_are_swapped_are_named_as_swapped(tmp_path):
    write(tmp_path / 'a')
    paths = [tmp_path / 'a' / f'{s}.streams_fsaverage_space.npy' for s in ('lh', 'rh')]
    a, b = (np.load(path) for path in paths)
    np.save(paths[0], b), np.save(paths[1], a)
    with pytest.raises(errors.DataInvalid, match='fits the other hemisphere.*swapped'):
        algonauts_surface.read(tmp_path / 'a', 'official', (40, 30))


def test_the_wrong_layout_and_no_folder_are_missing(tmp_path):
    write(tmp_path / 'a')
    with pytest.raises(errors.DataMissing, match='lh.streams_space.npy.*check dataset.layout'):
        algonauts_surface.read(tmp_path / 'a', 'course', (40, 30))
    with pytest.raises(errors.DataMissing, match='no such folder'):
        algonauts_surface.read(tmp_path / 'b', 'official', (40, 30))
