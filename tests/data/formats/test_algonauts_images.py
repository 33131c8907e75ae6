import numpy as np
import pytest
from PIL import Image

from recon.core import errors
from recon.data.formats import algonauts_images


def draw(folder, names, size=(6, 6), seed=0):
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 256, (len(names), *size, 3), dtype=np.uint8)
    for name, picture in zip(names, drawn, strict=True):
        Image.fromarray(picture).save(folder / name)
    return drawn


def named(ids, part='train'):
    return [f'{part}-{i:04d}_nsd-{k:05d}.png' for i, k in enumerate(ids, start=1)]


@pytest.mark.parametrize(('part', 'count'), [('train', 25), ('test', 3)])
def test_names_tell_the_row_and_the_id(tmp_path, part, count):
    ids = np.sort(np.random.default_rng(count).permutation(73_000)[:count])
    names = named(ids, part)
    drawn = draw(tmp_path, names)
    (tmp_path / '._train-0001_nsd-00001.png').write_bytes(b'')  # what a Mac leaves
    (tmp_path / 'notes.txt').write_text('x')
    paths, found = algonauts_images.official(tmp_path, part)
    assert found.tolist() == ids.tolist() and [p.name for p in paths] == names
    images = algonauts_images.images(paths, found)
    order = np.random.default_rng(0).permutation(count)
    assert np.array_equal(images[ids[order]], drawn[order].astype(np.float32) / 255)
    assert images.shape == (6, 6) and algonauts_images.is_official(tmp_path)


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        (named([3, 5, 8])[1:], 'number 2 where 1 should be'),
        ([*named([3, 5]), 'train-0004_nsd-00009.png'], 'number 4 where 3 should be'),
        ([*named([3, 5]), 'train-0002_nsd-00009.png'], 'number 2 where 3 should be'),
        (named([3, 5, 5]), 'NSD id 5 stands in 2 names'),
        (named([3, 5, 73_000]), 'ids go from 0 to 72999.*count from 1'),
        (named([3, 9, 5]), 'do not ascend with the numbers, first after train-0002'),
        ([*named([3]), 'train-2.png'], 'first train-2.png'),
        (named([3], 'test'), 'first test-0001_nsd-00003.png'),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path, names, message):
    draw(tmp_path / 'a', names)
    with pytest.raises(errors.DataInvalid, match=message):
        algonauts_images.official(tmp_path / 'a', 'train')


def test_numbered_pictures_are_in_the_order_of_numbers_not_of_text(tmp_path):
    drawn = draw(tmp_path, [f'{i}.png' for i in range(23)])
    paths = algonauts_images.numbered(tmp_path)
    assert [p.name for p in paths] == [f'{i}.png' for i in range(23)]
    images = algonauts_images.images(paths, np.arange(23))
    assert np.array_equal(images[[10, 2]], drawn[[10, 2]].astype(np.float32) / 255)
    assert not algonauts_images.is_official(tmp_path)
    (tmp_path / '0.png').rename(tmp_path / '23.png')
    with pytest.raises(errors.DataInvalid, match='not numbered 0 to 22: number 1 where 0 should'):
        algonauts_images.numbered(tmp_path)
    (tmp_path / '23.png').rename(tmp_path / 'a.png')
    with pytest.raises(errors.DataInvalid, match=r'not named by a number, first a.png'):
        algonauts_images.numbered(tmp_path)


@pytest.mark.parametrize('seed', [0, 1])
def test_pictures_are_found_by_ids_in_any_order(tmp_path, seed):
    """Of two splits, one after the other, ids do not ascend."""
    drawn = draw(tmp_path, [f'{i}.png' for i in range(12)], seed=seed)
    ids = np.random.default_rng(seed).permutation(1000)[:12]
    images = algonauts_images.images(algonauts_images.numbered(tmp_path), ids)
    assert (np.diff(images.ids) > 0).all()
    assert np.array_equal(images[ids], drawn.astype(np.float32) / 255)


def test_broken_pictures_are_named(tmp_path):
    names = [f'{i}.png' for i in range(4)]
    draw(tmp_path, names)
    images = algonauts_images.images(algonauts_images.numbered(tmp_path), np.arange(4))
    draw(tmp_path, ['2.png'], size=(6, 5))
    with pytest.raises(errors.DataInvalid, match=r'\(6, 5\) pixels, 0.png has \(6, 6\)'):
        images[[1, 2]]
    whole = (tmp_path / '3.png').read_bytes()
    for content in (whole[: len(whole) // 2], b'<html>', whole[:40] + b'\0' * 60):
        (tmp_path / '3.png').write_bytes(content)
        with pytest.raises(errors.DataInvalid, match=r'3\.png'):
            images[[3]]
    (tmp_path / '1.png').write_bytes(b'')
    with pytest.raises(errors.DataInvalid, match='1 pictures are empty files, first 1.png'):
        algonauts_images.numbered(tmp_path)


def test_no_pictures_at_all_are_missing(tmp_path):
    for folder, what in ((tmp_path, 'no PNG files'), (tmp_path / 'x', 'no such folder')):
        with pytest.raises(errors.DataMissing, match=f'{what}.*launch/fetch.py algonauts2023'):
            algonauts_images.official(folder, 'train')
