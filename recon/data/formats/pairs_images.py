"""Pictures of a user's own: a folder, or an array, made upright and read when asked for."""

import pathlib
import re

import numpy as np

from recon.core import errors, image, settings, types
from recon.data.formats import files, pairs_arrays

PICTURES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.gif', '.webp')
ORIENTATIONS = ('upright', 'transposed', 'upside down', 'mirrored', 'half turn')
_PROBED = 64  # pictures whose size or values are looked at before any is asked for


def load(root: pathlib.Path, cfg: dict, image_ids, text_ids: bool, notes: list) -> types.Images:
    """The pictures of `cfg` (dataset.images).

    Args:
      root: names are relative to it.
      cfg: see datasets/pairs.py.
      image_ids: [m] ids of an array's pictures, or None: they are numbered from 0.
      text_ids: whether the rows name pictures by text and not by number.
      notes: sentences for the user are added.

    Raises:
      DataMissing: no pictures.  DataInvalid: unreadable, names from which no id follows, values
        outside their range.  ConfigError: an option that does not fit.
    """
    if cfg['orientation'] not in ORIENTATIONS:
        raise errors.ConfigError(
            f'dataset.images.orientation is {cfg["orientation"]!r}',
            'config',
            f'how pictures are stored, one of {ORIENTATIONS}',
        )
    found = _find(root, cfg)
    if found.is_dir():
        return _folder(found, cfg, text_ids, notes)
    return _array(found, cfg, image_ids)


def upright(pictures: np.ndarray, orientation: str) -> np.ndarray:
    """Pictures [k h w c] as they are stored -> as they were seen."""
    if orientation == 'transposed':
        return pictures.transpose(0, 2, 1, 3)
    turns = {'upside down': (1,), 'mirrored': (2,), 'half turn': (1, 2)}
    return np.flip(pictures, turns[orientation]) if orientation in turns else pictures


def name_of(name: str) -> str:
    """'dog_12s.jpg' -> 'dog_12s'; other dots stay."""
    path = pathlib.PurePath(str(name))
    return path.stem if path.suffix.lower() in PICTURES else path.name


def _find(root: pathlib.Path, cfg: dict) -> pathlib.Path:
    found = pairs_arrays.find(root, cfg['file'], 'images', ('', *pairs_arrays.ARRAYS))
    if not found:
        raise errors.DataMissing(
            'no pictures: neither a folder images nor images.npy, .npz, .mat, .h5',
            root,
            f'name them in dataset.images.file. {pairs_arrays.REMEDY}',
        )
    if len(found) > 1:
        raise errors.ConfigError(
            f'dataset.images.file names {len(found)} files', 'config', 'one folder or one file'
        )
    return found[0]


def _folder(folder: pathlib.Path, cfg: dict, text_ids: bool, notes: list) -> types.Images:
    paths = files.natural(
        p for p in folder.iterdir() if p.suffix.lower() in PICTURES and p.name[0] != '.'
    )
    if not paths:
        raise errors.DataMissing(
            f'no picture in {len(list(folder.iterdir()))} files', folder, f'wanted {PICTURES}'
        )
    named = {}
    for path in paths:
        key = _id(path, cfg['pattern'], text_ids)
        if key in named:
            raise errors.DataInvalid(
                f'{named[key].name} and {path.name} are both picture {key}',
                folder,
                'set dataset.images.pattern, or remove one of them',
            )
        if key is not None:
            named[key] = path
    if not named:
        raise errors.DataInvalid(
            f'dataset.images.pattern {cfg["pattern"]!r} fits no name, such as {paths[0].name}',
            folder,
            "it needs one group, as in 'nsd-([0-9]+)'",
        )
    if len(named) < len(paths):
        notes.append(f'{len(paths) - len(named)} of {len(paths)} pictures have no id in their name')
    ids = np.array(sorted(named))
    ordered = [named[key] for key in ids.tolist()]
    size = _size(cfg)
    probed = [files.picture(path).shape[:2] for path in ordered[:: -(-len(ordered) // _PROBED)]]
    if not size and len(set(probed)) > 1:
        raise errors.DataInvalid(
            f'pictures are of unlike size, {probed[0]} and others', folder, _SIZES
        )
    shape = size or probed[0][:: -1 if cfg['orientation'] == 'transposed' else 1]

    def read(rows):
        pictures = [files.picture(ordered[i]) for i in np.asarray(rows).tolist()]
        pictures = [upright(p[None], cfg['orientation'])[0] for p in pictures]
        for i, p in enumerate(pictures):
            if not size and p.shape[:2] != shape:
                path = ordered[int(rows[i])]
                raise errors.DataInvalid(f'it is {p.shape[:2]}, others {shape}', path, _SIZES)
        if size:
            pictures = [image.to_uint8(image.resize(p[None] / 255, size))[0] for p in pictures]
        return np.stack(pictures) if pictures else np.zeros((0, *shape, 3), np.uint8)

    return types.Images(ids, read, shape)


_SIZES = 'set dataset.images.size=(h, w), to which all are resized'


def _id(path: pathlib.Path, pattern: str, text_ids: bool):
    """The id in a picture's name: by the pattern, the whole name, or the only number in it."""
    stem = path.stem
    if pattern:
        try:
            found = re.search(pattern, path.name)
            stem = found.group(1) if found else None
        except (re.error, IndexError) as error:
            raise errors.ConfigError(
                f'dataset.images.pattern is {pattern!r} ({error})', 'config', 'one group, the id'
            ) from None
        if stem is None:
            return None
    if text_ids:
        return stem
    inside = re.findall(r'\d+', stem)
    if len(inside) != 1:
        raise errors.DataInvalid(
            f'{path.name} has {len(inside)} numbers in its name, and the ids are numbers',
            path.parent,
            "say which with dataset.images.pattern, as in 'nsd-([0-9]+)'; or give ids as names",
        )
    return int(inside[0])


def _array(path: pathlib.Path, cfg: dict, image_ids) -> types.Images:
    take, shape, dtype = _source(path, cfg['key'], cfg['axes'].split())
    layout = _layout(path, shape, cfg)
    count = shape[layout['axis']]
    ids = np.arange(count) if image_ids is None else np.asarray(image_ids)
    if len(ids) != count:
        raise errors.DataInvalid(
            f'{count} pictures with axes {cfg["axes"]!r} (its shape is {shape}), {len(ids)} ids in '
            'dataset.images.ids',
            path,
            'one id a picture; state the axes',
        )
    order = np.argsort(ids, kind='stable')
    ids = ids[order]
    if (ids[1:] == ids[:-1]).any():
        twice = ids[1:][ids[1:] == ids[:-1]][0]
        raise errors.DataInvalid(f'picture {twice} is there twice', path, 'ids must be distinct')
    span = _range(path, cfg, dtype)

    def read(rows):
        stored = take(order[np.asarray(rows)])
        return upright(_valued(_shaped(stored, layout), span, path), cfg['orientation'])

    probe = read(np.arange(count)[:: -(-count // _PROBED)])
    return types.Images(ids, read, tuple(probe.shape[1:3]), channels=probe.shape[-1])


def _source(path: pathlib.Path, key: str, axes: list):
    """(take: rows -> those pictures in the stored axes, shape, dtype); .npy and .h5 are lazy."""
    axis = axes.index('n') if 'n' in axes else 0
    if pairs_arrays.suffix(path) in ('.h5', '.hdf5'):
        with files.hdf5(path) as file:
            name = pairs_arrays.choose(pairs_arrays.datasets(file), key, path)
            held = files.array(file, name, kinds='fiub')
            shape, dtype = held.shape, held.dtype

        def take(rows):
            distinct, back = np.unique(rows, return_inverse=True)  # h5py wants them ascending
            with files.hdf5(path) as file:
                index = (slice(None),) * axis + (distinct,)
                return np.take(files.read(file[name], index), back, axis)

        return take, shape, dtype
    array = pairs_arrays.read(path, key)
    return (lambda rows: np.take(array, rows, axis)), array.shape, array.dtype


def _layout(path, shape: tuple, cfg: dict) -> dict:
    """How stored axes become [n h w c]. 'n hw' is a picture row by row, 'n wh' column by column."""
    words = cfg['axes'].split()
    letters = ''.join(words)
    proper = len(set(letters)) == len(letters) and {'n', 'h', 'w'} <= set(letters) <= set('nhwc')
    if not proper or 'n' not in words:
        raise errors.ConfigError(
            f'dataset.images.axes is {cfg["axes"]!r}',
            'config',
            "letters n h w and c if there is one, as stored: 'n h w c', 'h w n', 'n hw' (flat)",
        )
    if len(shape) == 3 and words == ['n', 'h', 'w', 'c']:  # the default, grey
        words, letters = ['n', 'h', 'w'], 'nhw'
    if len(words) != len(shape):
        raise errors.DataInvalid(
            f'its shape is {shape}, dataset.images.axes is {cfg["axes"]!r}',
            path,
            "state its axes: 'n h w c', 'h w c n', 'n c h w', 'n h w', 'n hw' ...",
        )
    sides = dict(zip(words, shape, strict=True))
    flat = [word for word in words if len(word) > 1]
    if flat:
        sides |= _sides(path, sides, flat[0], cfg)
    if sides.get('c', 1) not in (1, 3):
        raise errors.DataInvalid(
            f'{sides["c"]} channels with axes {cfg["axes"]!r} (its shape is {shape})',
            path,
            'channels are 1 or 3: state the axes as they are stored',
        )
    full = [sides[letter] for letter in letters]
    return {'axis': words.index('n'), 'letters': letters, 'sides': full}


def _sides(path, sides: dict, word: str, cfg: dict) -> dict:
    channels = 1 if 'c' not in word else 3
    pixels = sides[word] // channels
    size = _size(cfg) or (round(pixels**0.5),) * 2
    if len(size) != 2 or size[0] * size[1] * channels != sides[word]:
        raise errors.DataInvalid(
            f'{sides[word]} values a picture are not {size[0]} x {size[-1]} x {channels}',
            path,
            'set dataset.images.size=(h, w)',
        )
    return {'h': int(size[0]), 'w': int(size[1]), 'c': sides.get('c', channels)}


def _shaped(stored: np.ndarray, layout: dict) -> np.ndarray:
    letters = layout['letters']
    count = stored.shape[layout['axis']]
    full = [count if x == 'n' else side for x, side in zip(letters, layout['sides'], strict=True)]
    pictures = stored.reshape(full)
    if 'c' not in letters:
        pictures, letters = pictures[..., None], letters + 'c'
    return pictures.transpose([letters.index(x) for x in 'nhwc'])


def _size(cfg: dict) -> tuple:
    """(h, w) of dataset.images.size, () where it is not given."""
    if not cfg['size']:
        return ()
    return tuple(map(int, settings.numbers(cfg['size'], 2, 'dataset.images.size', '48,48')))


def _range(path, cfg: dict, dtype) -> tuple:
    if cfg['range']:
        low, high = settings.numbers(cfg['range'], 2, 'dataset.images.range', '0,255')
        if not low < high:
            raise errors.ConfigError(
                f'dataset.images.range is {cfg["range"]}', 'config', '(black, white)'
            )
        return low, high
    if dtype == np.uint8:
        return 0.0, 255.0
    if dtype.kind in 'fb':
        return 0.0, 1.0
    raise errors.ConfigError(
        f'pictures are {dtype} in {path.name}',
        'dataset.images.range',
        'say what is black and white, as in (0, 255)',
    )


def _valued(pictures: np.ndarray, span: tuple, path) -> np.ndarray:
    if pictures.dtype == np.uint8 and span == (0.0, 255.0):
        return pictures
    low, high = span
    values = (pictures.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    if not (values.size == 0 or (np.nanmin(values) >= -1e-4 and np.nanmax(values) <= 1 + 1e-4)):
        raise errors.DataInvalid(
            f'values from {pictures.min():g} to {pictures.max():g}, black and white are '
            f'{low:g} and {high:g}',
            path,
            'set dataset.images.range=(black, white)',
        )
    if not np.isfinite(values).all():
        raise errors.DataInvalid('pixels are NaN or infinite', path, 'mend the file')
    return values.clip(0, 1)
