import json

import numpy as np
import pytest

from recon import bag, cohort, pipeline
from recon.core import errors, results, settings
from tests import painters


@pytest.fixture
def faked(monkeypatch):
    """Runs that leave what a run leaves, at once: their scores follow from subject and seed."""
    started = []

    def run(cfg, workdir, stop=lambda: False, shared=None):
        started.append(workdir)
        with results.Run(workdir, cfg.to_dict(), {'protocol': {}}) as folder:
            who = cfg.dataset.subject + 10 * cfg.seed
            ids = np.arange(who % 3, 6 + who % 3) if cfg.dataset.subject > 1 else np.arange(6)
            value = np.linspace(0, 1, 6) + who
            images = np.broadcast_to(value[:, None, None, None], (6, 4, 4, 3)).astype(np.float32)
            arrays = {'images': images / 100, 'truth': images * 0, 'image_id': ids}
            folder.npz('reconstructions.npz', arrays)
            entry = {'mean': value.mean(), 'ci95': None, 'chance': 0.1, 'p': 0.1, 'unit': 'image'}
            entry |= {'better': 'higher', 'n': 6, 'n_undefined': 0, 'per_image': value}
            blind = entry | {'per_image': value - np.linspace(1, 2, 6), 'mean': value.mean() - 1.5}
            told = {'schema': 1, 'n': 6, 'protocol': {'channels': 3, 'prior': []}, 'audit': {}}
            told |= {'scores': {'mse': entry}, 'baselines': {'zero_voxels': {'mse': blind}}}
            folder.json('scores.json', told)
            folder.json('decoder.json', {'code': {'facts': {'penalty': who}}})
        return workdir / 'report.html'

    monkeypatch.setattr(pipeline, 'run', run)
    monkeypatch.setattr(pipeline, 'check', lambda cfg: None)
    return started


def config(**more):
    cfg = painters.config(**more)
    cfg.generator = {'chain': (), 'size': ()}
    return cfg


def test_seeds_are_whole_runs_and_the_answer_is_their_mean(faked, tmp_path):
    bag.run(config(seeds=(0, 3, 5)), tmp_path / 'a')
    assert [p.relative_to(tmp_path).as_posix() for p in faked] == [
        f'a/seeds/{k}' for k in (0, 3, 5)
    ]
    held = json.loads((tmp_path / 'a' / 'scores.json').read_text())
    entry = held['scores']['mse']
    assert entry['mean'] == pytest.approx(0.5 + 1 + 80 / 3) and entry['unit'] == 'seed'
    assert entry['per_unit'] == pytest.approx([1.5, 31.5, 51.5])
    assert entry['per_image'] == pytest.approx(np.linspace(0, 1, 6) + 1 + 80 / 3)
    assert entry['ci95'][0] < 15 and entry['ci95'][1] > 40  # seeds differ more than pictures do
    assert held['seeds'] == {
        name: {'mse': pytest.approx(value)}
        for name, value in zip('035', (1.5, 31.5, 51.5), strict=True)
    }
    found = held['differences']['zero_voxels']['mse']
    assert found['mean'] == pytest.approx(1.5) and 1 < found['ci95'][0] < 1.5 < found['ci95'][1] < 2
    arrays = results.read_arrays(tmp_path / 'a' / 'reconstructions.npz')
    np.testing.assert_allclose(arrays['stage_seed_3'][0], 0.31)
    np.testing.assert_allclose(arrays['images'][0], (1 + 31 + 51) / 300, rtol=1e-5)
    inner = json.loads((tmp_path / 'a' / 'seeds' / '3' / 'config.json').read_text())
    assert inner['seed'] == 3 and inner['seeds'] == [] and inner['dataset']['seed'] == 0


def test_subjects_with_pictures_of_their_own_share_what_they_share(faked, tmp_path):
    bag.run(config(subjects=(1, 2, 5)), tmp_path / 'a')
    arrays = results.read_arrays(tmp_path / 'a' / 'reconstructions.npz')
    assert arrays['image_id'].tolist() == [2, 3, 4, 5]
    # The same picture of each: row 2 of the first, whose ids begin at 0, row 0 of the others.
    np.testing.assert_allclose(arrays['stage_subject_1'][0], 0.014, rtol=1e-5)
    np.testing.assert_allclose(arrays['stage_subject_2'][0], 0.02, rtol=1e-5)
    held = json.loads((tmp_path / 'a' / 'scores.json').read_text())
    assert held['n'] == 8 and held['scores']['mse']['per_image'] is None
    assert held['scores']['mse']['mean'] == pytest.approx(0.5 + 8 / 3)
    page = (tmp_path / 'a' / 'report.html').read_text()
    for words in ('subject 5', 'mean picture', 'Subjects', 'spread (s.d.)', 'over 3 subjects'):
        assert words in page, words


def test_the_same_again_changes_nothing_and_what_is_missing_is_run_again(faked, tmp_path):
    cfg = config(seeds=(0, 1))
    bag.run(cfg, tmp_path / 'a')
    count = len(faked)
    bag.run(cfg, tmp_path / 'a')
    assert len(faked) == count
    (tmp_path / 'a' / 'scores.json').unlink()
    bag.run(cfg, tmp_path / 'a')
    assert len(faked) == count + 2 and (tmp_path / 'a' / 'scores.json').exists()


def test_a_folder_for_each_subject_is_found_by_its_number():
    cfg = settings.resolve(config(subjects=(1, 7)), pipeline.DEFAULTS)
    with cfg.unlocked():
        cfg.dataset.images = ''
        cfg.dataset.path = 'data/subject_{subject}'
    runs = cohort.runs(cfg, 'subjects')
    assert [one.dataset.path for one in runs.values()] == ['data/subject_1', 'data/subject_7']
    assert [one.dataset.subject for one in runs.values()] == [1, 7]
    assert cfg.dataset.path == 'data/subject_{subject}'


def test_seeds_of_a_bag_are_bags(faked, tmp_path, monkeypatch):
    cfg = config(seeds=(0, 1), targets={'pixels': {'layer': 'pixels', 'size': (4, 4)}})
    cfg.members = {'a': {}, 'b': {'decoder': {'folds': 3}}}
    monkeypatch.setattr(bag.pipeline, 'scorer', lambda *_: lambda *given: _mse())
    bag.run(cfg, tmp_path / 'a')
    names = [p.relative_to(tmp_path / 'a').as_posix() for p in faked]
    assert names == [f'seeds/{s}/members/{m}' for s in (0, 1) for m in 'ab']


def _mse():
    entry = {'mean': 1.0, 'ci95': None, 'chance': None, 'p': None, 'unit': 'image', 'n': 6}
    entry |= {'better': 'lower', 'n_undefined': 0, 'per_image': [1.0] * 6}
    return {'mse': entry}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'seeds': (0, 1), 'subjects': (1, 2)}, 'name one of them'),
        ({'seeds': (0,)}, 'two or more'),
        ({'subjects': (1, 1)}, 'each once'),
        ({'seeds': (0, -1)}, 'whole numbers from 0'),
        ({'subjects': ('..', 'a')}, 'names of folders'),
        ({'subjects': ('a/b', 'a')}, 'names of folders'),
    ],
)
def test_runs_that_cannot_be_are_refused_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(errors.ConfigError, match=message):
        bag.run(painters.config(generator={'chain': ()}, **change), tmp_path / 'a')
    assert not (tmp_path / 'a').exists()


def test_data_of_one_subject_have_no_subjects(tmp_path):
    cfg = config(subjects=(1, 2), dataset={'name': 'digits69', 'path': 'x'})
    with pytest.raises(errors.ConfigError, match='digits69 is of one subject'):
        bag.run(cfg, tmp_path / 'a')
