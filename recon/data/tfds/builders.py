"""Any data set, prepared, as a tensorflow-datasets data set in array_record shards.

TensorFlow itself is neither needed nor imported. Nothing else of recon reads what is written here.
"""

import contextlib
import functools
import hashlib
import io
import json
import pathlib
import re

import numpy as np
from PIL import Image

from recon.core import errors, image, results, types

VOXELS = 'voxels.npz'  # beside the shards: rois and voxel_info
_PNGS = 512  # encoded pictures that are kept for the next row that shows them
_COLUMNS = ('run', 'session', 'repeat', 'trials')


def build(
    brain: types.BrainData,
    name: str,
    data_dir,
    shards: int = 0,
    *,
    config: str = '',
    version: str = '1.0.0',
) -> pathlib.Path:
    """Writes every split of `brain` as examples {voxels, image, image_id, run, session, ...}.

    An example is a row: voxels [v] float32, image [h w 3] uint8, image_id (int64, or text), run,
    session, repeat, trials (int32), and, where the data have them, labels ([k] uint8, or one
    int64) and captions (texts). Examples keep the order of the rows. ROIs and voxel_info lie
    beside them in voxels.npz, facts in metadata.json. Read them with
    `tensorflow_datasets.data_source('recon_<name>/<config>', data_dir=data_dir)`, or `sources`.

    Args:
      brain: as a reader and `prepare.run` give it.
      name: of the data set, for example 'nsd'; it is called recon_<name>.
      data_dir: the folder of tensorflow-datasets' data sets.
      shards: of each split, at most as many as the smallest has rows; 0 leaves it to
        tensorflow-datasets, by size.
      config: a name for this subject and preparation; default 'subject<subject>'.
      version: x.y.z.

    Returns:
      The folder, data_dir/recon_<name>/<config>/<version>. Where it is there with the same data,
      nothing is written.

    Raises:
      ConfigError: other data are there already; or a name, a version or `shards` that does not fit.
      DataInvalid: an image without a label, where others have one.
    """
    tfds = _tfds()
    config = config or f'subject{brain.facts.get("subject", 1)}'
    _check_names(name, config, version, shards)
    print_ = {'fingerprint': fingerprint(brain), 'label_names': list(brain.label_names)}
    about = json.loads(results.to_json(print_ | {'facts': brain.facts, 'tr': brain.tr}))
    folder = pathlib.Path(data_dir).expanduser() / f'recon_{name}' / config / version
    if folder.exists():
        return _same(folder, about['fingerprint'])
    made = _builder(tfds, brain, about)(
        data_dir=str(pathlib.Path(data_dir).expanduser()),
        config=tfds.core.BuilderConfig(name=config, version=version),
        file_format='array_record',
        name=f'recon_{name}',
    )
    shards = min(shards, *(len(split) for split in brain.splits().values()))
    wanted = tfds.download.DownloadConfig(num_shards=shards or None, try_download_gcs=False)
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        made.download_and_prepare(download_config=wanted)
    return folder


def sources(folder) -> dict:
    """{split: random access to its examples} of a folder that `build` wrote.

    Raises:
      DataMissing: no such folder.  DataInvalid: it cannot be read.
    """
    folder = pathlib.Path(folder).expanduser()
    if not (folder / 'dataset_info.json').is_file():
        raise errors.DataMissing('no tensorflow-datasets data set', folder, 'build it first')
    tfds = _tfds()
    from google.protobuf import json_format  # comes with tensorflow-datasets

    try:
        return dict(tfds.builder_from_directory(str(folder)).as_data_source())
    except (OSError, ValueError, RuntimeError, KeyError, json_format.Error) as error:
        text = ' '.join(str(error).split())[:160]
        raise errors.DataInvalid(
            f'cannot be read ({type(error).__name__}: {text})', folder, 'build it again'
        ) from error


def fingerprint(brain: types.BrainData) -> str:
    """A digest of rows, ids, labels and a few pictures: whether two builds hold the same data."""
    digest = hashlib.sha256()
    for name, split in sorted(brain.splits().items()):
        for array in (split.voxels, split.image_id, *(getattr(split, c) for c in _COLUMNS)):
            digest.update(f'{name} {array.dtype} {array.shape}'.encode())
            digest.update(np.ascontiguousarray(array))
        shown = np.unique(split.image_id)
        digest.update(image.to_uint8(brain.images[shown[:: max(1, len(shown) // 8)]]))
    for about in (brain.labels, brain.captions):
        for key in sorted(about or {}, key=str):
            digest.update(f'{key} {np.asarray(about[key]).tolist()}'.encode())
    for key, array in sorted(_voxels(brain).items()):
        digest.update(key.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _tfds():
    try:
        import tensorflow_datasets  # slow to import, and needed here alone
    except ImportError as error:
        raise errors.ConfigError(
            f'tensorflow-datasets is not installed ({error})', 'recon.data.tfds',
            "pip install 'recon[tfds]'",
        ) from error  # fmt: skip
    return tensorflow_datasets


def _check_names(name: str, config: str, version: str, shards: int) -> None:
    for what, given, form in (
        ('name', name, r'[a-z][a-z0-9_]*'),
        ('config', config, r'[A-Za-z0-9][A-Za-z0-9_.-]*'),
        ('version', version, r'\d+\.\d+\.\d+'),
    ):
        if not re.fullmatch(form, given):
            raise errors.ConfigError(f'{what} is {given!r}', 'tfds', f'wanted like {form}')
    if shards < 0:
        raise errors.ConfigError(f'shards is {shards}', 'tfds', 'wanted 0 or more')


def _same(folder: pathlib.Path, wanted: str) -> pathlib.Path:
    try:
        found = json.loads((folder / 'metadata.json').read_text()).get('fingerprint')
    except (OSError, ValueError, AttributeError):
        found = None
    if found != wanted:
        raise errors.ConfigError(
            'other data are there already',
            folder,
            'give another name or version, or remove the folder',
        )
    return folder


def _builder(tfds, brain: types.BrainData, about: dict):
    """A class of one data set, which tensorflow-datasets does not remember."""

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        def __init__(self, *, name, config, **options):
            self.name, self.VERSION = name, tfds.core.Version(config.version)
            self.BUILDER_CONFIGS = [config]
            super().__init__(config=config, version=config.version, **options)

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                description=f'Prepared fMRI examples of {about["facts"].get("source")}.',
                features=_features(tfds, brain),
                metadata=tfds.core.MetadataDict(about),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            # The folder is still an unfinished one here, and is renamed when all is written.
            results.write_npz(pathlib.Path(self.data_dir) / VOXELS, _voxels(brain))
            png = _encoder(brain.images)
            return {
                re.sub(r'\W', '_', name): _examples(brain, split, png)
                for name, split in brain.splits().items()
            }

        def _generate_examples(self):
            """Demanded by the base class; never called, since the splits hold their examples."""
            raise NotImplementedError

    return Builder


def _features(tfds, brain: types.BrainData):
    features, split = tfds.features, brain.train
    number = split.image_id.dtype.kind in 'iu'
    columns = {
        'voxels': features.Tensor(shape=split.voxels.shape[1:], dtype=np.float32),
        'image': features.Image(shape=(*brain.images.shape, 3), encoding_format='png'),
        'image_id': features.Scalar(np.int64) if number else features.Text(),
    } | {name: features.Scalar(np.int32) for name in _COLUMNS}
    if brain.labels:
        first = np.asarray(next(iter(brain.labels.values())))
        columns['labels'] = (
            features.Tensor(shape=first.shape, dtype=np.uint8)
            if first.ndim
            else features.Scalar(np.int64)
        )
    if brain.captions:
        columns['captions'] = features.Sequence(features.Text())
    return features.FeaturesDict(columns)


def _encoder(images: types.Images):
    """Gives the picture of an id as a PNG's bytes: without TensorFlow, arrays cannot be encoded."""

    @functools.lru_cache(maxsize=_PNGS)
    def png(i) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image.to_uint8(images[[i]])[0]).save(buffer, 'PNG', compress_level=3)
        return buffer.getvalue()

    return png


def _examples(brain: types.BrainData, split: types.Split, png):
    for row, i in enumerate(split.image_id.tolist()):
        example = {'voxels': split.voxels[row], 'image': io.BytesIO(png(i)), 'image_id': i}
        example |= {name: getattr(split, name)[row] for name in _COLUMNS}
        if brain.labels:
            if i not in brain.labels:
                raise errors.DataInvalid(
                    f'image {i} has no label', 'tfds', f'{len(brain.labels)} images have one'
                )
            example['labels'] = brain.labels[i]
        if brain.captions:
            example['captions'] = list(brain.captions.get(i, ()))
        yield row, example


def _voxels(brain: types.BrainData) -> dict[str, np.ndarray]:
    """What is known of voxels: roi_<name> bool [v], info_<field> [v ...]."""
    rois = {f'roi_{name}': roi for name, roi in brain.rois.items()}
    return rois | {f'info_{name}': field for name, field in brain.voxel_info.items()}
