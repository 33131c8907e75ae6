"""Every config's smoke option runs from the command to the report; in `make test`, one a system."""

import json
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = [p for p in sorted((ROOT / 'configs').glob('[a-z]*.py')) if p.stem != 'common']
# Tables of a config take its get_config as it is: one smoke run is enough.
CONFIGS = [p.stem for p in FILES if 'get_config = ' not in p.read_text()]
QUICK = ('digits69_ridge', 'inspect', 'miyawaki2008_omp', 'quickstart')


@pytest.mark.parametrize(
    'name', [n if n in QUICK else pytest.param(n, marks=pytest.mark.long) for n in CONFIGS]
)
def test_the_smoke_run_of_a_config_reaches_its_report(name, tmp_path, run):
    code, out, err = run(f'--config=configs/{name}.py:smoke', f'--workdir={tmp_path / name}')
    assert code == 0, err
    page = (tmp_path / name / 'report.html').read_text()
    assert str(tmp_path / name / 'report.html') in out and '<img' in page
    if name == 'inspect':
        return
    scores = json.loads((tmp_path / name / 'scores.json').read_text())
    for entry in scores['scores'].values():
        assert entry['n'] == scores['n'] or entry['unit'] == 'category'
        assert entry['ci95'] and entry['chance'] is not None
        assert 0 < entry['p'] <= 1


@pytest.mark.real
def test_digits69_ridge_equals_scikit_learns_ridgecv_in_every_score(shared, tmp_path, run):
    """Figures of scikit-learn on this split: shared/data/README.md."""
    path = shared / 'data' / 'digits69' / 'digit69_28x28.mat'
    code, _, err = run(
        '--config=configs/digits69_ridge.py',
        f'--config.dataset.path={path}',
        f'--workdir={tmp_path / "a"}',
    )
    assert code == 0, err
    kept = json.loads((tmp_path / 'a' / 'scores.json').read_text())
    wanted = {'pixcorr': 0.791, 'mse': 0.0379, 'ssim': 0.458, 'ssim_uniform7': 0.507}
    for name, value in (wanted | {'two_way_pixel': 0.944}).items():
        assert abs(kept['scores'][name]['mean'] - value) < 0.005, name
    blind = {'pixcorr': 0.655, 'mse': 0.0547, 'ssim': 0.245, 'ssim_uniform7': 0.309}
    for name, value in (blind | {'two_way_pixel': 0.5}).items():
        assert abs(kept['baselines']['mean_image'][name]['mean'] - value) < 0.001, name
    assert kept['scores_train']['pixcorr']['split'] == 'train'
