import ml_collections
import pytest

from recon.core import errors, lookup, settings

DEFAULTS = {'seed': 0, 'audit': {'allow_seen': False}, 'targets': {}}


def config(**changes):
    base = {
        'dataset': {'name': 'digits69', 'path': 'x'},
        'preprocess': {'order': ('normalise',)},
        'decoder': {'name': 'ridge'},
    }
    return ml_collections.ConfigDict(base | changes)


def test_every_option_of_every_stage_stands_in_the_resolved_config():
    cfg = settings.resolve(config(), DEFAULTS)
    ridge = lookup.find('recon.decoders', 'ridge', 'decoder.name')
    assert set(cfg.decoder) == {'name', *ridge.DEFAULTS}
    assert cfg.seed == 0 and cfg.audit.allow_seen is False
    assert 'by' in cfg.preprocess.normalise


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'sed': 3}, 'unknown key sed .*did you mean seed'),
        ({'decoder': {'name': 'rigde'}}, "decoder.name is 'rigde'.*did you mean 'ridge'.*omp"),
        ({'decoder': {'name': 'ridge', 'fold': 3}}, r'unknown key decoder\.fold'),
        ({'dataset': {'name': 'mnist'}}, "dataset.name is 'mnist'.*digits69"),
        ({'audit': {'allow': True}}, r'unknown key audit\.allow'),
        ({'preprocess': {'order': ('norm',)}}, "preprocess.order is 'norm'.*normalise"),
        (
            {'preprocess': {'order': (), 'normalise': {'by': 'run'}}},
            'preprocess.normalise has options',
        ),
        ({'preprocess': {'order': ('normalise',), 'normalise': {'buy': 'run'}}}, 'did you mean'),
    ],
)
def test_what_no_stage_knows_is_refused_by_name(changes, message):
    with pytest.raises(errors.ConfigError, match=message):
        settings.resolve(config(**changes), DEFAULTS)


def test_a_decoder_inside_a_decoder_gets_its_own_defaults():
    cfg = settings.resolve(
        config(decoder={'name': 'miyawaki', 'base': {'name': 'ridge'}}), DEFAULTS
    )
    ridge = lookup.find('recon.decoders', 'ridge', 'decoder.name')
    assert set(cfg.decoder.base) == {'name', *ridge.DEFAULTS}


def test_targets_of_labels_have_options_that_others_do_not_know():
    cfg = settings.resolve(config(targets={'seen': {'net': 'labels', 'coverage': 0.1}}), DEFAULTS)
    assert set(cfg.targets.seen) == {*settings.TARGET, *settings.LABELS}
    assert cfg.targets.seen.layer == 'categories' and cfg.targets.seen.coverage == 0.1
    assert set(settings.resolve(config(targets={'p': {}}), DEFAULTS).targets.p) == set(
        settings.TARGET
    )
    with pytest.raises(errors.ConfigError, match=r'unknown key targets\.p\.coverage'):
        settings.resolve(config(targets={'p': {'coverage': 0.1}}), DEFAULTS)


def test_the_resolved_config_is_locked():
    with pytest.raises(AttributeError):
        settings.resolve(config(), DEFAULTS).decoder.new = 1


def test_an_inspection_has_a_data_set_and_no_decoder():
    defaults = {'seed': 0, 'inspect': {'audit': True}}
    given = ml_collections.ConfigDict({'dataset': {'name': 'digits69'}, 'inspect': {}})
    cfg = settings.resolve(given, defaults)
    digits = lookup.find('recon.data.datasets', 'digits69', 'dataset.name')
    assert set(cfg) == {'seed', 'inspect', 'dataset'} and cfg.inspect.audit is True
    assert set(cfg.dataset) == {'name', *digits.DEFAULTS}
    with pytest.raises(errors.ConfigError, match='unknown key decoder'):
        settings.resolve(config(inspect={}), defaults)
    with pytest.raises(errors.ConfigError, match=r'unknown key inspect\.audits.*did you mean'):
        settings.resolve(
            ml_collections.ConfigDict({'dataset': {'name': 'digits69'}, 'inspect': {'audits': 1}}),
            defaults,
        )


def test_a_targets_decoder_differs_in_what_its_target_says_alone():
    own = {'z': {'decoder': {'penalties': (5.0,)}}, 'c': {'decoder': {'name': 'omp'}}, 'p': {}}
    changes = dict(targets=own, decoder={'name': 'ridge', 'cv': 'gcv'})
    cfg = settings.resolve(config(**changes), DEFAULTS)
    z, c = settings.decoder_of(cfg, 'z'), settings.decoder_of(cfg, 'c')
    assert z.penalties == (5.0,) and z.cv == 'gcv' and cfg.decoder.penalties != (5.0,)
    omp = lookup.find('recon.decoders', 'omp', 'decoder.name')
    assert set(c) == {'name', *omp.DEFAULTS} and c.name == 'omp'
    assert settings.decoder_of(cfg, 'p') == settings.decoder_of(cfg, 'a generator') == cfg.decoder
    again = settings.resolve(cfg, DEFAULTS)
    assert again == cfg and dict(again.targets.z.decoder) == {'penalties': (5.0,)}


@pytest.mark.parametrize(
    ('own', 'message'),
    [
        ({'penaltie': (1.0,)}, r'unknown key targets\.z\.decoder\.penaltie.*penalties'),
        ({'name': 'rigde'}, r"targets\.z\.decoder\.name is 'rigde'.*did you mean 'ridge'"),
        ({'name': 'omp', 'penalties': (1.0,)}, r'unknown key targets\.z\.decoder\.penalties'),
    ],
)
def test_a_targets_decoder_with_options_that_it_does_not_have_is_refused(own, message):
    with pytest.raises(errors.ConfigError, match=message):
        settings.resolve(config(targets={'z': {'decoder': own}}), DEFAULTS)


def test_options_inside_options_are_merged_unless_another_module_is_named():
    given = {'name': 'a', 'x': {'p': 1, 'q': 2}, 'base': {'name': 'b', 'r': 3}}
    assert settings.merge(given, {'x': {'q': 5}}) == given | {'x': {'p': 1, 'q': 5}}
    assert settings.merge(given, {'base': {'name': 'c'}}) == given | {'base': {'name': 'c'}}
    assert settings.merge(given, {'base': {'r': 4}})['base'] == {'name': 'b', 'r': 4}
