import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image

from recon.core import errors
from recon.data.datasets import pairs
from recon.data.formats import pairs_images

PICTURES = np.random.default_rng(0).integers(0, 256, (12, 6, 9, 3), np.uint8)  # n h w c


def load(root, ids=None, text=False, notes=None, **options):
    cfg = pairs.DEFAULTS['images'] | options
    return pairs_images.load(root, cfg, ids, text, [] if notes is None else notes)


def as_float(pictures):
    return pictures.astype(np.float32) / 255


@pytest.mark.parametrize('axes', ['n h w c', 'n c h w', 'h w c n', 'c w h n', 'w n h c'])
@pytest.mark.parametrize('kind', ['npy', 'h5', 'mat'])
def test_an_array_is_read_by_its_stated_axes(tmp_path, axes, kind):
    stored = PICTURES.transpose(['nhwc'.index(x) for x in axes.split()])
    if kind == 'npy':
        np.save(tmp_path / 'images.npy', stored)
    elif kind == 'h5':
        with h5py.File(tmp_path / 'images.h5', 'w') as file:
            file['images'] = stored
    else:
        scipy.io.savemat(tmp_path / 'images.mat', {'images': stored})
    images = load(tmp_path, axes=axes)
    assert images.shape == (6, 9) and images.ids.tolist() == list(range(12))
    ids = np.array([11, 3, 3, 0])
    assert np.array_equal(images[ids], as_float(PICTURES[ids]))


@pytest.mark.parametrize(
    ('orientation', 'store'),
    [
        ('transposed', lambda x: x.transpose(0, 2, 1, 3)),
        ('upside down', lambda x: x[:, ::-1]),
        ('mirrored', lambda x: x[:, :, ::-1]),
        ('half turn', lambda x: x[:, ::-1, ::-1]),
        ('upright', lambda x: x),
    ],
)
def test_pictures_are_made_upright_as_the_config_says(tmp_path, orientation, store):
    np.save(tmp_path / 'images.npy', store(PICTURES))
    images = load(tmp_path, orientation=orientation)
    assert images.shape == (6, 9)
    assert np.array_equal(images[images.ids], as_float(PICTURES))


def test_flat_pictures_are_row_by_row_or_column_by_column(tmp_path):
    grey = PICTURES[..., 0]
    np.save(tmp_path / 'images.npy', grey.reshape(12, -1))
    images = load(tmp_path, axes='n hw', size=(6, 9))
    assert np.array_equal(images[[4]][..., 1], as_float(grey[[4]])) and images.channels == 1
    np.save(tmp_path / 'images.npy', grey.transpose(0, 2, 1).reshape(12, -1))  # MATLAB's x(:)
    images = load(tmp_path, axes='n wh', size=(6, 9))
    assert np.array_equal(images[[4]][..., 1], as_float(grey[[4]]))
    np.save(tmp_path / 'images.npy', PICTURES.reshape(12, -1).T)
    images = load(tmp_path, axes='hwc n', size=(6, 9))
    assert np.array_equal(images[[4, 2]], as_float(PICTURES[[4, 2]]))
    with pytest.raises(errors.DataInvalid, match='162 values a picture are not 7 x 7 x 3'):
        load(tmp_path, axes='hwc n')


def test_square_flat_pictures_need_no_size(tmp_path):
    np.save(tmp_path / 'images.npy', np.arange(3 * 49, dtype=np.uint8).reshape(3, 49))
    assert load(tmp_path, axes='n hw').shape == (7, 7)


def test_an_array_of_three_axes_is_grey(tmp_path):
    np.save(tmp_path / 'images.npy', PICTURES[..., 1])
    images = load(tmp_path)
    assert images.channels == 1 and np.array_equal(
        images[[2]][..., 2], as_float(PICTURES[[2], ..., 1])
    )


def test_floats_lie_between_black_and_white(tmp_path):
    np.save(tmp_path / 'images.npy', as_float(PICTURES))
    assert np.array_equal(load(tmp_path)[[5]], as_float(PICTURES[[5]]))
    np.save(tmp_path / 'images.npy', PICTURES.astype(np.float64))
    with pytest.raises(errors.DataInvalid, match=r'from 0 to 255, .*range=\(black, white\)'):
        load(tmp_path)
    np.testing.assert_allclose(load(tmp_path, range=(0, 255))[[5]], as_float(PICTURES[[5]]), 1e-6)
    np.save(tmp_path / 'images.npy', PICTURES.astype(np.int32))
    with pytest.raises(errors.ConfigError, match=r'pictures are int32.*as in \(0, 255\)'):
        load(tmp_path)
    with pytest.raises(errors.ConfigError, match='range is'):
        load(tmp_path, range=(1, 0))
    spoilt = as_float(PICTURES)
    spoilt[4, 0, 0, 0] = np.nan
    np.save(tmp_path / 'images.npy', spoilt)
    with pytest.raises(errors.DataInvalid, match='NaN or infinite'):
        load(tmp_path)


def test_values_are_checked_again_when_they_are_read(tmp_path):
    many = np.zeros((500, 4, 4, 1), np.float32)
    many[77] = 2  # not among those that are looked at first
    np.save(tmp_path / 'images.npy', many)
    images = load(tmp_path)
    with pytest.raises(errors.DataInvalid, match='from 2 to 2'):
        images[[77]]


def test_pictures_of_an_array_may_have_ids_of_their_own(tmp_path):
    np.save(tmp_path / 'images.npy', PICTURES)
    ids = np.random.default_rng(1).permutation(12) * 100
    images = load(tmp_path, ids=ids)
    assert np.array_equal(images[ids], as_float(PICTURES))
    names = np.array([f'p{i}' for i in ids])
    assert np.array_equal(load(tmp_path, ids=names, text=True)[names], as_float(PICTURES))
    with pytest.raises(errors.DataInvalid, match='12 pictures.*11 ids'):
        load(tmp_path, ids=ids[1:])
    ids[3] = ids[4]
    with pytest.raises(errors.DataInvalid, match=f'picture {ids[3]} is there twice'):
        load(tmp_path, ids=ids)


@pytest.mark.parametrize(
    ('axes', 'message'),
    [
        ('n h w', r'shape is \(12, 6, 9, 3\)'),
        ('h w c', 'letters n h w and c'),
        ('n n h w', 'letters n h w and c'),
        ('nhw c', 'letters n h w and c'),
        ('n c h w', '6 channels'),
        ('n h w d', 'letters n h w and c'),
    ],
)
def test_axes_that_do_not_fit_are_named(tmp_path, axes, message):
    np.save(tmp_path / 'images.npy', PICTURES)
    with pytest.raises((errors.DataInvalid, errors.ConfigError), match=message):
        load(tmp_path, axes=axes)


def folder_of(tmp_path, names, pictures=PICTURES):
    folder = tmp_path / 'images'
    folder.mkdir(exist_ok=True)
    for name, picture in zip(names, pictures, strict=False):
        Image.fromarray(picture).save(folder / name)
    return tmp_path


def test_a_folder_goes_by_the_number_in_each_name(tmp_path):
    root = folder_of(tmp_path, [f'im{i}.png' for i in (10, 2, 1, 9, 100, 33)])
    (root / 'images' / 'Thumbs.db').write_bytes(b'x')
    images = load(root)
    assert images.ids.tolist() == [1, 2, 9, 10, 33, 100]
    assert np.array_equal(images[[10, 2, 1]], as_float(PICTURES[:3]))
    assert np.array_equal(load(root, text=True)[np.array(['im2'])], as_float(PICTURES[[1]]))


def test_names_with_two_numbers_need_a_pattern(tmp_path):
    root = folder_of(tmp_path, [f'train-{i:04d}_nsd-{7 * i:05d}.png' for i in range(1, 6)])
    with pytest.raises(errors.DataInvalid, match='has 2 numbers in its name.*images.pattern'):
        load(root)
    images = load(root, pattern='nsd-([0-9]+)')
    assert images.ids.tolist() == [7, 14, 21, 28, 35]
    assert np.array_equal(images[[21]], as_float(PICTURES[[2]]))
    notes = []
    assert load(root, pattern='nsd-000([0-9]+)', notes=notes).ids.tolist() == [7, 14, 21, 28, 35]
    assert load(root, pattern='train-000([1-3])', notes=notes).ids.tolist() == [1, 2, 3]
    assert notes == ['2 of 5 pictures have no id in their name']
    with pytest.raises(errors.DataInvalid, match='fits no name, such as train-0001'):
        load(root, pattern='coco-([0-9]+)')
    for wrong in ('nsd-[0-9]+', '(['):
        with pytest.raises(errors.ConfigError, match='images.pattern is'):
            load(root, pattern=wrong)


def test_two_pictures_of_one_id_are_refused(tmp_path):
    root = folder_of(tmp_path, ['1.png', '01.png', '2.png'])
    with pytest.raises(errors.DataInvalid, match='are both picture 1'):
        load(root)


def test_pictures_of_unlike_size_are_refused_or_resized(tmp_path):
    root = folder_of(tmp_path, ['1.png', '2.png'])
    Image.fromarray(PICTURES[2][:5]).save(root / 'images' / '3.png')
    with pytest.raises(errors.DataInvalid, match='unlike size.*images.size'):
        load(root)
    images = load(root, size=(4, 4))
    assert images[[1, 3]].shape == (2, 4, 4, 3)
    flat = np.full((8, 8, 3), 200, np.uint8)
    Image.fromarray(flat).save(root / 'images' / '3.png')
    assert np.allclose(load(root, size=(4, 4))[[3]], 200 / 255)


def test_a_size_that_is_seen_late_is_said_when_it_is_read(tmp_path):
    root = folder_of(tmp_path, [f'{i}.png' for i in range(130)], np.repeat(PICTURES, 11, 0))
    Image.fromarray(PICTURES[2][:5]).save(root / 'images' / '1.png')
    images = load(root)
    with pytest.raises(errors.DataInvalid, match=r'it is \(5, 9\), others \(6, 9\).*1.png'):
        images[[0, 1]]


@pytest.mark.parametrize('content', [b'', b'\x89PNG\r\n\x1a\n', b'<html>'])
def test_a_broken_picture_is_named(tmp_path, content):
    root = folder_of(tmp_path, ['1.png', '2.png'])
    (root / 'images' / '2.png').write_bytes(content)
    with pytest.raises(errors.DataInvalid, match='2.png'):
        load(root)


def test_no_pictures_are_missing_and_pickles_are_refused(tmp_path):
    with pytest.raises(errors.DataMissing, match='neither a folder images nor images.npy'):
        load(tmp_path)
    (tmp_path / 'images').mkdir()
    with pytest.raises(errors.DataMissing, match='no picture in 0 files'):
        load(tmp_path)
    (tmp_path / 'images').rmdir()
    np.save(tmp_path / 'images.npy', np.array([{}], object), allow_pickle=True)
    with pytest.raises(errors.DataInvalid, match='never unpickled'):
        load(tmp_path)


def test_large_arrays_are_not_read_until_asked_for(tmp_path):
    np.lib.format.open_memmap(tmp_path / 'images.npy', 'w+', np.uint8, (20_000, 100, 100, 3))
    with h5py.File(tmp_path / 'images.h5', 'w') as file:
        file.create_dataset('imgBrick', (73_000, 90, 90, 3), 'u1', chunks=(1, 90, 90, 3))
        file['imgBrick'][5] = file['imgBrick'][9] = 255
    (tmp_path / 'h5').mkdir()
    (tmp_path / 'images.h5').rename(tmp_path / 'h5' / 'images.h5')
    assert load(tmp_path)[[19_999]].max() == 0  # 0.6 GB, sparse on disk
    assert load(tmp_path / 'h5')[[9, 5, 4]].max((1, 2, 3)).tolist() == [1, 1, 0]
    (tmp_path / 'images.npy').unlink()


def test_names_lose_the_ending_of_a_picture_only():
    assert pairs_images.name_of('a.b.JPG') == 'a.b' and pairs_images.name_of('n01.5') == 'n01.5'
