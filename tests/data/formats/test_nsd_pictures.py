import pickle
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

from recon.core import errors, image
from recon.data.formats import nsd_pictures

SHOWN = np.array([2, 5, 6, 11, 19])
SHARED = np.array([6, 11])


def pictures(seed=0, n=24, size=12):
    return np.random.default_rng(seed).integers(1, 255, (n, size, size, 3), np.uint8)


def write(root, brick, shown=SHOWN, shared=SHARED, source=None):
    """The brick with `shown` written, and the shared pictures as PNGs, taken from `source`."""
    path = root / nsd_pictures.BRICK
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, 'w') as file:
        held = file.create_dataset('imgBrick', brick.shape, np.uint8, chunks=(1, *brick.shape[1:]))
        for i in shown:
            held[i] = brick[i]
    folder = root / nsd_pictures.SHARED
    folder.mkdir(parents=True, exist_ok=True)
    for k, i in enumerate(shared, start=1):
        picture = (brick if source is None else source)[i]
        Image.fromarray(picture).save(folder / f'shared{k:04d}_nsd{i + 1:05d}.png')
    return path


@pytest.mark.parametrize(('seed', 'size'), [(0, 12), (1, 17)])
def test_pictures_come_by_id_in_any_order_and_again(tmp_path, seed, size):
    brick = pictures(seed, size=size)
    write(tmp_path, brick)
    images = nsd_pictures.read(tmp_path, SHOWN)
    assert images.shape == (size, size) and images.channels == 3
    for ids in ([19, 2, 19, 6], [11], SHOWN):
        assert np.array_equal(images[ids], brick[ids].astype(np.float32) / 255)
    with pytest.raises(errors.DataInvalid, match='unknown, first 3'):
        images[[3]]


def test_another_size_is_asked_for_by_its_side(tmp_path):
    brick = pictures()
    write(tmp_path, brick)
    images = nsd_pictures.read(tmp_path, SHOWN, 5)
    assert images.shape == (5, 5)
    wanted = image.resize(brick[SHOWN].astype(np.float32) / 255, (5, 5))
    np.testing.assert_allclose(images[SHOWN], wanted)


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    path = write(tmp_path, pictures())
    images = nsd_pictures.read(tmp_path, SHOWN)
    path.unlink()
    with pytest.raises(errors.DataMissing, match='nsd_stimuli.hdf5'):
        images[[2]]


def test_a_shown_picture_that_is_black_is_an_error_at_opening_or_when_it_is_read(tmp_path):
    write(tmp_path, pictures(n=60), shown=[5, 6, 11, 19])
    with pytest.raises(errors.DataInvalid, match=r'1 of 5 pictures .* black .* first 2 .*download'):
        nsd_pictures.read(tmp_path, SHOWN)
    many = np.arange(40)
    write(tmp_path, pictures(n=60), shown=np.delete(many, 7))
    images = nsd_pictures.read(tmp_path, many)  # looks at a few
    with pytest.raises(errors.DataInvalid, match='first 7'):
        images[[6, 7, 8]]


def test_transposed_pictures_and_ids_off_by_one_are_seen_by_the_shared_pngs(tmp_path):
    brick = pictures()
    write(tmp_path, brick.swapaxes(1, 2).copy(), source=brick)
    with pytest.raises(errors.DataInvalid, match='whose content is transposed'):
        nsd_pictures.read(tmp_path, SHOWN)
    for shift, side in ((1, 'after'), (-1, 'before')):
        write(tmp_path, np.roll(brick, shift, 0), np.arange(24), source=brick)
        message = f'the picture {side} it .ids shifted by one'
        with pytest.raises(errors.DataInvalid, match=message):
            nsd_pictures.read(tmp_path, SHOWN)
    write(tmp_path, brick, source=pictures(9))
    with pytest.raises(errors.DataInvalid, match='is another picture than shared0001_nsd00007'):
        nsd_pictures.read(tmp_path, SHOWN)


def test_shared_pngs_of_pictures_not_shown_or_resized_do_not_matter(tmp_path):
    brick = pictures()
    write(tmp_path, brick, shared=[1, 6])  # 1 is not in the brick
    Image.fromarray(brick[11][:6, :6]).save(
        tmp_path / nsd_pictures.SHARED / 'shared0003_nsd00012.png'
    )
    nsd_pictures.read(tmp_path, SHOWN)


def test_where_no_shared_png_can_be_compared_that_is_said(tmp_path):
    brick, notes = pictures(), []
    write(tmp_path, brick)
    nsd_pictures.read(tmp_path, SHOWN, notes=notes)
    assert notes == []
    folder = tmp_path / nsd_pictures.SHARED
    for path in folder.iterdir():  # resized by the user
        Image.fromarray(brick[0][:5, :5]).save(path)
    nsd_pictures.read(tmp_path, SHOWN, notes=notes)
    shutil.rmtree(folder)
    nsd_pictures.read(tmp_path, SHOWN, notes=notes)
    folder.mkdir()
    nsd_pictures.read(tmp_path, SHOWN, notes=notes)
    assert len(notes) == 3
    assert all('imgBrick was compared with nothing' in note for note in notes)


@pytest.mark.parametrize('axes', [(3, 2, 1, 0), (0, 3, 1, 2), (3, 1, 2, 0)])
def test_axes_in_another_order_are_named(tmp_path, axes):
    write(tmp_path, pictures().transpose(axes), [0], ())
    with pytest.raises(errors.DataInvalid, match=r'wanted \(images, rows, columns, 3\)'):
        nsd_pictures.read(tmp_path, SHOWN)


def test_ids_beyond_the_brick_and_other_types_are_named(tmp_path):
    path = write(tmp_path, pictures())
    with pytest.raises(errors.DataInvalid, match='image 24 was shown, imgBrick holds 24'):
        nsd_pictures.read(tmp_path, np.array([2, 24]))
    with h5py.File(path, 'w') as file:
        file['imgBrick'] = pictures().astype(np.float32)
    with pytest.raises(errors.DataInvalid, match='its type is float32'):
        nsd_pictures.read(tmp_path, SHOWN)
    with h5py.File(path, 'w') as file:
        file['pictures'] = pictures()
    with pytest.raises(errors.DataInvalid, match="no dataset 'imgBrick'.*it holds pictures"):
        nsd_pictures.read(tmp_path, SHOWN)


@pytest.mark.parametrize('kind', ['empty', 'half', 'text', 'pickle', 'gone'])
def test_a_broken_brick_is_named(tmp_path, kind):
    path = write(tmp_path, pictures())
    content = path.read_bytes()
    broken = {'empty': b'', 'text': b'<html>' * 99, 'pickle': pickle.dumps(pictures())}
    path.unlink()
    if kind != 'gone':
        path.write_bytes(broken.get(kind, content[: len(content) // 2]))
    wanted = errors.DataMissing if kind == 'gone' else errors.DataInvalid
    with pytest.raises(wanted, match='nsd_stimuli.hdf5'):
        nsd_pictures.read(tmp_path, SHOWN)[SHOWN]


def test_a_brick_that_promises_ten_to_the_twelve_is_opened_without_memory(tmp_path):
    path = tmp_path / nsd_pictures.BRICK
    path.parent.mkdir(parents=True)
    with h5py.File(path, 'w') as file:
        file.create_dataset('imgBrick', (3, 10**6, 10**6, 3), np.uint8, chunks=(1, 9, 9, 3))
    with pytest.raises(errors.DataInvalid, match=r'promises \(3, 1000000, 1000000, 3\)'):
        nsd_pictures.read(tmp_path, np.arange(3))


def test_broken_and_misnamed_pngs_are_named(tmp_path):
    write(tmp_path, pictures())
    path = tmp_path / nsd_pictures.SHARED / 'shared0001_nsd00007.png'
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(errors.DataInvalid, match='not a picture.*shared0001_nsd00007.png'):
        nsd_pictures.read(tmp_path, SHOWN)
    path.rename(path.with_name('shared0001_nsd00000.png'))
    with pytest.raises(errors.DataInvalid, match='its name holds no row'):
        nsd_pictures.read(tmp_path, SHOWN)
