"""The run folder (RUN_FOLDER.md): writer and reader. Never imports jax.

Every file is written to a temporary name and renamed, so that a killed run leaves whole files only.
"""

import dataclasses
import io
import json
import math
import os
import pathlib
import resource
import shutil
import sys
import time
import zipfile
import zlib

import numpy as np

from recon.core import errors, types
from recon.core import lock as locks

SCHEMA = 1


class Stopped(BaseException):
    """SIGTERM came: what is finished stays, the same command goes on later."""


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Writes `content` whole or not at all; a full disk leaves no temporary file."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with open(temporary, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def to_json(value) -> str:
    """JSON text, keys in their order; numpy becomes plain, NaN and infinity become null."""
    return json.dumps(_plain(value), indent=1, allow_nan=False)


def write_npz(path: pathlib.Path, arrays: dict) -> None:
    """Writes arrays as one .npz; object arrays are our own fault."""
    assert not any(np.asarray(a).dtype == object for a in arrays.values()), sorted(arrays)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def entry(score: types.Score, split: str, image_unit: str = 'image') -> dict:
    """One metric as scores.json holds it.

    Args:
      score: the metric.
      split: which rows it is of: 'test', 'train', the name of a further test set.
      image_unit: 'row' where the scored pictures are rows and not distinct images.
    """
    values = [float(x) if math.isfinite(x) else None for x in np.ravel(score.per_unit)]
    plain = {f.name: getattr(score, f.name) for f in dataclasses.fields(score)}
    plain |= {'net': None, 'weights': None, 'split': split} | plain.pop('extra')
    if score.unit == 'image':
        plain['unit'] = image_unit
    by_image = plain['unit'] == 'image'
    return plain | {
        'per_image': values if by_image else None,
        'per_unit': None if by_image else values,
    }


def read(run_dir) -> dict:
    """Everything that a run folder holds, for reports.

    Returns:
      {'config', 'run', 'scores', 'decoder': dicts; 'arrays', 'maps': {name: array}; 'log': list};
      what is not there is empty.

    Raises:
      DataMissing: no run.json or scores.json in `run_dir`.
    """
    run_dir = pathlib.Path(run_dir)
    for name in ('run.json', 'scores.json'):
        if not (run_dir / name).exists():
            raise errors.DataMissing(
                f'no {name}', run_dir, 'finish the run with launch/main.py --workdir=DIR first'
            )
    names = ('config', 'run', 'scores', 'decoder')
    plain = {name: _read_json(run_dir / f'{name}.json') for name in names}
    arrays = read_arrays(run_dir / 'reconstructions.npz')
    plain['arrays'] = arrays or read_arrays(run_dir / 'predictions.npz')
    plain['maps'] = read_arrays(run_dir / 'maps.npz')
    plain['log'] = read_log(run_dir / 'logs' / 'metrics.jsonl')
    return plain


def read_log(path: pathlib.Path) -> list[dict]:
    """Lines of a metrics.jsonl; a last line that a kill cut short is left out."""
    lines = path.read_text().splitlines() if path.exists() else []
    objects = []
    for i, line in enumerate(lines):
        try:
            objects.append(json.loads(line))
        except ValueError:
            if i < len(lines) - 1:
                raise errors.DataInvalid(f'line {i + 1} is not JSON', path, 'remove it') from None
    return objects


def read_arrays(path: pathlib.Path) -> dict:
    """Arrays of an .npz without unpickling anything; {} if the file is not there."""
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise errors.DataInvalid(
            f'cannot be read ({error})', path, 'remove it and run launch/main.py again'
        ) from error


def first_difference(a: dict, b: dict, prefix: str = '') -> str | None:
    """The first key, dotted and in sorted order, in which two plain configs differ."""
    for key in sorted(set(a) | set(b)):
        if a.get(key, _ABSENT) == b.get(key, _ABSENT):
            continue
        if isinstance(a.get(key), dict) and isinstance(b.get(key), dict):
            return first_difference(a[key], b[key], f'{prefix}{key}.')
        return prefix + key
    return None


def state(workdir, config: dict) -> str:
    """What a start on `workdir` would find; changes nothing.

    Returns:
      'new', 'done', or 'resume' (something is missing that a finished run leaves).

    Raises:
      RunFolderError: the folder is in use, belongs to another config, or is no run folder.
    """
    workdir, config = pathlib.Path(workdir), _plain(config)
    if not workdir.exists():
        return 'new'
    if not workdir.is_dir():
        raise errors.RunFolderError('is a file', workdir, 'name another --workdir')
    locks.refuse_if_alive(workdir / 'lock')
    if not (workdir / 'config.json').exists():
        # A start that was killed at once leaves a lock or input files; anything more is not ours.
        if all(_beside(p.name) or p.suffix == '.tmp' for p in workdir.iterdir()):
            return 'new'
        raise errors.RunFolderError('not a run folder, and not empty', workdir, 'name another DIR')
    old, run = _read_json(workdir / 'config.json'), _read_json(workdir / 'run.json')
    key = first_difference(old, config)
    if key is not None and run.get('status') == 'failed' and not (workdir / 'checkpoints').exists():
        return 'new'  # it failed before anything was fitted: a mended config may have the folder
    if key is not None:
        raise errors.RunFolderError(
            f'holds a run of another config; the first key that differs is {key}: '
            f'{_dig(old, key)!r} there, {_dig(config, key)!r} now',
            workdir,
            'name another --workdir, or remove that folder',
        )
    whole = all((workdir / name).exists() for name in run.get('outputs') or ['scores.json'])
    return 'done' if run.get('status') == 'done' and whole else 'resume'


class Run:
    """One live run on a folder: lock, status, outputs. A context manager.

    Leaving it normally sets `status: done`; SIGTERM (as `Stopped`) sets `stopped`; any other
    exception sets `failed` with its text and goes on up.

    Args:
      workdir: the folder; created here.
      config: resolved config, JSON-able.
      facts: what run.json says besides (commit, versions, device, seed, protocol, audit).
      started: time.time() when the work began, for wall_s; now by default.
    """

    def __init__(self, workdir, config: dict, facts: dict, started: float | None = None):
        self.dir = pathlib.Path(workdir)
        self.config, self.facts = config, dict(facts)
        self.started = started or time.time()
        self._lock = locks.Lock(self.dir / 'lock')

    def __enter__(self):
        made = not self.dir.exists()
        self.dir.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.take()
            self.json('config.json', self.config)
            self.status('running')
        except BaseException:  # nothing has begun: leave nothing behind
            self._lock.release()
            if made:
                shutil.rmtree(self.dir, ignore_errors=True)
            raise
        return self

    def __exit__(self, kind, error, _):
        try:
            if kind is None:
                self.status('done')
            elif issubclass(kind, Stopped | KeyboardInterrupt):
                self.status('stopped')
            else:
                known = isinstance(error, errors.UserError)
                self.status('failed', str(error) if known else f'{kind.__name__}: {error}')
        finally:
            self._lock.release()

    def json(self, name: str, value) -> None:
        """Writes `value` as DIR/name."""
        write_bytes(self.dir / name, to_json(value).encode())

    def npz(self, name: str, arrays: dict) -> None:
        """Writes `arrays` as DIR/name."""
        write_npz(self.dir / name, arrays)

    def status(self, status: str, error: str | None = None) -> None:
        """Writes run.json: status, error, outputs so far, time and memory so far."""
        depth = len(self.dir.parts)
        outputs = sorted(
            str(p.relative_to(self.dir))
            for p in self.dir.rglob('*')
            if p.is_file() and not _beside(p.parts[depth]) and p.name[0] != '.'
        )
        if (self.dir / 'checkpoints').is_dir():
            outputs.append('checkpoints')
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.json(
            'run.json',
            self.facts
            | {
                'schema': SCHEMA,
                'status': status,
                'error': error,
                'outputs': outputs,
                'wall_s': round(time.time() - self.started, 3),
                'peak_rss_mb': round(peak / (2**20 if sys.platform == 'darwin' else 2**10), 1),
            },
        )


def _beside(name: str) -> bool:
    """Not an output: lock, run.json, parameters, simulated input files that `:smoke` writes."""
    return name in ('lock', 'run.json', 'checkpoints') or name.startswith('layout')


def _read_json(path: pathlib.Path) -> dict:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


_ABSENT = object()


def _dig(config: dict, key: str):
    for part in key.split('.'):
        config = config.get(part, 'absent') if isinstance(config, dict) else 'absent'
    return config


def _plain(value):
    if isinstance(value, dict) or hasattr(value, 'items'):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, pathlib.Path) else value
