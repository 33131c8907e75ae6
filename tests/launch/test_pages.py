"""A command starts itself again with large pages, once, and as it was called."""

import os
import subprocess
import sys

import pytest

from launch import pages

SCRIPT = """
import os, sys
from launch import pages
print(os.getpid(), sys.argv[1:], os.environ.get('GLIBC_TUNABLES'))
if __name__ == '__main__':
    pages.use()
    sys.exit(3)
"""


@pytest.fixture
def run(tmp_path, root):
    """`run(tunables) -> (exit code, lines)` of a command that calls `pages.use`."""

    def call(tunables):
        script = tmp_path / 'command.py'
        script.write_text(SCRIPT)
        given = {k: v for k, v in os.environ.items() if k != 'GLIBC_TUNABLES'}
        given |= {'PYTHONPATH': str(root)} | ({} if tunables is None else tunables)
        words = [sys.executable, '-u', script, '--config.name=two words', '']
        done = subprocess.run(words, capture_output=True, text=True, env=given)
        return done.returncode, done.stdout.splitlines()

    return call


@pytest.mark.skipif(not pages._help(), reason='large pages need Linux and glibc 2.35 or later')
def test_a_command_starts_again_once_with_its_own_words(run):
    code, (first, second) = run(None)
    assert code == 3
    assert first.replace('None', 'glibc.malloc.hugetlb=1') == second  # the same process, too


@pytest.mark.parametrize('chosen', ['', 'glibc.malloc.hugetlb=0'])
def test_tunables_that_somebody_chose_stay(run, chosen):
    code, lines = run({'GLIBC_TUNABLES': chosen})
    assert code == 3 and len(lines) == 1 and lines[0].endswith(chosen)


@pytest.mark.parametrize('version', ['musl 1.2', 'glibc 2.34', '', None])
def test_where_it_would_not_help_nothing_is_started(monkeypatch, version):
    monkeypatch.delenv('GLIBC_TUNABLES', raising=False)
    monkeypatch.setattr(os, 'confstr', lambda name: version)
    monkeypatch.setattr(os, 'execv', lambda *words: pytest.fail('started again'))
    pages.use()


def test_a_kernel_without_large_pages_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.delenv('GLIBC_TUNABLES', raising=False)
    monkeypatch.setattr(os, 'confstr', lambda name: 'glibc 2.36')
    monkeypatch.setattr(os, 'execv', lambda *words: pytest.fail('started again'))
    monkeypatch.setattr(pages, '_KERNEL', tmp_path / 'enabled')
    pages.use()
    pages._KERNEL.write_text('always madvise [never]')
    pages.use()
