import contextlib
import errno
import os
import pathlib
import signal
import sys

import pytest

from launch import ending, options
from recon import pipeline
from recon.core import errors

CONFIG = 'configs/digits69_ridge.py'


def resolved(*words):
    return options.resolve(
        options.parse([f'--config={CONFIG}', *words], 'usage'), pipeline.DEFAULTS
    )


def test_a_flag_takes_its_value_after_a_space_or_an_equals_sign():
    one = options.parse(['--config', CONFIG, '--workdir', 'a', '--config.seed', '3'], '')
    two = options.parse([f'--config={CONFIG}', '--workdir=a', '--config.seed=3'], '')
    assert one == two and one.overrides == {'seed': '3'} and one.workdir == 'a'


def test_an_override_has_the_type_of_what_it_replaces():
    cfg = resolved(
        '--config.seed=4',
        '--config.score_train=false',
        '--config.metrics=mse,pixcorr',
        "--config.baselines=('mean_image',)",
        '--config.decoder.penalties=1,10.5',
        '--config.learning_curve=()',
        '--config.audit.allow_seen=true',
    )
    assert cfg.seed == 4 and cfg.score_train is False and cfg.metrics == ('mse', 'pixcorr')
    assert cfg.baselines == ('mean_image',) and cfg.decoder.penalties == (1, 10.5)
    assert cfg.learning_curve == () and cfg.audit.allow_seen is True


def test_another_decoder_starts_from_its_own_defaults():
    from recon.decoders import omp

    cfg = resolved('--config.decoder.name=omp', '--config.decoder.coefficients=3')
    assert cfg.decoder.to_dict() == omp.DEFAULTS | {'name': 'omp', 'coefficients': 3}


def test_the_order_of_preprocessing_can_be_changed():
    cfg = resolved('--config.preprocess.order=rois,normalise', '--config.preprocess.rois.keep=V1')
    assert cfg.preprocess.order == ('rois', 'normalise') and cfg.preprocess.rois.keep == ('V1',)
    assert cfg.preprocess.normalise.by == 'all'


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--config.decoder.penaltys=1'], 'did you mean penalties'),
        (['--config.nothing.at.all=1'], 'unknown key nothing.at.all'),
        (['--config.seed=1.5'], 'wanted: int'),
        (['--config.score_rows=maybe'], 'wanted: bool'),
        (['--wrkdir=a'], 'unknown flag --wrkdir'),
    ],
)
def test_a_slip_is_named_with_what_exists(words, message):
    with pytest.raises(errors.ConfigError, match=message):
        resolved(*words)


def test_a_config_is_found_by_its_name_and_a_wrong_one_names_the_nearest():
    assert options.find_config('quickstart').name == 'quickstart.py'
    with pytest.raises(errors.ConfigError, match='did you mean configs/quickstart.py'):
        options.find_config('quikstart')
    with pytest.raises(errors.ConfigError, match='no --config'):
        options.parse([], 'usage')


def test_the_default_name_of_a_run_is_the_configs():
    assert options.parse([f'--config={CONFIG}:smoke'], '').name == 'digits69_ridge'


def test_errors_become_exit_codes_and_sigterm_a_clean_stop(capsys):
    with ending.exit_codes() as ended:
        raise errors.DataMissing('no file', 'here', 'fetch it')
    assert ended.code == 2
    assert capsys.readouterr().err == 'DataMissing: no file | where: here | fetch it\n'
    with ending.exit_codes() as ended:
        signal.raise_signal(signal.SIGTERM)
    assert ended.code == 0 and 'to be continued' in capsys.readouterr().err
    with ending.exit_codes() as ended:
        raise OSError(28, 'No space left on device')
    assert ended.code == 2 and 'No space left' in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError), ending.exit_codes():
        1 / 0  # noqa: B018  our own fault keeps its traceback


def test_each_command_says_what_it_is_for():
    import subprocess

    for name in ('main', 'sweep'):
        path = pathlib.Path(options.ROOT) / 'launch' / f'{name}.py'
        done = subprocess.run([sys.executable, path, '--help'], capture_output=True, text=True)
        assert done.returncode == 0 and f'launch/{name}.py --config' in done.stdout


def test_a_config_that_does_not_load_is_the_users_cause(tmp_path):
    for text, message in (('x = (', 'SyntaxError'), ('1 / 0', 'ZeroDivision'), ('', 'get_config')):
        (tmp_path / 'c.py').write_text(text)
        with pytest.raises(errors.ConfigError, match=message):
            options.load(options.parse([f'--config={tmp_path / "c.py"}'], ''))


def test_a_list_of_names_where_numbers_are_wanted_is_refused():
    with pytest.raises(errors.ConfigError, match='wanted: numbers'):
        resolved('--config.decoder.penalties=a,b')
    with pytest.raises(errors.ConfigError, match='wanted: names'):
        resolved('--config.metrics=3')


def test_sigterm_is_remembered_where_a_library_swallows_the_exception():
    with ending.exit_codes() as ended:
        with contextlib.suppress(BaseException):  # as a callback inside a library does
            signal.raise_signal(signal.SIGTERM)
        assert ended.stop


def test_a_folder_that_cannot_be_made_is_refused_with_its_flag(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    (tmp_path / 'broken').symlink_to(tmp_path / 'nowhere')
    ended = ending.Ended()
    for place in ('file', 'file/a/b', 'broken', 'broken/a'):
        with pytest.raises(errors.RunFolderError, match='is no folder.*name another --out'):
            ended.writes(tmp_path / place, '--out')
    assert ended.writes(tmp_path / 'new' / 'er', '--out') == tmp_path / 'new' / 'er'
    assert not (tmp_path / 'new').exists()
    monkeypatch.setattr(ending.os, 'access', lambda path, mode: False)
    with pytest.raises(errors.RunFolderError, match='nothing may be written in .*--out'):
        ended.writes(tmp_path / 'new', '--out')
    ended.writes(tmp_path, '--out')  # what is there may only be read: a run that is done is shown


@pytest.mark.parametrize('code', ['EACCES', 'EROFS', 'ENOTDIR', 'ENOENT', 'EEXIST', 'ENAMETOOLONG'])
@pytest.mark.parametrize('place', ['out/lock', 'out', '', 'out.unfinished.7/a'])
def test_what_the_system_says_of_the_folder_names_its_flag(tmp_path, capsys, code, place):
    number = getattr(errno, code)
    with ending.exit_codes() as ended:
        ended.writes(tmp_path / 'out', '--workdir')
        raise OSError(number, os.strerror(number), str(tmp_path / place))
    said = capsys.readouterr().err
    assert ended.code == 2 and said.count('\n') == 1 and 'name another --workdir' in said


def test_a_file_that_is_missing_elsewhere_or_later_is_our_own_fault(tmp_path):
    for folder, name in ((tmp_path / 'out', '/elsewhere'), (tmp_path, str(tmp_path / 'lock'))):
        with pytest.raises(FileNotFoundError), ending.exit_codes() as ended:
            ended.writes(folder, '--workdir')
            raise FileNotFoundError(errno.ENOENT, 'No such file', name)


def test_a_permission_elsewhere_is_told_without_the_flag(tmp_path, capsys):
    with ending.exit_codes() as ended:
        ended.writes(tmp_path / 'out', '--workdir')
        raise PermissionError(errno.EACCES, 'Permission denied', '/data/images.npy')
    said = capsys.readouterr().err
    assert ended.code == 2 and '/data/images.npy' in said and '--workdir' not in said


def test_files_of_several_subjects_lie_apart(tmp_path):
    cfg = resolved('--config.layout=digits69')
    with options.simulated_files(cfg, tmp_path / 'one') as one:
        assert one.dataset.path == str(tmp_path / 'one' / 'layout')
    assert (tmp_path / 'one' / 'layout_truth').is_dir()
    with cfg.unlocked():
        cfg.subjects = (1, 3)
    with options.simulated_files(cfg, tmp_path / 'two') as two:
        assert two.dataset.path == str(tmp_path / 'two' / 'layout' / '{subject}')
    for subject in (1, 3):
        assert list((tmp_path / 'two' / 'layout' / str(subject)).glob('*.mat'))
    with cfg.unlocked(), cfg.ignore_type():
        cfg.subjects = ('S1',)
    with (
        pytest.raises(errors.ConfigError, match="subject is 'S1'"),
        options.simulated_files(cfg, tmp_path / 'three'),
    ):
        pass
    assert not (tmp_path / 'three').exists()
