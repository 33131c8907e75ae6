"""An inspection from the command to its page, on sound files and on planted faults."""

import dataclasses
import json

import ml_collections
import numpy as np
import pytest
import scipy.io

from launch import main
from recon import inspection
from recon.core import errors, results, settings, stats, types
from recon.data.datasets import simulated
from recon.data.layouts import digits69, miyawaki2008
from recon.metrics import ceiling
from tests.data import small


@pytest.fixture
def run(capsys):
    """`run(*words)` -> (exit code, stdout, stderr) of launch/main.py with configs/inspect.py."""

    def call(options='', *words):
        code = main.main([f'--config=configs/inspect.py{options}', *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def held(folder):
    return json.loads((folder / 'inspection.json').read_text())


def bad(folder):
    return {f['title']: f['text'] for f in held(folder)['findings'] if f['kind'] == 'bad'}


@pytest.fixture(scope='module')
def patterns(tmp_path_factory):
    return miyawaki2008.write(tmp_path_factory.mktemp('m') / 'miyawaki2008', seed=1)


def copied(folder, to):
    for path in sorted(p for p in folder.rglob('*') if p.is_file()):
        (to / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        (to / path.relative_to(folder)).write_bytes(path.read_bytes())
    return to


def test_it_leaves_a_run_folder_and_the_same_command_says_done(tmp_path, run, caplog):
    words = (':smoke,layout=digits69', '--workdir', tmp_path / 'a')
    code, out, err = run(*words)
    assert code == 0 and f'report: {tmp_path / "a" / "report.html"}' in out, err
    told = json.loads((tmp_path / 'a' / 'run.json').read_text())
    wanted = {'config.json', 'inspection.json', 'maps.npz', 'pictures.npz', 'report.html'}
    assert told['status'] == 'done' and wanted <= set(told['outputs'])
    assert told['audit']['train_images'] == held(tmp_path / 'a')['audit']['train_images'] > 0
    assert not (tmp_path / 'a' / 'lock').exists()
    before = (tmp_path / 'a' / 'inspection.json').stat().st_mtime_ns
    assert run(*words)[0] == 0 and 'nothing to do' in caplog.text
    assert (tmp_path / 'a' / 'inspection.json').stat().st_mtime_ns == before
    (tmp_path / 'a' / 'report.html').unlink()
    assert run(*words)[0] == 0 and (tmp_path / 'a' / 'report.html').exists()


def test_a_data_set_is_named_on_the_command_line(tmp_path, run, patterns):
    code, _, err = run(
        '',
        '--config.dataset.name=miyawaki2008',
        f'--config.dataset.path={patterns}',
        f'--workdir={tmp_path / "a"}',
    )
    assert code == 0, err
    config = json.loads((tmp_path / 'a' / 'config.json').read_text())
    assert 'decoder' not in config and config['dataset']['name'] == 'miyawaki2008'
    assert bad(tmp_path / 'a') == {}
    areas = {area['name']: area for area in held(tmp_path / 'a')['areas']}
    assert areas['V1']['voxels'] == areas['V1']['left'] + areas['V1']['right'] > 0


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('--config.decoder.name=ridge',), 'unknown key decoder'),
        (('--config.inspect.audti=false',), 'did you mean audit'),
        (('--config.dataset.name=nds',), "did you mean 'nsd'"),
        (('--config.inspect.pictures=1',), 'at least 2 pictures'),
        (('--config.dataset.name=digits69', '--config.dataset.path=/nowhere'), 'fetch.py digits69'),
        (('--config.inspect.surface=/nowhere',), 'lh.inflated'),
    ],
)
def test_what_cannot_be_inspected_ends_in_two_with_one_line(tmp_path, run, words, message):
    code, _, err = run('', *words, f'--workdir={tmp_path / "a"}')
    assert code == 2 and '\n' not in err.strip() and message in err
    assert not (tmp_path / 'a').exists()


def test_a_truncated_file_ends_in_two(tmp_path, run, patterns):
    folder = copied(patterns, tmp_path / 'data')
    path = folder / 'func' / 'data_random_run03.nii.gz'
    path.write_bytes(path.read_bytes()[:-400])
    words = ('--config.dataset.name=miyawaki2008', f'--config.dataset.path={folder}')
    code, _, err = run('', *words, f'--workdir={tmp_path / "a"}')
    assert code == 2 and 'data_random_run03' in err and not (tmp_path / 'a').exists()


def test_transposed_pictures_are_a_red_line_and_exit_0(tmp_path, run, patterns, caplog):
    folder = copied(patterns, tmp_path / 'data')
    for path in (folder / 'label').glob('*.csv'):
        labels = np.loadtxt(path, delimiter=',').reshape(-1, 10, 10).swapaxes(1, 2)
        np.savetxt(path, labels.reshape(-1, 100), delimiter=',', fmt='%d')
    words = ('--config.dataset.name=miyawaki2008', f'--config.dataset.path={folder}')
    code, _, err = run('', *words, f'--workdir={tmp_path / "a"}')
    assert code == 0, err
    title = 'Pictures or hemispheres may be the wrong way round'
    assert 'stored transposed' in bad(tmp_path / 'a')[title]
    assert 'banner bad' in (tmp_path / 'a' / 'report.html').read_text()
    assert 'transposed' in caplog.text


def test_a_test_picture_among_the_training_pictures_is_a_red_line(tmp_path, run):
    folder = digits69.write(tmp_path / 'data', scale='toy', seed=3)
    path = next(folder.glob('*.mat'))
    content = {k: v for k, v in scipy.io.loadmat(path).items() if not k.startswith('__')}
    content['stimTest'][2] = content['stimTrn'][5]
    scipy.io.savemat(path, content)
    words = ('--config.dataset.name=digits69', f'--config.dataset.path={folder}')
    assert run('', *words, f'--workdir={tmp_path / "a"}')[0] == 0
    assert 'under another id' in bad(tmp_path / 'a')['Seen images']


@pytest.fixture(scope='module')
def brain():
    return simulated.load(dict(n_train=150, n_test=16, voxels=500, size=24, seed=2))


def inspected(brain, **changes):
    """Counts and checks of a brain in memory, as `run` joins them; (found, findings)."""
    cfg = settings.resolve(
        ml_collections.ConfigDict({'dataset': {'name': 'simulated'}, 'inspect': changes}),
        inspection.DEFAULTS,
    )
    found = inspection.count(brain, 0)
    known = inspection.noise_ceiling(brain)
    found |= {'ceiling': known['told'], 'areas': []}
    found |= inspection.checks(cfg, brain, lambda name: None)
    return found, {f['title']: f['text'] for f in inspection.findings.of(found)}


def renamed(brain, order):
    """The pictures under other ids: what rank k shows is what rank order[k] showed."""
    read = brain.images.read
    images = dataclasses.replace(brain.images, read=lambda rows: read(np.asarray(order)[rows]))
    return dataclasses.replace(brain, images=images)


def scaled(brain, factor):
    splits = {
        k: dataclasses.replace(s, voxels=s.voxels * np.float32(factor))
        for k, s in brain.splits().items()
    }
    facts = brain.facts | {'voxel_unit': 'percent signal change'}
    return dataclasses.replace(brain.with_splits(splits), facts=facts)


def test_a_sound_recording_has_no_red_line(brain):
    _, said = inspected(scaled(brain, 1))
    assert set(said) == {'Simulated brain'}


@pytest.mark.parametrize(
    ('plant', 'title', 'words'),
    [
        (lambda b: scaled(b, 300), 'The values do not look like their unit', 'divided by 300'),
        (
            lambda b: b.with_splits(b.splits() | {'test': scaled(b, 300).test}),
            'A part of the values is of another scale',
            'oxels of test, ',
        ),
        (
            lambda b: dataclasses.replace(
                b, test=dataclasses.replace(b.test, voxels=b.train.voxels[: len(b.test)])
            ),
            'The same values in two places',
            'those of run 0 of train',
        ),
        (
            lambda b: renamed(b, np.roll(np.arange(len(b.images.ids)), 1)),
            'Rows may belong to other pictures',
            'the next picture in the order of the ids',
        ),
        (
            lambda b: dataclasses.replace(
                b, voxel_info=b.voxel_info | {'hemisphere': 1 - b.voxel_info['hemisphere']}
            ),
            'Hemispheres contradict places',
            'left and right are swapped',
        ),
        (
            lambda b: dataclasses.replace(
                b,
                voxel_info={'hemisphere': 1 - b.voxel_info['hemisphere']},
            ),
            'Pictures or hemispheres may be the wrong way round',
            'hemisphere are swapped',
        ),
        (
            lambda b: dataclasses.replace(b, test=b.train.rows(np.arange(20))),
            'An image in two splits',
            'images are in train and in test',
        ),
    ],
)
def test_a_planted_fault_is_named(brain, plant, title, words):
    _, said = inspected(plant(brain))
    assert words in said[title]


def test_rows_late_by_one_are_named():
    brain = small.brain(0, n_train=200, repeats=1, noise=0.7)
    late = brain.train.image_id.copy()
    for number in np.unique(brain.train.run):
        rows = brain.train.run == number
        late[rows] = np.roll(late[rows], 1)
    late = dataclasses.replace(brain, train=dataclasses.replace(brain.train, image_id=late))
    assert 'Rows and pictures may be misaligned' not in inspected(brain)[1]
    assert 'off-by-one' in inspected(late)[1]['Rows and pictures may be misaligned']


def test_checks_can_be_left_out(brain):
    found, _ = inspected(brain, audit=False, alignment=False, hypotheses=False)
    assert 'seen_test_images' not in found['audit'] and found['audit']['alignment'] == {}
    assert found['ids']['note'].startswith('not run')


def test_voxels_that_are_not_finite_do_not_stop_an_inspection(brain, tmp_path, monkeypatch):
    voxels = brain.train.voxels.copy()
    voxels[3, 7] = np.nan
    broken = dataclasses.replace(brain, train=dataclasses.replace(brain.train, voxels=voxels))
    monkeypatch.setattr(simulated, 'load', lambda cfg: broken)
    cfg = ml_collections.ConfigDict({'dataset': {'name': 'simulated'}, 'inspect': {}})
    inspection.run(cfg, tmp_path / 'a')
    assert '1 of 500 voxels' in bad(tmp_path / 'a')['Values that are not finite']


def test_a_ceiling_of_mixed_repeats_averages_one_over_the_trials():
    ncsnr = np.array([0.5, 1.0], np.float32)
    ids = np.repeat(np.arange(6), [3, 3, 3, 2, 2, 1])
    test = types.Split(np.zeros((len(ids), 2), np.float32), ids)
    brain = types.BrainData(test, test, None, voxel_info={'ncsnr': ncsnr})
    known = inspection.noise_ceiling(brain)
    by_hand = ncsnr**2 / (ncsnr**2 + (3 / 3 + 2 / 2 + 1) / 6)
    assert known['told']['test_median'] == pytest.approx(np.median(by_hand))
    assert known['told']['test'] == {1: 1, 2: 2, 3: 3}
    np.testing.assert_allclose(known['single'], stats.noise_ceiling(ncsnr, 1))


def test_without_ncsnr_the_ceiling_comes_from_the_repeats(brain):
    info = {k: v for k, v in brain.voxel_info.items() if k != 'ncsnr'}
    known = inspection.noise_ceiling(dataclasses.replace(brain, voxel_info=info))
    assert known['told']['source'].startswith('estimated here from 16 images of test')
    test = brain.test
    wanted = ceiling.from_rows(test.voxels, test.image_id, test.session, 3)
    np.testing.assert_allclose(known['ncsnr'], wanted, rtol=1e-5)


def test_volumes_of_one_presentation_count_once():
    brain = small.brain(4, n_train=40, voxels=6, repeats=3)
    rows = np.repeat(np.arange(len(brain.train)), 4)  # four equal volumes of each presentation
    volumes = dataclasses.replace(brain, train=brain.train.rows(rows), voxel_info={})
    once = inspection.noise_ceiling(dataclasses.replace(brain, voxel_info={}))
    found = inspection.noise_ceiling(volumes)
    assert '40 images of train that are shown 3 times' in found['told']['source']
    np.testing.assert_allclose(found['ncsnr'], once['ncsnr'], rtol=1e-4)


def test_where_nothing_is_known_of_noise_it_says_so():
    brain = dataclasses.replace(small.brain(repeats=1), voxel_info={})
    known = inspection.noise_ceiling(brain)
    assert known['ncsnr'] is None and known['told']['source'].startswith('not known')
    given = dataclasses.replace(brain, voxel_info={'noise_ceiling': np.full(30, 0.4)})
    assert inspection.noise_ceiling(given)['told']['single_median'] == pytest.approx(0.4)


def test_pictures_come_from_both_splits_and_large_ones_are_made_small():
    brain = small.brain(side=6)
    shown = inspection.pictures(brain, 10)
    assert shown['images'].shape == (10, 6, 6, 3) and shown['part'].tolist().count('test') == 5
    assert np.isin(shown['image_id'][5:], brain.test.image_id).all()
    exact = (brain.images[shown['image_id']] * 255).round()
    np.testing.assert_array_equal(shown['images'], exact)
    wide = np.zeros((60, 300, 600, 1), np.uint8)
    images = types.Images(np.arange(60), lambda rows: wide[rows], (300, 600), 1)
    large = inspection.pictures(dataclasses.replace(brain, images=images), 4)
    assert large['images'].shape == (4, 128, 256, 3)


def test_labels_and_captions_stand_with_their_pictures(brain):
    shown = inspection.pictures(brain, 4)
    told = inspection.describe(brain, shown)
    for card in told:
        hot = np.flatnonzero(brain.labels[card['id']])
        assert card['labels'] == [brain.label_names[k] for k in hot]
        assert card['captions']
    numbers = small.brain()  # one class a picture, no captions
    told = inspection.describe(numbers, inspection.pictures(numbers, 4))
    assert told[0] == {'id': 0, 'part': 'train', 'labels': ['a'], 'captions': []}


def test_sigterm_between_stages_stops_and_the_same_command_goes_on(tmp_path):
    cfg = ml_collections.ConfigDict(
        {'dataset': {'name': 'simulated', 'n_train': 40, 'n_test': 8, 'voxels': 200, 'size': 16},
         'inspect': {}}
    )  # fmt: skip
    with pytest.raises(results.Stopped):
        inspection.run(cfg, tmp_path / 'a', stop=lambda: True)
    assert json.loads((tmp_path / 'a' / 'run.json').read_text())['status'] == 'stopped'
    assert inspection.run(cfg, tmp_path / 'a').exists()


def test_another_data_set_is_refused_on_the_same_folder(tmp_path, run):
    small_one = '--config.dataset.n_train=60'
    assert run(':smoke,layout=simulated', small_one, f'--workdir={tmp_path / "a"}')[0] == 0
    code, _, err = run(':smoke,layout=simulated', f'--workdir={tmp_path / "a"}')
    assert code == 2 and 'first key that differs is dataset.n_train' in err


def test_a_surface_on_disk_goes_into_the_folder(tmp_path, brain, monkeypatch):
    mesh = {'surface_left_points': np.zeros((4, 3), np.float16)}
    arrays = inspection.maps(brain, inspection.noise_ceiling(brain), mesh)
    assert 'surface_left_points' in arrays and 'roi_V1' in arrays
    np.testing.assert_array_equal(arrays['ncsnr'], brain.voxel_info['ncsnr'])


def test_a_seed_below_zero_is_refused():
    cfg = ml_collections.ConfigDict({'dataset': {'name': 'simulated'}, 'inspect': {}, 'seed': -1})
    with pytest.raises(errors.ConfigError, match='seed is -1'):
        inspection.check(settings.resolve(cfg, inspection.DEFAULTS))
