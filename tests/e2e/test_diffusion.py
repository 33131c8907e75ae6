"""The systems that paint with a diffusion net: what their options change, and that they run."""

import json
import pathlib

import numpy as np
import pytest

from launch import decode, options
from recon import bag, parts, pipeline
from recon.core import results
from recon.data.datasets import simulated

ROOT = pathlib.Path(__file__).resolve().parents[2]


def resolved(name, extra='smoke', **overrides):
    path = ROOT / 'configs' / f'{name}.py'
    changed = {key.replace('__', '.'): value for key, value in overrides.items()}
    return options.resolve(options.Arguments(path, extra, None, changed), pipeline.DEFAULTS)


def sweep(name, arg=None):
    return options.module(ROOT / 'configs' / f'{name}.py').get_sweep(arg)


@pytest.mark.parametrize('of', ['nsd', 'simulated'])
@pytest.mark.parametrize(
    ('without', 'chain', 'start', 'text', 'adjust'),
    [
        ('', ('img2img', 'optimise'), 'z', 'c', ('z', 'c')),
        ('c', ('img2img', 'optimise'), 'z', '', ('z',)),
        ('z', ('img2img', 'optimise'), '', 'c', ('z', 'c')),
        ('clip', ('img2img',), 'z', 'c', None),
    ],
)
def test_an_ablation_of_minddiffuser_leaves_out_what_it_says(
    of, without, chain, start, text, adjust
):
    cfg = resolved(f'{of}_minddiffuser', f'smoke,without={without}')
    pipeline.check(cfg)
    assert cfg.generator.chain == chain
    assert (cfg.generator.img2img.start, cfg.generator.img2img.text) == (start, text)
    assert ('z' in cfg.targets, 'c' in cfg.targets) == (without != 'z', without != 'c')
    assert ('clip_1' in cfg.targets) == (without != 'clip') == ('clip' in cfg.targets)
    if adjust:
        assert cfg.generator.optimise.adjust == adjust and cfg.generator.optimise.c == text
        assert cfg.generator.optimise.z == (start or 'images')
        assert {name for name, _, _ in cfg.generator.optimise.match} <= set(cfg.targets)


@pytest.mark.parametrize(
    ('of', 'low'), [('nsd', ('LVC',)), ('simulated', ('V1', 'V2', 'V3', 'hV4'))]
)
def test_areas_of_minddiffuser_are_those_that_every_target_sees(of, low):
    seen = {}
    for area in ('', 'LVC', 'HVC'):
        targets = resolved(f'{of}_minddiffuser', f'smoke,area={area}').targets
        found = {tuple(spec.areas) for spec in targets.values()}
        assert len(found) == 1
        seen[area] = set(*found)
    both, first, second = seen.values()
    assert first == set(low) and not first & second and both == first | second


@pytest.mark.parametrize('of', ['nsd', 'simulated'])
def test_published_figures_stand_beside_the_rows_of_both_tables(of):
    rows = {
        row['label']: tuple(row['published'].values())
        for table in ('areas', 'ablations')
        for row in sweep(f'{of}_minddiffuser', f'table={table},smoke')['runs']
    }
    assert rows == {
        'LVC and HVC': ('.765', '.354', '.278'),
        'LVC': ('.552', '.338', '.051'),
        'HVC': ('.554', '.219', '.030'),
        'complete': ('.765', '.354', '.278'),
        'without c': ('.549', '.346', '.218'),
        'without z': ('.616', '.292', '.066'),
        'without z_CLIP': ('.597', '.253', '.183'),
    }


@pytest.mark.parametrize('name', ['nsd_vote', 'simulated_vote'])
def test_the_four_members_are_those_of_the_reports_first_table_and_share_the_split(name):
    cfg = resolved(name, 'small')
    members = {k: bag.member(cfg, k) for k in cfg.members}
    told = {k: (one.decoder.seed, one.decoder.batch) for k, one in members.items()}
    assert told == {'92': (3, 16), '94': (2423, 16), '97': (849, 32), '100': (1921, 4)}
    kept = {k: one.preprocess.rois.keep for k, one in members.items()}
    assert kept['92'] == kept['97'] == kept['100'] != kept['94'] and 'FFA-1' in kept['94']
    assert {(one.seed, one.decoder.validation) for one in members.values()} == {
        (0, cfg.decoder.validation)
    }
    assert cfg.vote.rule == 'own' and cfg.train_scored == 100
    runs = sweep(name, 'small')['runs']
    assert {row.get('part') for row in runs} == {f'members/{k}' for k in told} | {None}
    assert runs[0]['published'] | runs[0]['published_train'] == {'cosine_tiny_clip': '.561'}


def test_the_route_that_was_dropped_decodes_a_vector_in_the_place_of_the_text():
    caption = resolved('simulated_mlp_img2img')
    assert caption.generator.chain == ('vae', 'caption', 'img2img')
    assert (caption.generator.img2img.strength, caption.generator.img2img.guidance) == (0.75, 6.0)
    assert set(caption.targets) == {'vae'}
    cfg = resolved('simulated_mlp_img2img', 'smoke,route=clip')
    assert cfg.generator.chain == ('vae', 'img2img') and cfg.generator.img2img.text == 'z_clip'
    assert dict(cfg.targets.z_clip.decoder) == {'head': 'direct', 'loss': 'mse'}
    assert parts.file(cfg, 'z_clip') == 'mlp'


def ran(cfg, folder):
    """What the run of a config left."""
    with options.simulated_files(cfg, folder) as cfg:
        bag.run(cfg, folder)
    return results.read(folder)


@pytest.mark.long
def test_stage_2_goes_on_from_what_stage_1_had_and_keeps_its_curve(tmp_path):
    """The same stage 1 with and without stage 2: what differs is stage 2 alone."""
    few = dict(dataset__n_test='4', draws='50', permutations='5')
    one = ran(resolved('simulated_minddiffuser', 'smoke,bare,without=clip', **few), tmp_path / 'a')
    two = ran(resolved('simulated_minddiffuser', 'smoke,bare', **few), tmp_path / 'b')
    first, both = one['arrays'], two['arrays']
    np.testing.assert_allclose(both['stage_img2img'], first['images'], atol=1e-5)
    assert np.abs(both['images'] - first['images']).max() > 0.01
    assert any('optimise' in part for part in two['decoder']), list(two['decoder'])
    assert not any('optimise' in part for part in one['decoder'])


@pytest.mark.long
def test_new_rows_are_decoded_from_each_targets_own_areas(tmp_path):
    """Takagi's recipe: noise in ventral areas leaves the picture of z, made from early ones."""
    cfg = resolved('simulated_takagi', 'smoke,bare', dataset__n_test='4', draws='50')
    kept = ran(cfg, tmp_path / 'run')
    told = json.loads((tmp_path / 'run' / 'decoder.json').read_text())
    assert told['z']['facts']['areas'] == 'V1, V2, V3'
    assert told['c']['facts']['areas'] == 'VO, OFA, FFA, FBA, PPA, VWFA'
    brain = simulated.load(cfg.dataset)
    test = brain.test
    ventral = np.any([brain.rois[name] for name in cfg.targets.c.areas], 0)
    noisy = test.voxels.copy()
    noisy[:, ventral] += np.random.default_rng(0).normal(0, 9, noisy[:, ventral].shape)
    found = {}
    for name, voxels in (('same', test.voxels), ('noisy', noisy)):
        np.savez(
            tmp_path / f'{name}.npz', voxels=voxels, image_id=test.image_id, session=test.session
        )
        words = [f'--run={tmp_path / "run"}', f'--voxels={tmp_path / name}.npz']
        assert decode.main([*words, f'--out={tmp_path / name}']) == 0
        found[name] = results.read_arrays(tmp_path / name / 'reconstructions.npz')
    for name in ('images', 'stage_vae'):
        np.testing.assert_allclose(found['same'][name], kept['arrays'][name], atol=1e-4)
    np.testing.assert_array_equal(found['noisy']['stage_vae'], found['same']['stage_vae'])
    assert np.abs(found['noisy']['images'] - found['same']['images']).max() > 0.05
