"""Two generators for tests: a blurry picture of what is decoded, and a prior that draws on it.

`plant(monkeypatch, folder)` puts them beside the real ones, as `low` and `prior`.
"""

import pathlib
import sys

import ml_collections

from recon import generators

_LOW = """
import numpy as np
from recon.core import image

DEFAULTS = dict(target='code', size=(16, 16))


def load(cfg, zoo):
    return {}


def generate(cfg, params, decoded, rng=None):
    code = image.to_rgb(np.asarray(decoded[cfg.get('target', 'code')]))
    made = image.resize(np.clip(code, 0, 1), tuple(cfg.get('size', (16, 16))))
    said = np.array([f'{x:.2f}' for x in made.mean((1, 2, 3))])
    return dict(decoded) | {'images': made, 'captions': said}
"""
_PRIOR = """
import jax
import numpy as np

DEFAULTS = dict(noise=0.2, over='')


def load(cfg, zoo):
    return {}


def generate(cfg, params, decoded, rng):
    shown = decoded['images']
    drawn = np.asarray(jax.random.uniform(rng, shown.shape))
    share = cfg.get('noise', 0.2)
    loss = np.linspace(2, 1, 5) * (1 + np.arange(len(shown)))[:, None]
    return dict(decoded) | {'images': (1 - share) * shown + share * drawn, 'curve_prior': loss}
"""


def plant(monkeypatch, folder) -> None:
    """Makes the generators `low` and `prior` for one test, or one module of tests."""
    folder = pathlib.Path(folder) / 'generators'
    folder.mkdir(parents=True)
    for name, text in (('low', _LOW), ('prior', _PRIOR)):
        (folder / f'{name}.py').write_text(text)
        monkeypatch.delitem(sys.modules, f'recon.generators.{name}', raising=False)
    monkeypatch.setattr(generators, '__path__', [*generators.__path__, str(folder)])


def config(**more) -> ml_collections.ConfigDict:
    """Small pictures of a simulated brain, decoded into a code, made a picture, painted over."""
    cfg = dict(
        seed=0,
        dataset=dict(name='simulated', n_train=60, n_test=8, voxels=200, size=16),
        preprocess=dict(order=('normalise',), normalise=dict(by='all')),
        targets=dict(code=dict(net='image', layer='pixels', size=(8, 8))),
        decoder=dict(name='ridge', penalties=(10.0, 100.0, 1000.0)),
        generator=dict(chain=('low', 'prior'), size=(16, 16)),
        metrics=('pixcorr', 'mse'),
        baselines=('mean_image', 'nearest_training', 'shuffled_voxels', 'zero_voxels'),
        audit=dict(alignment=False),
        draws=200,
        permutations=10,
    )
    return ml_collections.ConfigDict(cfg | more)
