import gzip
import pickle

import nibabel
import numpy as np
import pytest

from recon.core import errors
from recon.data.formats import nsd_labels, nsd_rois

GRID = (10, 7, 6)
AFFINE = np.diag([2.0, 2, 2, 1])
AFFINE[:3, 3] = -9, -80, -20  # x from -9 to 9: cells 0 to 4 are left
SIDE = np.indices(GRID)[0] >= 5


def volume(path, values, affine=AFFINE, dtype=np.int16):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.asarray(values, dtype), affine), path)


def surface(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.freesurfer.MGHImage(np.asarray(values, np.float32)[:, None, None], np.eye(4))
    nibabel.save(image, path)


def table(path, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f'{i} {name} {i} 7 0 0' for i, name in enumerate(('Unknown', *names))]
    path.write_text('\n'.join(rows) + '\n')


def labelled(seed, count):
    """[x y z]: -1 where no cortex, 0, 1 .. count."""
    return np.random.default_rng(seed).integers(-1, count + 1, GRID)


def write(root, seed=0, space='func1mm'):
    """Volumes of subject 4: some ROI files with both sides, and their tables."""
    above = root / 'nsddata' / 'ppdata' / 'subj04' / space
    made = {
        'prf-visualrois': labelled(seed, 7),
        'floc-faces': np.minimum(labelled(seed + 1, 4), 3),  # mTL-faces, aTL-faces are empty
        'Kastner2015': labelled(seed + 2, 25),
        'nsdgeneral': labelled(seed + 3, 1),
    }
    volume(above / 'brainmask.nii.gz', made['nsdgeneral'] >= 0)
    for name, values in made.items():
        volume(above / 'roi' / f'{name}.nii.gz', values)
        for side, here in (('lh', ~SIDE), ('rh', SIDE)):
            volume(above / 'roi' / f'{side}.{name}.nii.gz', np.where(here, values, -1))
        labels = root / 'nsddata' / 'freesurfer' / 'subj04' / 'label'
        table(labels / f'{name}.mgz.ctab', nsd_labels.NAMES[name])
    return made


def read(root):
    return nsd_rois.read(root, 4, 'func1mm')


@pytest.mark.parametrize('seed', [0, 11])
def test_a_label_is_its_number_and_minus_one_is_nothing(tmp_path, seed):
    made = write(tmp_path, seed)
    areas = read(tmp_path)
    everything = np.ones(np.prod(GRID), bool)
    rois = areas.rois(everything)
    for file, values in made.items():
        for k, name in enumerate(nsd_labels.NAMES[file], start=1):
            name = f'Kastner2015/{name}' if file == 'Kastner2015' else name
            assert np.array_equal(rois[name], (values == k).ravel()), name
    assert rois['nsdgeneral'].sum() < (made['nsdgeneral'] != 0).sum()
    assert np.array_equal(areas.choose('nsdgeneral'), rois['nsdgeneral'])
    assert np.array_equal(areas.choose('brainmask'), (made['nsdgeneral'] >= 0).ravel())
    some = areas.choose('nsdgeneral')
    assert np.array_equal(areas.rois(some)['V2d'], rois['V2d'][some])


def test_joint_areas_are_unions_of_what_their_definition_names(tmp_path):
    made = write(tmp_path)
    areas = read(tmp_path)
    rois, prf, kastner = areas.rois(np.ones(420, bool)), made['prf-visualrois'], made['Kastner2015']
    assert np.array_equal(rois['V2'], np.isin(prf, (3, 4)).ravel())
    assert np.array_equal(rois['early_visual'], (prf > 0).ravel())
    assert np.array_equal(rois['LVC'], ((kastner > 0) & (kastner < 8)).ravel())
    assert np.array_equal(rois['HVC'], np.isin(kastner, (*range(8, 16), *range(18, 24))).ravel())
    assert 'FFA' in rois and 'FBA' not in rois  # no floc-bodies here
    wanted = np.isin(prf, (1, 2, 7)) | (made['floc-faces'] == 1)
    assert np.array_equal(areas.choose('V1 + hV4,OFA'), wanted.ravel())
    assert areas.unions()['LVC'][0] == 'Kastner2015/V1v'


def test_without_the_atlas_joint_areas_take_their_second_definition(tmp_path):
    write(tmp_path)
    for path in (tmp_path / 'nsddata').rglob('*Kastner2015.nii.gz'):
        path.unlink()
    areas = read(tmp_path)
    assert areas.unions()['LVC'] == nsd_labels.NAMES['prf-visualrois']
    assert 'HVC' not in areas.unions()


def test_names_come_from_the_copys_own_tables(tmp_path):
    write(tmp_path)
    labels = tmp_path / 'nsddata' / 'freesurfer' / 'subj04' / 'label'
    names = [*nsd_labels.NAMES['Kastner2015'][:11], 'TO2', 'TO1', 'my area']
    table(labels / 'Kastner2015.mgz.ctab', names)
    areas = read(tmp_path)
    known = areas.labels()
    assert known['Kastner2015/my area'] == ('Kastner2015', 14)
    assert known['Kastner2015/TO1'] == ('Kastner2015', 13)
    assert any('Kastner2015 holds 15, 16' in note for note in areas.notes)
    assert known['Kastner2015/Kastner2015-15'] == ('Kastner2015', 15)
    (labels / 'floc-faces.mgz.ctab').write_text('OFA 1 2 3\n')
    with pytest.raises(errors.DataInvalid, match="a line is 'OFA 1 2 3'.*floc-faces.mgz.ctab"):
        read(tmp_path)
    (labels / 'floc-faces.mgz.ctab').unlink()
    areas = read(tmp_path)
    assert areas.labels()['FFA-2'] == ('floc-faces', 3)
    assert any('no tables <name>.mgz.ctab of floc-faces' in note for note in areas.notes)
    for other in labels.parent.rglob('*.ctab'):
        other.unlink()
    assert any('Kastner2015, floc-faces, nsdgeneral, prf' in note for note in read(tmp_path).notes)


def test_another_name_of_a_motion_area_serves_its_joint_area(tmp_path):
    write(tmp_path)
    labels = tmp_path / 'nsddata' / 'freesurfer' / 'subj04' / 'label'
    names = list(nsd_labels.NAMES['Kastner2015'])
    names[11:13] = 'TO2', 'TO1'
    table(labels / 'Kastner2015.mgz.ctab', names)
    assert {'Kastner2015/TO2', 'Kastner2015/TO1'} <= set(read(tmp_path).unions()['HVC'])


def test_empty_labels_are_kept_and_said(tmp_path):
    write(tmp_path)
    areas = read(tmp_path)
    rois = areas.rois(np.ones(420, bool))
    assert not rois['mTL-faces'].any() and not rois['aTL-faces'].any()
    assert 'floc-faces: no voxel is labelled mTL-faces, aTL-faces' in nsd_rois.empty(areas)
    with pytest.raises(errors.DataInvalid, match='no voxel is in mTL-faces'):
        areas.choose('mTL-faces')
    with pytest.raises(errors.ConfigError, match="names 'V9'.*brainmask, .*V1v.*LVC"):
        areas.choose('V1+V9')


def test_hemispheres_are_those_of_the_files_and_x_where_they_say_nothing(tmp_path):
    write(tmp_path)
    everything = np.ones(420, bool)
    areas = read(tmp_path)
    assert np.array_equal(areas.hemisphere(everything), SIDE.ravel().astype(np.int8))
    index = np.argwhere(np.ones(GRID))
    wanted = nibabel.affines.apply_affine(AFFINE, index)
    np.testing.assert_allclose(areas.xyz(everything), wanted)
    folder = areas.folder
    # Near the middle a voxel of the left hemisphere may lie at x > 0.
    across = np.indices(GRID)[0] >= 6
    for path in folder.glob('?h.*'):
        path.unlink()
    values = np.maximum(nibabel.load(folder / 'nsdgeneral.nii.gz').get_fdata(), 0)
    for side, here in (('lh', ~across), ('rh', across)):  # 0 is cortex of that side as well
        volume(folder / f'{side}.nsdgeneral.nii.gz', np.where(here, values, -1))
    assert np.array_equal(areas.hemisphere(everything), across.ravel().astype(np.int8))
    for path in folder.glob('?h.*'):
        path.unlink()
    assert np.array_equal(areas.hemisphere(everything), SIDE.ravel().astype(np.int8))


def test_left_and_right_swapped_is_seen(tmp_path):
    write(tmp_path)
    areas = read(tmp_path)
    for path in list(areas.folder.glob('lh.*')):
        other = path.with_name(path.name.replace('lh.', 'rh.', 1))
        keep = path.read_bytes()
        path.write_bytes(other.read_bytes())
        other.write_bytes(keep)
    with pytest.raises(errors.DataInvalid, match='left and right look swapped'):
        areas.hemisphere(areas.choose('nsdgeneral'))
    flipped = AFFINE.copy()
    flipped[0] *= -1
    write(tmp_path)
    for path in (tmp_path / 'nsddata').rglob('*.nii.gz'):
        volume(path, nibabel.load(path).get_fdata(), flipped)
    with pytest.raises(errors.DataInvalid, match='other side by their affine'):
        read(tmp_path).hemisphere(np.ones(420, bool))


def test_grids_and_values_that_do_not_fit_are_named(tmp_path):
    made = write(tmp_path)
    path = tmp_path / 'nsddata/ppdata/subj04/func1mm/roi/floc-faces.nii.gz'
    volume(path, made['floc-faces'][:-1])
    with pytest.raises(errors.DataInvalid, match=r'its grid is \(9, 7, 6\).*floc-faces'):
        read(tmp_path)
    volume(path, made['floc-faces'].transpose(0, 2, 1))
    with pytest.raises(errors.DataInvalid, match=r'its grid is \(10, 6, 7\)'):
        read(tmp_path)
    volume(path, made['floc-faces'], np.diag([3.0, 3, 3, 1]))
    with pytest.raises(errors.DataInvalid, match='its affine.*floc-faces'):
        read(tmp_path)
    for odd, text in ((0.5, '0.5'), (-3, '-3'), (np.nan, 'nan'), (65537, '65537')):
        volume(path, np.where(made['floc-faces'] == 1, odd, 0), dtype=np.float32)
        with pytest.raises(errors.DataInvalid, match=f'it holds {text}.*a file of labels'):
            read(tmp_path)


@pytest.mark.parametrize('name', ['brainmask', 'roi/prf-visualrois', 'roi/lh.Kastner2015'])
@pytest.mark.parametrize('kind', ['empty', 'half', 'text', 'pickle', 'promise'])
def test_a_broken_volume_is_named(tmp_path, name, kind):
    write(tmp_path)
    path = tmp_path / 'nsddata/ppdata/subj04/func1mm' / f'{name}.nii.gz'
    content = path.read_bytes()
    header = bytearray(gzip.decompress(content))
    header[40:56] = np.array([3, 10_000, 10_000, 10_000, 1, 1, 1, 1], '<i2').tobytes()
    broken = {
        'empty': b'',
        'half': content[: len(content) // 2],
        'text': b'<html>' * 50,
        'pickle': pickle.dumps(labelled(0, 3)),
        'promise': gzip.compress(bytes(header)),
    }
    path.write_bytes(broken[kind])
    with pytest.raises(errors.DataInvalid, match=path.name):
        read(tmp_path).hemisphere(np.ones(420, bool))


def test_a_copy_may_lack_the_brain_mask_but_not_all_areas(tmp_path):
    write(tmp_path)
    folder = tmp_path / 'nsddata/ppdata/subj04/func1mm'
    (folder / 'brainmask.nii.gz').unlink()
    areas = read(tmp_path)
    assert areas.grids == (GRID,) and 'brainmask.nii.gz is not there' in areas.notes[0]
    with pytest.raises(errors.DataInvalid, match='no voxel is in brainmask'):
        areas.choose('brainmask')
    for path in (folder / 'roi').iterdir():
        path.unlink()
    with pytest.raises(errors.DataMissing, match='no brainmask.nii.gz, no ROI file'):
        read(tmp_path)
    volume(folder / 'brainmask.nii.gz', np.ones(GRID))
    with pytest.raises(errors.DataMissing, match='no ROI file'):
        read(tmp_path)


def test_surfaces_are_left_then_right_and_need_both(tmp_path):
    folder = tmp_path / 'nsddata' / 'freesurfer' / 'subj04' / 'label'
    rng = np.random.default_rng(4)
    left, right = rng.integers(0, 2, 30), rng.integers(0, 2, 25)
    surface(folder / 'lh.nsdgeneral.mgz', left)
    surface(folder / 'rh.nsdgeneral.mgz', right)
    areas = nsd_rois.read(tmp_path, 4, 'nativesurface')
    assert areas.grids == ((30,), (25,))
    both = np.concatenate([left, right]) == 1
    assert np.array_equal(areas.choose('nsdgeneral'), both)
    assert areas.choose('brainmask').all()
    assert np.array_equal(areas.hemisphere(both), np.repeat([0, 1], [30, 25])[both])
    surface(folder / 'lh.streams.mgz', right)
    with pytest.raises(errors.DataMissing, match='no such file.*rh.streams.mgz'):
        surface(folder / 'lh.streams.mgz', left)
        nsd_rois.read(tmp_path, 4, 'nativesurface')
    surface(folder / 'lh.streams.mgz', right)
    surface(folder / 'rh.streams.mgz', left)
    with pytest.raises(errors.DataInvalid, match='left and right may be swapped'):
        nsd_rois.read(tmp_path, 4, 'nativesurface')
    with pytest.raises(errors.DataMissing, match='no labels .*launch/fetch.py nsd'):
        nsd_rois.read(tmp_path, 4, 'fsaverage')


@pytest.mark.parametrize('kind', ['empty', 'half', 'text'])
def test_a_broken_surface_is_named(tmp_path, kind):
    path = tmp_path / 'a.mgz'
    surface(path, np.random.default_rng(0).random(50))
    content = path.read_bytes()
    path.write_bytes({'empty': b'', 'half': content[:90], 'text': b'<html>' * 50}[kind])
    with pytest.raises(errors.DataInvalid, match='a.mgz'):
        nsd_rois.surface(path)


def test_a_bit_flipped_in_a_packed_surface_is_found_by_its_checksum(tmp_path):
    surface(tmp_path / 'a.mgh', np.random.default_rng(0).integers(-1, 9, 50))
    packed = bytearray(gzip.compress((tmp_path / 'a.mgh').read_bytes(), 0))
    packed[10 + 5 + 284 + 4 * 20] ^= 1  # behind what gzip and mgh have first: a value
    (tmp_path / 'a.mgz').write_bytes(packed)
    with pytest.raises(errors.DataInvalid, match='CRC check failed'):
        nsd_rois.surface(tmp_path / 'a.mgz')
