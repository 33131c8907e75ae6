import subprocess

import jax

from recon.core import provenance


def test_a_run_says_its_commit_versions_and_device():
    facts = provenance.facts(5)
    assert facts['seed'] == 5 and facts['versions']['jax'] == jax.__version__
    assert facts['device']['platform'] == jax.devices()[0].platform
    assert facts['commit'] is None or len(facts['commit'].removesuffix('+changes')) == 40


def test_changes_are_said_and_outside_git_there_is_no_commit(tmp_path):
    assert provenance.commit(tmp_path) is None

    def git(*words):
        identity = ['-c', 'user.name=a', '-c', 'user.email=a@b']
        subprocess.run(['git', *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git('init')
    (tmp_path / 'f').write_text('1')
    git('add', 'f')
    git('commit', '-m', 'one')
    clean = provenance.commit(tmp_path)
    (tmp_path / 'f').write_text('2')
    assert len(clean) == 40 and provenance.commit(tmp_path) == f'{clean}+changes'
