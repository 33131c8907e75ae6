import numpy as np
import pytest
from PIL import Image

from recon.core import errors
from recon.data.formats import files, kamitani_images


def picture(seed, height=20, width=20):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(('n01443537_2.JPEG', 'n01443537_10.JPEG', 'n02071294_1.png')):
        Image.fromarray(picture(i)).save(tmp_path / name)
    (tmp_path / 'readme.txt').write_text('no picture')
    return tmp_path


def test_pictures_are_found_by_name_whatever_their_order(folder):
    names = ['n02071294_1', 'n01443537_10', 'n01443537_2', 'n01443537_10']
    paths = kamitani_images.find(names, folder, 'ask')
    assert {k: p.name for k, p in paths.items()} == {
        'n01443537_2': 'n01443537_2.JPEG',
        'n01443537_10': 'n01443537_10.JPEG',
        'n02071294_1': 'n02071294_1.png',
    }
    images, notes = kamitani_images.opened(paths)
    assert images.ids.tolist() == sorted(set(names)) and images.shape == (20, 20) and not notes
    for name in names:
        wanted = files.picture(paths[name]).astype(np.float32) / 255
        assert np.array_equal(images[[name]][0], wanted)
    assert np.array_equal(images[['n02071294_1']][0], picture(2).astype(np.float32) / 255)


def test_padded_names_are_the_same_pictures(folder):
    (folder / 'n01443537_2.JPEG').rename(folder / 'n01443537_00000002.JPEG')
    assert 'n01443537_2' in kamitani_images.find(['n01443537_2'], folder, '')


def test_missing_pictures_are_counted_and_the_first_is_named(folder):
    with pytest.raises(errors.DataMissing, match=r'2 of 3 .*first n0144.*_3 \(3 pictures.*ask'):
        kamitani_images.find(['n01443537_2', 'n01443537_3', 'n01443537_4'], folder, 'ask')
    with pytest.raises(errors.DataMissing, match='1 of 1 pictures.*0 pictures are'):
        kamitani_images.find(['a'], folder / 'nowhere', 'ask')


def test_two_pictures_of_one_name_are_refused(folder):
    Image.fromarray(picture(9)).save(folder / 'n01443537_2.png')
    with pytest.raises(errors.DataInvalid, match='two pictures of n01443537_2'):
        kamitani_images.index(folder)


def test_pictures_are_read_when_asked_for_and_not_before(folder):
    images, _ = kamitani_images.opened(kamitani_images.index(folder))
    path = folder / 'n01443537_10.JPEG'
    path.write_bytes(path.read_bytes()[:400])
    assert images[['n01443537_2']].shape == (1, 20, 20, 3)
    with pytest.raises(errors.DataInvalid, match='not a picture.*n01443537_10.JPEG'):
        images[['n01443537_10']]


@pytest.mark.parametrize('content', [b'', b'<html>' * 50])
def test_what_is_no_picture_is_named_at_once(folder, content):
    (folder / 'n01443537_2.JPEG').write_bytes(content)
    with pytest.raises(errors.DataInvalid, match='n01443537_2.JPEG'):
        kamitani_images.opened(kamitani_images.index(folder))


def test_pictures_of_several_sizes_come_as_squares_of_one_size_and_a_note_says_so(folder):
    wide = np.zeros((30, 50, 3), np.uint8)
    wide[:, 10:40] = 200  # the middle square
    Image.fromarray(wide).save(folder / 'wide.png')
    images, notes = kamitani_images.opened(kamitani_images.index(folder))
    assert (
        images.shape == (256, 256) and 'stored at 2 sizes' in notes[0] and '256 x 256' in notes[0]
    )
    assert np.allclose(images[['wide']], 200 / 255) and images[images.ids].shape == (4, 256, 256, 3)


@pytest.mark.parametrize('size', [8, 20, 33])
def test_a_size_that_is_asked_for_is_given_without_a_note(folder, size):
    images, notes = kamitani_images.opened(kamitani_images.index(folder), size)
    assert images.shape == (size, size) and not notes
    found = images[images.ids]
    assert found.shape == (3, size, size, 3) and found.max() <= 1
    if size == 20:
        assert np.array_equal(found[2], picture(2).astype(np.float32) / 255)


def test_one_size_that_is_not_square_stays_as_it_is(tmp_path):
    for i in range(3):
        Image.fromarray(picture(i, 12, 31)).save(tmp_path / f'{i}.png')
    images, notes = kamitani_images.opened(kamitani_images.index(tmp_path))
    assert images.shape == (12, 31) and not notes
    assert np.array_equal(images[['1']][0], picture(1, 12, 31).astype(np.float32) / 255)


def test_a_size_too_small_is_refused(folder):
    with pytest.raises(errors.ConfigError, match='image_size is 4'):
        kamitani_images.opened(kamitani_images.index(folder), 4)
