from launch import learning
from recon.report import figures, tables


def kept(batch, *named, facts=None):
    series = [{'name': name, 'x': [10, 20], 'y': [0.9, 0.5]} for name in named]
    curves = [{'title': 'Penalties', 'series': []}, {'title': 'Training of vae', 'series': series}]
    return {
        'config': {'decoder': {'batch': batch}},
        'decoder': {'learning': {}, 'vae': {'curves': curves, 'facts': facts or {}}},
    }


def test_a_run_gives_its_training_loss_and_its_batch():
    found = learning.series('set1', kept(16, 'training', 'validation'))
    assert found == {'name': 'set1', 'x': [10, 20], 'y': [0.9, 0.5], 'panel': 16}
    assert learning.series('a', kept(16, 'validation'))['x'] == []
    assert learning.series('a', {'config': {}, 'decoder': {}})['panel'] is None


def test_there_is_one_figure_a_batch_size_with_all_its_runs():
    runs = [(f'{mask} {batch}', batch) for batch in (64, 16) for mask in ('none', 'set1')]
    series = [learning.series(name, kept(batch, 'training')) for name, batch in runs]
    panels = learning.figures(series)
    assert [p['title'] for p in panels] == ['Training loss, batch 16', 'Training loss, batch 64']
    assert [s['name'] for s in panels[0]['series']] == ['none 16', 'set1 16']
    assert figures.curves(panels[0]).count('<path') + figures.curves(panels[0]).count('<poly') >= 2


def test_facts_become_entries_in_the_order_asked_for():
    facts = {'l1 on training': 0.4, 'l1 on validation': 0.65, 'head': 'direct', 'parameters': 3}
    found = learning.entries(kept(4, facts=facts), ('l1 on validation', 'head', 'l1 on training'))
    assert list(found) == ['l1 on validation', 'l1 on training']
    assert found['l1 on validation']['mean'] == 0.65
    row = {'name': 'a', 'scores': found, 'published': {'l1 on validation': '.648'}}
    table = tables.comparison([row], ['l1 on validation', 'l1 on training'])
    assert [c['text'] for c in table['rows'][0]] == ['a', '0.650', '.648', '0.400']
