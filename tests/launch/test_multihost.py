import pathlib

import pytest

from launch import multihost
from recon.core import errors


def test_its_flags_are_taken_out_and_the_rest_is_left():
    left, found = multihost.take(
        ['--config=a.py', '--processes=2', '--multihost', '--workdir', 'x']
    )
    assert left == ['--config=a.py', '--workdir', 'x']
    assert found == {'processes': '2', 'multihost': ''}


def test_without_flags_a_process_is_alone():
    assert multihost.start({}) == 0


@pytest.mark.parametrize(
    ('found', 'told'),
    [
        ({'processes': '2', 'process': '0'}, '--coordinator is not given'),
        ({'coordinator': 'h:1', 'processes': '2', 'process': '2'}, '--process=2'),
        ({'coordinator': 'h:1', 'processes': 'two', 'process': '0'}, '--processes=two'),
    ],
)
def test_flags_that_do_not_fit_are_refused(found, told):
    with pytest.raises(errors.ConfigError, match=told):
        multihost.start(found)


def test_the_first_process_has_the_run_folder_and_others_one_that_goes(tmp_path):
    with multihost.folder(tmp_path / 'run', 0) as own:
        assert own == tmp_path / 'run'
    with multihost.folder(tmp_path / 'run', 3) as other:
        other.mkdir()
        assert other.name == 'run' and tmp_path not in other.parents
    assert not pathlib.Path(other).exists()
