r"""Applies a finished run to new scans.

    python launch/decode.py --run=DIR --voxels=FILE --out=DIR2 [--unseen=own] [--allow-seen]

DIR is the folder of a run that is done. FILE is a .npy [rows, voxels], or an .npz with `voxels` and
any of image_id, session, run, repeat, trials (an entry a row), xyz, vertex, hemisphere or other
fields of the run's data set (checked, so that no voxel stands in the place of another), and
`source` or `id_space` where image_id means something else than in the run. Voxels are those of the
run's own data set, before its preprocessing, which is applied as it was fitted.

Rows of one image_id are averaged where the run does so; without image_id every row is a picture.
Pictures that the run was trained on are refused; `--allow-seen` decodes them and says so.
`--unseen=own` gives rows of a session or run that was not fitted statistics of their own, where the
run normalises by it (every new row then depends on the others).

Leaves in DIR2: decoded.json, reconstructions.npz (images [n h w 3] in [0, 1], image_id) or
predictions.npz, images/<id>.png, report.html. Exit codes: 0 done, 2 the user's cause in one line.
"""

import hashlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import ml_collections
import numpy as np
from absl import logging
from PIL import Image

from launch import ending, new_rows, pages
from recon.core import errors, results

SCHEMA = 1


def main(argv: list[str]) -> int:
    """Parses `argv`, decodes, returns the exit code."""
    parser = ending.Parser(__doc__)
    parser.add_argument('--run', required=True, help='folder of a finished run')
    parser.add_argument('--voxels', required=True, help='.npy or .npz')
    parser.add_argument('--out', required=True, help='folder to write')
    parser.add_argument('--unseen', choices=('pooled', 'own'), help="default: the run's")
    parser.add_argument('--allow-seen', action='store_true', help='decode training pictures too')
    ending.speak()
    with ending.exit_codes() as ended:
        words = parser.parse_args(argv)
        out, asked = ended.writes(words.out, '--out'), ask(words)
        if _state(out, asked) == 'done':
            print(f'report: {out / "report.html"} (was there)')
        else:
            print(f'report: {decode(words, asked, out)}')
    return ended.code


def ask(words) -> dict:
    """What is to be decoded, JSON-able: the same on a folder that is done changes nothing.

    Raises:
      DataMissing: no run, or no file.  RunFolderError: the run is not done.
    """
    run, file = pathlib.Path(words.run), pathlib.Path(words.voxels)
    told = _json(run / 'run.json')
    if not told or not (run / 'config.json').exists():
        raise errors.DataMissing('no run is there', run, 'name the --workdir of a finished run')
    if told.get('status') != 'done':
        raise errors.RunFolderError(
            f'this run is not done (status: {told.get("status")})',
            run,
            'finish it with the command that started it',
        )
    if not file.is_file():
        new_rows.read(file)  # says so
    with open(file, 'rb') as content:
        digest = hashlib.file_digest(content, 'blake2b').hexdigest()[:32]
    scores = run / 'scores.json'
    return {
        'run': str(run.resolve()),
        'scores': hashlib.blake2b(scores.read_bytes()).hexdigest()[:32] if scores.exists() else '',
        'voxels': str(file.resolve()),
        'voxels_digest': digest,
        'unseen': words.unseen,
        'allow_seen': bool(words.allow_seen),
    }


def _state(out: pathlib.Path, asked: dict) -> str:
    """'new', 'again' or 'done'; refuses a folder that holds something else."""
    if not out.exists():
        return 'new'
    told = _json(out / 'decoded.json') if out.is_dir() else {}
    if told.get('asked') == asked:
        return 'done' if told['status'] == 'done' else 'again'
    if not out.is_dir() or any(out.iterdir()):
        raise errors.RunFolderError('holds something else', out, 'name another --out')
    return 'new'


def decode(words, asked: dict, out: pathlib.Path) -> pathlib.Path:
    """Decodes the rows of the file with the run; returns the path of the page.

    Raises:
      DataInvalid, DataMissing, LeakError: rows or a run that do not fit; nothing is then written.
    """
    run = pathlib.Path(words.run)
    runs = sorted(p for p in run.glob('members/*') if (p / 'run.json').exists()) or [run]
    held, kept = new_rows.read(words.voxels), _kept(runs[0])
    compared = new_rows.check_voxels(held, kept)
    rows = new_rows.split(held)
    told = _json(run / 'run.json')
    facts = (told.get('protocol') or {}).get('data') or {}
    seen = new_rows.refuse_seen(held, kept, facts, words.allow_seen)

    from recon import experiment, outputs, pipeline
    from recon.core import provenance

    cfg = config(runs[0], pipeline.DEFAULTS, words.unseen)
    notes = [f'{", ".join(compared)} of the voxels are those of the run.'] if compared else []
    new_rows.check_own(cfg.preprocess, kept, rows)
    notes += new_rows.unknown_groups(cfg.preprocess, kept, rows)
    sizes = new_rows.sizes(cfg.preprocess, kept, rows)
    odd, said = new_rows.strange(sizes)
    if odd:
        logging.warning(said)
    split, decoded = apply_all(runs, words.unseen, rows)
    now = provenance.facts(cfg.seed)
    if now['commit'] != told.get('commit'):
        notes.append(f'Fitted by the code {told.get("commit")}, decoded by {now["commit"]}.')
    stages = [name for name in (cfg.decoder.name, *cfg.generator.chain) if name != 'none']
    content = {
        'schema': SCHEMA,
        'status': 'running',
        'asked': asked,
        'rows': len(rows),
        'entries': len(split),
        'seen_images': seen,
        'compared': compared,
        'row_sizes': None if sizes is None else [float(f'{size:.4g}') for size in sizes],
        'strange_rows': odd,
        'strange_images': sorted({str(i) for i in rows.image_id[odd]}),
        'warnings': [said] if odd else [],
        'notes': notes,
        'title': f'{cfg.dataset.name}: {", ".join(stages)}',
    } | {key: now[key] for key in ('commit', 'versions', 'device')}
    arrays = {'image_id': split.image_id}
    if experiment.answer(cfg) == 'images':
        if not np.isfinite(decoded['images']).all():
            raise errors.DataInvalid('the pictures are NaN', words.voxels, said or 'check the rows')
        arrays |= {'images': decoded['images'].astype(np.float32)}
        arrays |= outputs.beside(cfg, decoded)
    else:
        predicted = {f'{k}_pred': decoded[k].astype(np.float32) for k in cfg.targets}
        arrays |= {'pred': predicted[f'{experiment.answer(cfg)}_pred']} | predicted
    before = results.read_arrays(run / 'predictions.npz')
    told = ((told.get('protocol') or {}).get('labels') or {}).get('one_class')
    names = ('categories',) if told else ('categories', 'threshold')  # one class: the highest score
    return write(out, content, arrays, {k: before[k] for k in names if k in before})


def write(out: pathlib.Path, content: dict, arrays: dict, before: dict) -> pathlib.Path:
    """Writes DIR2; decoded.json says 'done' when all else is there.

    Args:
      out: DIR2.
      content: of decoded.json.
      arrays: of the .npz: image_id, and images or pred.
      before: arrays of the run's predictions.npz that hold for new rows too.
    """
    from recon.report import decoded as page

    results.write_bytes(out / 'decoded.json', results.to_json(content).encode())
    if 'images' in arrays:
        results.write_npz(out / 'reconstructions.npz', arrays)
        for name, picture in zip(file_names(arrays['image_id']), arrays['images'], strict=True):
            target = out / 'images' / f'{name}.png'
            target.parent.mkdir(exist_ok=True)
            Image.fromarray((255 * picture).round().astype(np.uint8)).save(target)
    else:
        arrays |= before
        results.write_npz(out / 'predictions.npz', arrays)
    report = page.write(out, content, arrays)
    results.write_bytes(
        out / 'decoded.json', results.to_json(content | {'status': 'done'}).encode()
    )
    return report


def config(run: pathlib.Path, defaults: dict, unseen: str | None = None):
    """The run's resolved config, with options that are newer than it at their defaults."""
    from recon.core import settings

    plain = _tuples(_json(run / 'config.json'))
    if not plain:
        raise errors.DataInvalid('no JSON object', run / 'config.json', 'the run is damaged')
    if unseen:
        if (
            'normalise' not in plain['preprocess']
            or plain['preprocess']['normalise']['by'] == 'all'
        ):
            raise errors.ConfigError(
                f'--unseen={unseen}, and the run does not normalise by session or run',
                'command line',
                'leave it out',
            )
        plain['preprocess']['normalise']['unseen'] = unseen
    return settings.resolve(ml_collections.ConfigDict(plain), defaults)


def apply(cfg, run: pathlib.Path, kept: dict, rows):
    """The entries as prepared (types.Split), and what is decoded from them {name: [n ...]}.

    Args:
      cfg: of `config`.
      run: the run's folder.
      kept: of `prepare.remember`.
      rows: types.Split as measured.
    """
    import jax

    from recon import controls, experiment
    from recon.data import prepare
    from recon.train import checkpoint

    split = controls.rows_to_score(cfg, prepare.again(cfg.preprocess, kept, rows))
    this = experiment.Experiment(cfg, None, jax.random.key(cfg.seed), kept_scales=kept)
    fitted = {}
    for name in this.parts:
        path = run / 'checkpoints' / name
        mark = path.with_name(f'{name}.fingerprint')
        fitted[name] = checkpoint.load(path, mark.read_text()) if mark.exists() else None
        if fitted[name] is None:
            raise errors.DataMissing('no fitted parameters', path, 'run it again elsewhere')
    return split, this.decode(fitted, split.voxels)


def apply_all(runs: list, unseen: str | None, rows):
    """As `apply`, of one run; of a bag the pictures of its members, put together by its vote."""
    from recon import bag, outputs, pipeline

    members, split = {}, None
    for run in runs:
        cfg = config(run, pipeline.DEFAULTS, unseen)
        split, found = apply(cfg, run, _kept(run), rows)
        if len(runs) == 1:
            return split, found
        own = {'images': found['images'], 'image_id': split.image_id}
        members[run.name] = own | outputs.beside(cfg, found)
    whole = config(runs[0].parents[1], pipeline.DEFAULTS)
    return split, bag.join(whole, {name: members[name] for name in bag.names(whole)})


def file_names(ids) -> list[str]:
    """A file's name for each entry: its id, with the row's number where ids are no names."""
    plain = [''.join(c if c.isalnum() or c in '-._' else '_' for c in str(i)) for i in ids]
    plain = [name.encode()[:80].decode(errors='ignore') for name in plain]  # disks count bytes
    distinct = len({name.lower() for name in plain}) == len(plain)
    distinct &= all(name.strip('.') for name in plain)
    return plain if distinct else [f'{row:05d}_{name}' for row, name in enumerate(plain)]


def _kept(run: pathlib.Path) -> dict:
    from recon.data import prepare

    kept = results.read_arrays(run / 'checkpoints' / prepare.FILE)
    if not kept:
        raise errors.DataMissing(
            f'no checkpoints/{prepare.FILE}: an inspection, or a run of an older version',
            run,
            'run the experiment again on another --workdir',
        )
    return kept


def _json(path: pathlib.Path) -> dict:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _tuples(value):
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


if __name__ == '__main__':
    pages.use()
    sys.exit(main(sys.argv[1:]))
