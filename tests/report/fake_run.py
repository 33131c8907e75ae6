"""Writes run folders as RUN_FOLDER.md lays them out, with made-up but sensible content.

`python -m tests.report.fake_run DIR` writes one of each kind, to look at the page.
"""

import pathlib
import sys

import numpy as np
from PIL import Image, ImageDraw

from recon.core import image, results


def scenes(rng, n, size=64):
    """[n size size 3]: sky, ground, texture and one to three objects."""
    out = []
    for _ in range(n):
        big = size * 4
        sky, ground = rng.integers(90, 255, 3), rng.integers(30, 170, 3)
        canvas = Image.new('RGB', (big, big), tuple(int(c) for c in sky))
        draw = ImageDraw.Draw(canvas)
        horizon = int(big * rng.uniform(0.45, 0.75))
        draw.rectangle((0, horizon, big, big), fill=tuple(int(c) for c in ground))
        for _ in range(rng.integers(1, 4)):
            r, x, y = big * rng.uniform(0.1, 0.24), *(big * rng.uniform(0.2, 0.8, 2))
            box = (int(x - r), int(y - r), int(x + r), int(y + r))
            colour = tuple(int(c) for c in rng.integers(0, 255, 3))
            (draw.ellipse, draw.rectangle)[rng.integers(2)](box, fill=colour)
        picture = (
            np.asarray(canvas.resize((size, size), Image.Resampling.LANCZOS), np.float32) / 255
        )
        out.append(np.clip(picture + 0.03 * rng.standard_normal((size, size, 1)), 0, 1))
    return np.stack(out).astype(np.float32)


def digits(rng, n, size=28):
    """[n size size 3]: sixes and nines in grey."""
    out = []
    for k in range(n):
        canvas = Image.new('L', (size * 4, size * 4))
        draw = ImageDraw.Draw(canvas)
        dx, dy, w = *rng.integers(-6, 7, 2), int(rng.integers(9, 14))
        draw.ellipse((34 + dx, 52 + dy, 78 + dx, 96 + dy), outline=255, width=w)
        draw.arc((34 + dx, 12 + dy, 118 + dx, 130 + dy), 180, 262, fill=255, width=w)
        turned = canvas.rotate(0 if k % 2 else 180).resize((size, size), Image.Resampling.LANCZOS)
        out.append(np.asarray(turned, np.float32) / 255)
    return image.to_rgb(np.stack(out))


def patterns(rng, n):
    """[n 10 10 3]: squares, crosses and random checks, 0 or 1."""
    out = np.zeros((n, 10, 10), np.float32)
    for k in range(n):
        a = int(rng.integers(1, 4))
        if k % 3 == 0:
            out[k, a : 10 - a, a : 10 - a] = 1
            out[k, a + 2 : 8 - a, a + 2 : 8 - a] = 0
        elif k % 3 == 1:
            out[k, 4:6, a : 10 - a] = out[k, a : 10 - a, 4:6] = 1
        else:
            out[k] = rng.random((10, 10)) < 0.5
    return image.to_rgb(out)


def blurred(rng, truth, noise, keep):
    """Reconstructions: blurred truth mixed with the mean picture, plus smooth noise."""
    small = max(4, truth.shape[1] // 5)
    low = image.resize(image.resize(truth, (small, small)), truth.shape[1:3])
    grain = rng.standard_normal((len(truth), small, small, 3)).astype(np.float32)
    grain = grain if (truth[..., :1] != truth).any() else np.repeat(grain[..., :1], 3, -1)
    weight = keep * rng.uniform(0.5, 1.2, (len(truth), 1, 1, 1))
    mixed = (
        weight * low + (1 - weight) * truth.mean(0) + noise * image.resize(grain, truth.shape[1:3])
    )
    return np.clip(mixed, 0, 1).astype(np.float32)


def pixcorr(a, b):
    """Pearson correlation of each pair of pictures, NaN for a constant one."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    norm = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.where(norm > 1e-8, (a * b).sum(1) / np.maximum(norm, 1e-8), np.nan)


def two_way(decoded, truth):
    """Share of the other true pictures that are farther, for each reconstruction."""
    n = len(truth)
    c = np.corrcoef(truth.reshape(n, -1), decoded.reshape(n, -1))[:n, n:]
    return (c < np.diag(c)).sum(0) / (n - 1)


METRICS = {
    'pixcorr': (pixcorr, 'higher', 0.2),
    'ssim': (lambda a, b: 1 - 2 * np.abs(a - b).mean((1, 2, 3)), 'higher', 0.18),
    'mse': (lambda a, b: ((a - b) ** 2).mean((1, 2, 3)), 'lower', 0.12),
    'two_way_pixel': (two_way, 'higher', 0.5),
    'binary_accuracy': (lambda a, b: ((a > 0.5) == (b > 0.5)).mean((1, 2, 3)), 'higher', 0.55),
}


def entry(values, better, chance, *, split='test', p=0.000999, **extra):
    """One entry of scores.json, to the letter."""
    values = np.asarray(values, float)
    known = values[np.isfinite(values)]
    draws = np.random.default_rng(0).choice(known, (2000, len(known))).mean(1) if len(known) else []
    return {
        'mean': float(known.mean()) if len(known) else None,
        'ci95': [float(q) for q in np.percentile(draws, [2.5, 97.5])] if len(known) else None,
        'chance': chance,
        'p': p,
        'permutations': 1000,
        'unit': 'image',
        'better': better,
        'n': len(values),
        'n_undefined': int(len(values) - len(known)),
        'per_image': [float(v) if np.isfinite(v) else None for v in values],
        'per_unit': None,
        'net': None,
        'weights': None,
        'split': split,
    } | extra


def entries(decoded, truth, names, **options):
    """{metric: entry}."""
    out = {}
    with np.errstate(invalid='ignore'):
        for name in names:
            function, better, chance = METRICS[name]
            ties = {'ties': 0} if name.startswith('two_way') else {}
            out[name] = entry(function(decoded, truth), better, chance, **ties, **options)
    return out


def brain_maps(rng, v=2600, vertices=True):
    """maps.npz: a visual cortex in six areas."""
    area = np.arange(v) % 6
    names = ('V1', 'V2', 'V3', 'V4', 'LO', 'PPA')
    held = {f'roi_{name}': area == k for k, name in enumerate(names)}
    held['ncsnr'] = np.abs(rng.normal(0.55 - 0.06 * area, 0.15)).astype(np.float32)
    held['importance_pixels'] = (held['ncsnr'] ** 2 * np.exp(-area / 2)).astype(np.float32)
    if not vertices:
        return held
    from nilearn import datasets, surface

    files = datasets.fetch_surf_fsaverage('fsaverage5')
    held['hemisphere'] = rng.integers(0, 2, v).astype(np.int8)
    held['vertex'] = np.full(v, -1, np.int32)
    for side, name in enumerate(('left', 'right')):
        xyz = np.asarray(surface.load_surf_mesh(files[f'infl_{name}']).coordinates)
        inward = xyz[:, 0] * (1 if side == 0 else -1)
        back = np.argsort(-xyz[:, 1] * -1 - 0.25 * inward + 0.1 * np.abs(xyz[:, 2]))[:2200]
        for k in range(6):
            rows = np.flatnonzero((held['hemisphere'] == side) & (area == k))
            pool = back[k * 360 : k * 360 + 360]
            held['vertex'][rows] = rng.choice(pool, len(rows))
    return held


PENALTIES = [float(10**k) for k in range(8)]
PENALTY_CURVE = {
    'title': 'Penalty, chosen by generalised cross-validation',
    'x_label': 'penalty',
    'y_label': 'error on rows left out',
    'log_x': True,
    'series': [
        {
            'name': 'pixels',
            'x': PENALTIES,
            'y': [0.081, 0.079, 0.07, 0.061, 0.055, 0.057, 0.066, 0.075],
        }
    ],
    'chosen': 1e4,
}
LEARNING_CURVE = {
    'title': 'Learning curve',
    'x_label': 'training rows',
    'y_label': 'pixcorr on the test images',
    'log_x': False,
    'series': [{'name': 'pixcorr', 'x': [9, 22, 45, 67, 90], 'y': [0.41, 0.6, 0.71, 0.76, 0.79]}],
    'chosen': None,
}
SCALES = {
    'title': 'Learned weight of each scale',
    'columns': ['scale', '1x1', '1x2', '2x1', '2x2'],
    'rows': [
        ['non-negative least squares', 0.19, 0.35, 0.27, 0.19],
        ['SGD', 0.2, 0.34, 0.27, 0.19],
    ],
}


DECODERS = {
    'digits': {'name': 'ridge', 'penalties': PENALTIES},
    'scenes': {'name': 'ridge', 'penalties': PENALTIES},
    'patterns': {'name': 'miyawaki', 'base': {'name': 'omp'}, 'scales': [[1, 1], [1, 2]]},
}


def write(folder, kind='digits', *, maps=None, **changes):
    """Writes one run folder.

    Args:
      folder: where; created.
      kind: 'digits', 'scenes' or 'patterns'.
      maps: contents of maps.npz, or None for none.
      changes: merged into scores.json; `config`, `run`, `decoder`, `arrays` into those files.

    Returns:
      The folder.
    """
    folder = pathlib.Path(folder)
    rng = np.random.default_rng(7)
    make, n, noise, names = {
        'digits': (digits, 10, 0.12, ['pixcorr', 'ssim', 'mse', 'two_way_pixel']),
        'scenes': (scenes, 60, 0.13, ['pixcorr', 'ssim', 'mse', 'two_way_pixel']),
        'patterns': (patterns, 12, 0.2, ['binary_accuracy', 'pixcorr', 'mse', 'two_way_pixel']),
    }[kind]
    truth = make(rng, n)
    decoded = blurred(rng, truth, noise, 0.75)
    others = make(rng, n)
    controls = {
        'mean_image': np.repeat(others.mean(0, keepdims=True), n, 0),
        'nearest_training': others,
        'shuffled_rows': blurred(rng, others, noise, 0.4),
        'shuffled_voxels': decoded[np.roll(np.arange(n), 1)],
        'zero_voxels': np.repeat(others.mean(0, keepdims=True), n, 0),
    }
    arrays = {'images': decoded, 'truth': truth, 'image_id': np.arange(n) * 3 + 4}
    if kind == 'patterns':
        for scale in ('1x1', '1x2', '2x1', '2x2'):
            arrays[f'stage_scale_{scale}'] = blurred(rng, truth, 0.3, 0.7)[..., 0]
        arrays['stage_binarised'] = (decoded[..., 0] > 0.5).astype(np.float32)
    audit = {
        'train_images': 90,
        'test_images': n,
        'seen_test_images': 0,
        'near_duplicates': 0,
        'near_duplicate_rule': 'not seen, but the 16 x 16 thumbnail correlates above 0.99',
        'seen_extra_tests': {},
        'label': None,
        'train_only_statistics': True,
        'alignment': {'-1': 0.21, '0': 0.74, '1': 0.18},
        'alignment_ci95': {'-1': [0.12, 0.3], '0': [0.66, 0.81], '1': [0.1, 0.27]},
        'alignment_difference': {'-1': [-0.53, -0.6, -0.4], '1': [-0.56, -0.7, -0.4]},
        'alignment_warning': None,
        'alignment_note': '80 blocks of 90 of 90 rows, 600 of 3092 voxels, seed 0',
    }
    protocol = {
        'data': {'source': 'digits69', 'subject': 1, 'split': 'first 90 train'},
        'train_rows': 90, 'train_images': 90, 'test_rows': n, 'test_images': n, 'voxels': 3092,
        'preprocess': ['normalise'], 'channels': 1, 'threshold': 0.5, 'bootstrap_draws': 10000,
        'permutations': 1000,
    }  # fmt: skip
    scores = {
        'schema': 1,
        'n': n,
        'protocol': protocol,
        'audit': audit,
        'scores': entries(decoded, truth, names),
        'baselines': {k: entries(v, truth, names) for k, v in controls.items()},
    }
    names_of = {'digits': 'digits69', 'scenes': 'simulated', 'patterns': 'miyawaki2008'}
    config = {
        'seed': 0,
        'dataset': {'name': names_of[kind], 'path': '../shared/data'},
        'decoder': DECODERS[kind],
        'metrics': names,
        'areas': ['V1', 'V2', 'V3', 'V4', 'LO', 'PPA'],
    }
    run = {
        'schema': 1, 'status': 'done', 'error': None, 'outputs': [], 'commit': '6a3951ab12cd34ef',
        'versions': {'python': '3.11.9', 'jax': '0.10.2', 'numpy': '2.4.6'},
        'device': 'cpu, 2 cores', 'seed': 0, 'wall_s': 12.34, 'peak_rss_mb': 812.0,
        'protocol': protocol, 'audit': audit,
    }  # fmt: skip
    decoder = {
        'pixels': {
            'curves': [PENALTY_CURVE],
            'tables': [SCALES] if kind == 'patterns' else [],
            'facts': {'importance': 'the norm of the weights of a voxel', 'penalty': 1e4},
        },
        'learning': {'curves': [LEARNING_CURVE], 'tables': [], 'facts': {}},
    }
    files = {'config': config, 'run': run, 'decoder': decoder}
    for name, value in files.items():
        _write(folder / f'{name}.json', results.to_json(value | changes.pop(name, {})))
    arrays |= changes.pop('arrays', {})
    results.write_npz(folder / 'reconstructions.npz', arrays)
    if maps is not None:
        results.write_npz(folder / 'maps.npz', maps)
    _write(folder / 'scores.json', results.to_json(scores | changes))
    lines = [f'{{"step": {k}, "name": "seconds/stage_{k}", "value": {k}.5}}' for k in range(1, 5)]
    _write(folder / 'logs' / 'metrics.jsonl', '\n'.join(lines) + '\n')
    return folder


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def area_scores(kind='scenes'):
    """`areas` of scores.json for six areas."""
    rng = np.random.default_rng(3)
    out = {}
    for k, name in enumerate(('V1', 'V2', 'V3', 'V4', 'LO', 'PPA')):
        values = {
            'pixcorr': entry(rng.normal(0.45 - 0.05 * k, 0.15, 60), 'higher', 0.2),
            'ssim': entry(rng.normal(0.6 - 0.02 * k, 0.1, 60), 'higher', 0.18),
            'mse': entry(rng.normal(0.05 + 0.005 * k, 0.01, 60), 'lower', 0.12),
            'two_way_pixel': entry(
                np.clip(rng.normal(0.85 - 0.04 * k, 0.1, 60), 0, 1), 'higher', 0.5
            ),
        }
        out[name] = {'n_voxels': 400 + 17 * k, 'scores': values}
    return out


def write_predictions(folder):
    """A run without pictures: categories named from brain activity."""
    rng = np.random.default_rng(2)
    folder = write(folder, 'digits')
    (folder / 'reconstructions.npz').unlink()
    names = np.array(['face', 'body', 'place', 'word', 'food'])
    truth = rng.integers(0, 5, 40)
    pred = np.where(rng.random(40) < 0.6, truth, rng.integers(0, 5, 40))
    confusion = np.zeros((5, 5), np.int64)
    np.add.at(confusion, (truth, pred), 1)
    arrays = {'image_id': np.arange(40), 'pred': names[pred], 'truth': names[truth]}
    arrays |= {'categories': names, 'confusion': confusion}
    results.write_npz(folder / 'predictions.npz', arrays)
    right = (pred == truth).astype(float)
    scores = {'category_accuracy': entry(right, 'higher', 0.25)}
    guess = {'mean_image': {'category_accuracy': entry(truth == 0, 'higher', 0.25)}}
    held = {'schema': 1, 'n': 40, 'protocol': {}, 'audit': {}, 'scores': scores, 'baselines': guess}
    _write(folder / 'scores.json', results.to_json(held))
    return folder


def difference(mean, half, better='higher'):
    """An entry of `differences`."""
    return {'mean': mean, 'ci95': [mean - half, mean + half], 'n': 60, 'better': better}


def write_generative(folder, samples=3, **changes):
    """A run whose generator paints more than was decoded, with its controls and samples."""
    rng = np.random.default_rng(4)
    truth = scenes(np.random.default_rng(7), 60)
    low = blurred(rng, truth, 0.1, 0.7)
    drawn = [np.clip(0.75 * low + 0.25 * scenes(rng, 60), 0, 1) for _ in range(samples)]
    arrays = {'images': drawn[0], 'stage_vae': low, 'stage_img2img': drawn[0]}
    arrays |= {f'stage_sample_{k}': drawn[k] for k in range(1, samples)}
    words = ('a house and two trees', 'a red ball on the grass', 'a dog')
    arrays['captions'] = np.array([words[k % 3] for k in range(60)])
    names = ['pixcorr', 'ssim', 'mse', 'two_way_pixel']
    against = {
        'shuffled_voxels': {'pixcorr': difference(0.31, 0.06)},
        'zero_voxels': {'pixcorr': difference(0.02, 0.05), 'mse': difference(0.03, 0.01, 'lower')},
        'nearest_training': {'pixcorr': difference(-0.12, 0.05)},
    }  # fmt: skip
    entries_of = entries(drawn[0], truth, names)
    protocol = {'prior': ['img2img'], 'samples': samples, 'test_images': 60, 'train_images': 90}
    held = {'scores': entries_of, 'protocol': protocol, 'differences': against}
    if samples > 1:
        more = {'mean': 0.62, 'ci95': [0.55, 0.7], 'n': 60, 'samples': samples}
        held['agreement'] = more | {'per_image': [0.6] * 60}
    chain = {'chain': ['vae', 'caption', 'img2img']}
    config = {'generator': chain, 'targets': {'vae': {'layer': 'latents'}}}
    write(folder, 'scenes', config=config, arrays=arrays, **(held | changes))
    for name, images in {'shuffled_voxels': np.roll(drawn[0], 1, 0),
                         'zero_voxels': blurred(rng, scenes(rng, 60), 0.1, 0.3),
                         'nearest_training': scenes(rng, 60)}.items():  # fmt: skip
        held = {'images': image.to_uint8(images), 'image_id': np.arange(60) * 3 + 4}
        results.write_npz(pathlib.Path(folder) / 'controls' / f'{name}.npz', held)
    return folder


def write_vote(folder, members=('92', '94', '97', '100')):
    """A bag whose members were voted on."""
    rng = np.random.default_rng(5)
    truth = scenes(np.random.default_rng(7), 60)
    choice = rng.integers(0, len(members), 60)
    arrays, refined = {}, []
    for name in members:
        arrays[f'stage_low_{name}'] = low = blurred(rng, truth, 0.1, 0.6)
        refined.append(np.clip(0.8 * low + 0.2 * scenes(rng, 60), 0, 1))
        arrays[f'stage_member_{name}'] = refined[-1]
    cosine = rng.uniform(0.3, 0.6, (60, len(members)))
    cosine[np.arange(60), choice] += 0.3
    arrays |= {'vote_choice': choice, 'vote_cosine': cosine.astype(np.float32)}
    arrays['images'] = np.stack(refined)[choice, np.arange(60)]
    held = {name: {'pixcorr': 0.4 + 0.01 * k, 'low_cosine_tiny_clip': 0.5 + 0.01 * k}
            for k, name in enumerate(members)}  # fmt: skip
    chosen = {str(3 * k + 4): members[i] for k, i in enumerate(choice)}
    more = dict(members=held, vote=chosen, vote_rule='own', protocol={'prior': ['img2img']})
    config = {
        'generator': {'chain': ['vae', 'caption', 'img2img']},
        'members': {m: {} for m in members},
    }
    return write(folder, 'scenes', config=config, arrays=arrays, **more)


def write_cohort(folder, kind='subjects', names=('1', '2', '5', '7')):
    """A run on several subjects, or with several seeds."""
    rng = np.random.default_rng(6)
    truth, unit = scenes(np.random.default_rng(7), 60), kind.removesuffix('s')
    each = [blurred(rng, truth, 0.1, 0.4 + 0.1 * k) for k in range(len(names))]
    arrays = {f'stage_{unit}_{name}': a for name, a in zip(names, each, strict=True)}
    arrays['images'] = np.mean(each, 0)
    found, runs = {}, {name: {} for name in names}
    for metric in ('pixcorr', 'mse'):
        all_of = [entries(a, truth, [metric])[metric] for a in each]
        values = np.array([e['per_image'] for e in all_of])
        pooled = {'mean': values.mean(), 'unit': unit, 'n': len(names), 'p': None}
        pooled |= {'per_image': values.mean(0), 'per_unit': values.mean(1)}
        found[metric] = all_of[0] | pooled | {'sd_per_image': values.std(0, ddof=1)}
        for name, one in zip(names, all_of, strict=True):
            runs[name][metric] = one['mean']
    protocol = {'runs': {kind: list(names)}, 'prior': ['img2img'], 'test_images': 60}
    against = {'zero_voxels': {'pixcorr': difference(0.2, 0.04)}}
    held = {'scores': found, kind: runs, 'protocol': protocol, 'differences': against}
    return write(folder, 'scenes', arrays=arrays, config={'metrics': ['pixcorr', 'mse']}, **held)


def sweep():
    """What launch/sweep.py puts into table.json."""
    rng = np.random.default_rng(0)
    rows, series = [], []
    for k, name in enumerate(
        ('omp_1x1', 'omp_1x1-1x2-2x1-2x2', 'linear', 'bayes_ridge', 'omp_V1+V2')
    ):
        values = np.clip(rng.normal(0.7 + 0.03 * k, 0.1, 200), 0, 1)
        scores = {m: entry(values - 0.02 * j, 'higher', 0.55) for j, m in enumerate(BINARY)}
        published = {'binary_accuracy': f'{75 + k}.1 %'} if k < 4 else {}
        rows.append({'name': name, 'scores': scores, 'published': published,
                     'data': 'simulated, Miyawaki layout', 'n': 200, 'workdir': name})  # fmt: skip
        x = list(range(20, 100, 10))
        series.append({'name': name, 'x': x, 'y': [0.95 - 0.003 * t - 0.01 * k for t in x]})
    figure = {
        'title': 'Accuracy against the complexity of the pattern',
        'x_label': 'neighbour transitions in the true pattern',
        'y_label': 'binary accuracy',
        'log_x': False,
        'series': series,
        'chosen': None,
    }
    return {
        'schema': 1,
        'title': 'Miyawaki 2008: scales and local decoders',
        'metric_names': list(BINARY),
        'rows': rows,
        'notes': ['Published: the course report on the recorded data. Measured: the data named.'],
        'figures': [figure],
    }


BINARY = ('binary_accuracy', 'binary_precision', 'binary_recall', 'binary_f1', 'pixcorr')


if __name__ == '__main__':
    from recon.report import html

    top = pathlib.Path(sys.argv[1])
    with_brain = brain_maps(np.random.default_rng(1))
    train = entries(
        *(np.random.default_rng(5).random((2, 30, 8, 8, 3))), ['pixcorr', 'mse'], split='train'
    )
    write(top / 'digits69_ridge', 'digits', scores_train=train)
    write(top / 'simulated_ridge', 'scenes', maps=with_brain, areas=area_scores())
    write(
        top / 'miyawaki2008_omp',
        'patterns',
        maps=brain_maps(np.random.default_rng(1), vertices=False),
    )
    write(
        top / 'everything_wrong',
        'digits',
        audit={'seen_test_images': 3, 'test_images': 10, 'near_duplicates': 2, 'alignment_warning':
               'rows decode the image of the block after them better than their own.'},
        config={'layout': 'digits69'},
    )  # fmt: skip
    write_predictions(top / 'labels')
    write_generative(top / 'generative', 5)
    write_vote(top / 'vote')
    write_cohort(top / 'subjects')
    html.write_sweep(top / 'sweep', sweep())
    for made in sorted(p.parent for p in top.glob('*/scores.json')):
        html.write(made)
