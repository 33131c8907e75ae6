import nibabel
import numpy as np
import pytest

from recon.core import errors
from recon.data.datasets import pairs
from recon.data.formats import pairs_info, pairs_voxels

MASK = np.zeros((8, 4, 4), bool)
MASK[1:7, 1:3, 1:3] = True
AFFINE = np.array([[4.0, 0, 0, -14], [0, 4, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1]])  # x from -14 to 14
V = int(MASK.sum())


def load(root, rois=None, notes=None):
    voxels = pairs_voxels.load(root, pairs.DEFAULTS['voxels'], [])
    return pairs_info.load(root, voxels, rois or {}, [] if notes is None else notes)


@pytest.fixture
def folder(tmp_path):
    nibabel.save(nibabel.Nifti1Image(MASK.astype(np.uint8), AFFINE), tmp_path / 'mask.nii.gz')
    np.save(tmp_path / 'voxels.npy', np.random.default_rng(0).normal(size=(9, V)))
    return tmp_path


def test_places_and_sides_come_from_the_masks_affine(folder):
    info = load(folder)
    wanted = nibabel.affines.apply_affine(AFFINE, np.argwhere(MASK))
    np.testing.assert_allclose(info['xyz'], wanted)
    assert np.array_equal(info['hemisphere'], wanted[:, 0] > 0)
    assert {k: x.dtype for k, x in info.items()} == {'xyz': np.float32, 'hemisphere': np.int8}


def test_files_add_to_it_and_are_believed_more(folder):
    side = (np.argwhere(MASK)[:, 0] > 3).astype(float)
    side[:2] = 1  # a voxel or two beyond the middle are no swap
    for name, field in (('ncsnr', np.linspace(0, 1, V)), ('vertex', np.arange(V) - 1.0)):
        np.save(folder / f'{name}.npy', field)
    (folder / 'hemisphere.txt').write_text('\n'.join(str(int(s)) for s in side))
    notes = []
    info = load(folder, notes=notes)
    assert np.array_equal(info['hemisphere'], side) and not notes
    assert info['ncsnr'].dtype == np.float32 and info['vertex'].tolist() == list(range(-1, V - 1))


def test_left_and_right_swapped_are_noted(folder):
    side = (np.argwhere(MASK)[:, 0] > 3).astype(np.int8)
    regions = {'lh.V1': side == 0, 'rh.V1': (side == 1) & (np.arange(V) % 2 == 0), 'V1': side < 2}
    notes = []
    load(folder, regions, notes)
    assert not notes
    np.save(folder / 'hemisphere.npy', 1 - side)
    load(folder, {}, notes)
    assert notes == [
        '100% of the voxels lie on the other side of x=0 than their hemisphere says (0 left, 1 '
        'right): left and right look swapped'
    ]
    (folder / 'hemisphere.npy').unlink()
    notes.clear()
    load(folder, {'lh.V1': regions['rh.V1'], 'rh.V1': regions['lh.V1']}, notes)
    assert notes == [
        '100% of lh.V1 is in the right hemisphere: left and right look swapped',
        '100% of rh.V1 is in the left hemisphere: left and right look swapped',
    ]
    notes.clear()
    flipped = AFFINE * np.array([[-1.0], [1], [1], [1]])  # an affine that swaps the sides
    nibabel.save(nibabel.Nifti1Image(MASK.astype(np.uint8), flipped), folder / 'mask.nii.gz')
    np.save(folder / 'hemisphere.npy', side)
    load(folder, {}, notes)
    assert len(notes) == 1 and 'swapped' in notes[0]


@pytest.mark.parametrize(
    ('name', 'field', 'message'),
    [
        ('ncsnr', np.zeros(V + 1), 'its shape is'),
        ('xyz', np.zeros((3, V)), 'its shape is'),
        ('xyz', np.full((V, 3), np.nan), f'{3 * V} values of xyz are none.*finite'),
        ('hemisphere', np.full(V, 2), f'{V} values of hemisphere are none.*0 left, 1 right'),
        ('vertex', np.full(V, 0.5), 'whole numbers from 0'),
        ('vertex', np.full(V, -2), 'whole numbers from 0'),
        ('hemisphere', np.full(V, 'lh'), '0 left, 1 right'),
    ],
)
def test_fields_that_do_not_fit_are_named(folder, name, field, message):
    np.save(folder / f'{name}.npy', field)
    with pytest.raises(errors.DataInvalid, match=f'{message}.*'):
        load(folder)


def test_a_mask_of_another_size_is_named_and_the_axes_that_would_fit(folder):
    np.save(folder / 'voxels.npy', np.zeros((9, V - 1)))
    with pytest.raises(errors.DataInvalid, match=f'{V} voxels in the mask, {V - 1} in voxels.npy'):
        load(folder)
    np.save(folder / 'voxels.npy', np.zeros((V, 9)))
    with pytest.raises(errors.DataInvalid, match="set dataset.voxels.axes='voxels rows'"):
        load(folder)


def test_noise_ceilings_may_be_unknown(folder):
    np.save(folder / 'ncsnr.npy', np.where(np.arange(V) % 5, 0.3, np.nan))
    assert np.isnan(load(folder)['ncsnr']).sum() == len(range(0, V, 5))
