"""Metrics that look through a pretrained net, from the command to the scores."""

import json

CONFIG = '--config=configs/digits69_ridge.py'
FEW = (
    *('--config.draws=50', '--config.permutations=9', '--config.learning_curve=()'),
    *('--config.baselines=()', '--config.areas=()'),
)


def test_a_metric_through_a_net_is_scored_and_says_net_weights_and_protocol(digits, tmp_path, run):
    code, _, err = run(
        CONFIG,
        f'--config.dataset.path={digits}',
        '--config.metrics=pixcorr,two_way_tiny_clip',
        '--config.zoo.protocol=mindeye',
        f'--workdir={tmp_path / "a"}',
        *FEW,
    )
    assert code == 0, err
    scores = json.loads((tmp_path / 'a' / 'scores.json').read_text())['scores']
    entry = scores['two_way_tiny_clip']
    assert 0 <= entry['mean'] <= 1
    assert entry['chance'] == 0.5
    assert entry['net'] == 'tiny_clip'
    assert entry['weights'].startswith('tiny/clip scenes_version')
    assert (entry['protocol'], scores['pixcorr']['protocol']) == ('own', 'mindeye')


def test_a_net_or_protocol_that_is_not_there_ends_a_run_before_it_begins(digits, tmp_path, run):
    folder = tmp_path / 'a'
    for word, told in (
        ('--config.zoo.protocol=mind_eye', "protocol 'mind_eye'"),
        ('--config.metrics=two_way_clip', 'score tiny_clip'),
        ('--config.zoo.dtype=float8', 'float8'),
    ):
        path = f'--config.dataset.path={digits}'
        code, _, err = run(
            CONFIG, path, word, f'--config.zoo.path={tmp_path}', f'--workdir={folder}'
        )
        assert code == 2, err
        assert told in err
        assert err.count('\n') == 1
        assert not folder.exists()
