"""The plan of the house (docs/design.md) as checks."""

import ast
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = sorted(p for p in (ROOT / 'recon').rglob('*.py') if p.stem != '__init__')
TOP = {
    *('README.md', 'requirements.txt', 'recon', 'configs', 'launch', 'tests', 'colabs'),
    *('pyproject.toml', 'Makefile', '.ci', 'constraints', 'benchmarks', 'docs', 'CONTRIBUTING.md'),
    *('CHANGELOG.md', 'CITATION.cff', 'LICENSE', '.gitignore'),
}
_ROOMS = ('checks', 'datasets', 'formats', 'layouts', 'preprocess')
PACKAGES = (
    'decoders',
    'generators',
    'metrics',
    'core',
    'train',
    'train/tasks',
    'zoo',
    *(f'data/{room}' for room in _ROOMS),
)


def lint_imports(folder):
    command = [str(pathlib.Path(sys.executable).parent / 'lint-imports'), '--no-cache']
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_import_contracts_hold():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ('file', 'line', 'contract'),
    [
        ('recon/decoders/ridge.py', 'from recon.data import prepare', 'decoders see arrays only'),
        ('recon/report/html.py', 'import jax', 'the report needs no jax'),
        ('recon/report/html.py', 'from recon.core import rng', 'the report needs no jax'),
        ('recon/core/results.py', 'from recon.data import prepare', 'layers'),
        (
            'recon/data/datasets/digits69.py',
            'from recon.data.datasets import simulated',
            'data sets',
        ),
        ('recon/zoo/clip.py', 'from recon.data import prepare', 'layers'),
        ('recon/generators/diffusion.py', 'from recon.data import prepare', 'decoders see arrays'),
        ('recon/zoo/clip.py', 'import diffusers', 'no torch'),
        ('recon/core/solvers.py', 'import torch', 'no torch'),
        ('configs/common.py', 'import recon', 'configs import'),
    ],
)
def test_a_planted_violation_breaks_its_contract(tmp_path, file, line, contract):
    for name in ('recon', 'launch', 'configs'):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copy(ROOT / 'pyproject.toml', tmp_path)
    planted = tmp_path / file
    planted.write_text(planted.read_text() + f'\n{line}\n')
    done = lint_imports(tmp_path)
    assert done.returncode != 0
    broken = [row for row in done.stdout.splitlines() if 'BROKEN' in row]
    assert any(row.startswith(contract) for row in broken), done.stdout


@pytest.mark.parametrize('package', PACKAGES)
def test_every_module_has_a_test_of_its_name(package):
    known = {p.stem.removeprefix('test_') for p in (ROOT / 'tests' / package).glob('test_*.py')}
    modules = {p.stem for p in (ROOT / 'recon' / package).glob('[a-z]*.py')}
    assert modules - known <= {'errors'}, 'errors are tested where they are raised'


@pytest.mark.parametrize('path', SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_fit_a_reader(path):
    text = path.read_text()
    assert text.count('\n') <= 300, 'split it'
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 70, f'{node.name} is longer than a screen'


def test_the_embedded_nets_stay_small():
    files = (ROOT / 'recon' / 'zoo' / 'assets').rglob('*')
    assert sum(f.stat().st_size for f in files if f.is_file()) < 25e6


def test_no_environment_variable_is_read_in_recon():
    for path in SOURCES:
        assert not re.search(r'os\.environ|getenv', path.read_text()), path


def test_nets_and_their_tokenizers_need_neither_torch_nor_tensorflow():
    code = (
        'import sys, numpy as np\n'
        'from recon.core import errors\n'
        'from recon.zoo import catalog, features, tokenizers, weights\n'
        'from launch import convert, train_zoo\n'
        'from recon.train.tasks import alexnet, blip, clip, sd_unet, sd_vae\n'
        'pictures = np.zeros((1, 64, 64, 3), np.float32)\n'
        'features.extract(weights.load("tiny/clip"), ("pooled",), pictures)\n'
        'for part in ("tokenizer", "blip"):\n'
        '    tokenizers.load(catalog.resolve(f"tiny/{part}")).encode(["a house"], 9)\n'
        'try: catalog.resolve("clip_vit_l14")\n'  # asks huggingface_hub where its cache is
        'except errors.DataMissing: pass\n'
        'bad = {"torch", "torchvision", "tensorflow", "diffusers"} & set(sys.modules)\n'
        'sys.exit(str(bad) if bad else 0)'
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_top_level_is_as_planned():
    tracked = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True).stdout
    top = {line.split('/')[0] for line in tracked.splitlines()}
    assert top <= TOP, top - TOP


def test_a_run_needs_neither_torch_nor_tensorflow(tmp_path):
    code = (
        'import sys; from recon.core import lookup; from launch import main, sweep, report, fetch\n'
        'for n in lookup.names("recon.decoders"): __import__(f"recon.decoders.{n}")\n'
        f'main.main(["--config=configs/digits69_ridge.py:smoke", "--workdir={tmp_path}/a"])\n'
        'bad = {"torch", "tensorflow", "himalaya", "skimage"} & set(sys.modules)\n'
        'sys.exit(str(bad) if bad else 0)'
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'a' / 'report.html').exists()
