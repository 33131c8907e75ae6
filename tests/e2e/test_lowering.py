"""The very step of every training is lowered for accelerators, so that nothing CPU-only hides."""

import dataclasses
import importlib
import shutil

import jax
import numpy as np
import pytest

from recon.data.simulator import scenes
from recon.train import loop
from recon.train.tasks import _scenes
from recon.zoo import alexnet as alexnet_net
from recon.zoo import catalog
from tests.e2e import trained

PLATFORMS = ('tpu', 'cuda')


class Enough(Exception):  # noqa: N818
    """The last step that was wanted is lowered."""


@pytest.fixture
def lowered(monkeypatch):
    """`lowered(count)`: what `loop.fit` is then given is lowered, not run; a list of results."""

    def take(count=1):
        found = []

        def fit(step, state, batch_at, *, rng, place=jax.device_put, **_):
            batch = place(batch_at(0))
            text = jax.export.export(step, platforms=PLATFORMS)(state, batch, rng)
            found.append(text)
            if len(found) == count:
                raise Enough
            return state

        monkeypatch.setattr(loop, 'fit', fit)
        return found

    return take


def check(found, count=1):
    assert len(found) == count
    for exported in found:
        assert exported.platforms == PLATFORMS
        assert len(exported.mlir_module()) > 1000


@pytest.mark.parametrize(
    'name', [n if n == 'mlp' else pytest.param(n, marks=pytest.mark.long) for n in trained.OPTIONS]
)
def test_the_step_of_a_trained_system_is_lowered(lowered, name, tmp_path):
    found = lowered()
    with pytest.raises(Enough):
        trained.task(name).fit(
            trained.options(name), trained.rows(name, tmp_path), jax.random.key(0)
        )
    check(found)


@pytest.mark.long
@pytest.mark.parametrize('accumulate', [2])
def test_the_step_of_the_mlp_in_bfloat16_with_all_its_options_is_lowered(
    lowered, accumulate, tmp_path
):
    more = dict(dtype='bfloat16', ema=0.9, contrastive=0.1, noise=0.1, shift=1, clip=1.0)
    more |= dict(head='upsampler', levels=(8, 8), norm_groups=4, seed_channels=4, width=16)
    found = lowered()
    with pytest.raises(Enough):
        trained.task('mlp').fit(
            trained.options('mlp', accumulate=accumulate, **more),
            trained.rows('mlp', tmp_path),
            jax.random.key(0),
        )
    check(found)


# The small nets of the zoo: how many steps each has, attributes and settings that make them small.
ZOO = {
    'alexnet': (1, {'ASIDE': 20}, dict(scenes=60, batch=4, norm_batches=2)),
    'blip': (2, {}, dict(scenes=1200, batch=4, then_batch=4, said=4)),
    'clip': (2, {'VALIDATED': 110}, dict(batch=8, text_batch=8)),
    'sd_unet': (
        1,
        {'ASIDE': 16, '_WATCHED': 16, '_CHUNK': 128},
        dict(scenes=130, encoded=100, batch=4),
    ),
    'sd_vae': (1, {'ASIDE': 30, '_FITTED': 20}, dict(scenes=90, batch=2)),
}
UNET = {'block_out_channels': (8, 8), 'norm_num_groups': 4, 'attention_head_dim': 2}


@pytest.mark.long
@pytest.mark.parametrize('name', ZOO)
def test_the_step_of_a_net_of_the_zoo_is_lowered(lowered, name, tmp_path, monkeypatch):
    count, attributes, settings = ZOO[name]
    task, out = importlib.import_module(f'recon.train.tasks.{name}'), tmp_path / 'out'
    for attribute, value in attributes.items():
        monkeypatch.setattr(task, attribute, value)
    if name == 'alexnet':
        small = dataclasses.replace(alexnet_net.TINY, widths=(4, 6, 8, 6, 5), hidden=12)
        monkeypatch.setattr(alexnet_net, 'TINY', small)
    if name == 'clip':  # it asks for all the scenes that there are
        few = scenes.draw(np.arange(400)[~scenes.held_out(np.arange(400))])
        monkeypatch.setattr(_scenes, 'training', lambda work: few)
    if name == 'sd_unet':  # it learns beside nets that are there
        monkeypatch.setattr(task, 'CONFIG', task.CONFIG | UNET)
        for part in ('vae', 'text_encoder', 'tokenizer'):
            shutil.copytree(catalog.resolve(f'tiny/{part}'), out / part)
    found = lowered(count)
    with pytest.raises(Enough):
        task.run(task.SETTINGS | settings, out, tmp_path / 'work', seed=0)
    check(found, count)
