import contextlib
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
