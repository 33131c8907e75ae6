"""Every trained system at its smallest, for what must hold of all of them."""

import importlib
import pathlib

import numpy as np

from recon.train import job

# Options that make a step of each take no time; what is adversarial is trained so.
OPTIONS = {
    'mlp': dict(head='direct', width=16, blocks=1, validation=0),
    'cnn1d': dict(widths=(4, 4), dense=(8,), up=(4, 4, 4), validation=0),
    'cnn2d': dict(widths=(4, 4), up=(4, 4), validation=0),
    'label_cnn': dict(widths=(4, 4), dense=(8,), validation=0),
    'shen_gan': dict(
        width=4, hidden=8, discriminator_width=2, validation=0, weights=(1.0, 0.0, 1.0)
    ),
    'pix2pix': dict(size=32, width=2, validation=0, patience=-1, losses='adversarial+l1'),
}


def task(name: str):
    """The module with the fit of a system."""
    return importlib.import_module(f'recon.train.tasks.{name}')


def options(name: str, **more) -> dict:
    """Three steps of batches of four rows."""
    return OPTIONS[name] | dict(batch=4, steps=3, epochs=0, log_every=1) | more


def rows(name: str, folder, mesh=None, **more) -> job.Job:
    """Twelve rows: voxels and pictures, or labels, as the system takes them."""
    random = np.random.default_rng(0)
    pictures = random.random((12, 32, 32, 3)).astype(np.float32)
    labels = (random.random((12, 5)) < 0.5).astype(np.float32)
    voxels = random.standard_normal((12, 64)).astype(np.float32)
    if name == 'pix2pix':
        voxels = pictures[..., :1]
    target = labels if name == 'label_cnn' else pictures
    return job.Job(voxels, target, np.arange(12), folder=pathlib.Path(folder), mesh=mesh, **more)
