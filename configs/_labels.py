"""What the configs of labels share: the decoders, the filter by coverage, the sweep over it."""

from configs import common

METRICS = (
    *('map', 'f1_macro', 'f1_micro', 'category_accuracy'),
    *('top1_accuracy', 'top5_accuracy', 'first_label_accuracy'),
)
LINEAR = {
    'ridge': dict(name='ridge', penalties=tuple(10 ** (i / 2) for i in range(17)), cv='loo'),
    'logistic': dict(name='logistic'),
}
DECODERS = ('label_cnn', *LINEAR)
IN_TABLE = ('map', 'f1_macro', 'top1_accuracy', 'first_label_accuracy')
SWEPT = ('decoder', 'coverage')


def experiment(arg, dataset: dict, *, coverage, rate: float, train: str, least: int, smaller: dict):
    """Labels from voxels; options of a run, besides those of `dataset`.

    decoder (label_cnn, ridge, logistic); coverage (smallest share of the picture that a label
    covers, 0 for any); threshold (a score above it is a yes; 0: chosen on left-out training rows);
    rois (areas whose voxels are used, V1+V2; '' all that were read); gamma (of the focal loss, 0
    for the plain one); rate (of learning), epochs and batch (of label_cnn); small, smoke.

    Args:
      arg: what followed the ':'.
      dataset: name and options of the reader; each can be set after the ':'.
      coverage: default of the option.
      rate: default of the option.
      train: repeats of training images: 'keep' or 'mean'.
      least: training images that a category needs.
      smaller: of :small, options of the reader, or {} for its layout's files.
    """
    given = {k: v for k, v in dataset.items() if k != 'name' and not isinstance(v, dict)}
    chosen = common.parse_arg(
        arg,
        **dict(decoder='label_cnn', coverage=coverage, threshold=0.0, rois='', gamma=2.0),
        **dict(rate=rate, epochs=20, batch=64, small=False, smoke=False),
        **given,
    )
    if chosen.decoder not in DECODERS:
        raise ValueError(f'option decoder={chosen.decoder!r}; wanted {", ".join(DECODERS)}')
    limits = dict(coverage=(0, 1), threshold=(0, 1), gamma=(0, None), rate=(0, None))
    for key, (low, high) in (limits | dict(epochs=(1, None), batch=(1, None))).items():
        if chosen[key] < low or (high is not None and chosen[key] > high):
            most = '' if high is None else f' and at most {high}'
            raise ValueError(f'option {key}={chosen[key]}; wanted {low} or more{most}')
    net = chosen.decoder == 'label_cnn'
    order = (*(('rois',) if chosen.rois else ()), 'normalise', 'repeats')
    cfg = common.experiment(
        seed=0,
        dataset=dataset | {name: chosen[name] for name in given},
        preprocess=dict(
            order=(*order, 'hemispheres') if net else order,
            normalise=dict(by='session'),
            repeats=dict(train=train, test='mean'),
        ),
        targets=dict(
            labels=dict(
                **dict(net='labels', layer='categories', least=least),
                **dict(coverage=chosen.coverage, threshold=chosen.threshold),
            )
        ),
        decoder=dict(LINEAR.get(chosen.decoder, {})),
        metrics=METRICS,
        baselines=('mean_latent', *common.CONTROLS),
    )
    if chosen.rois:
        cfg.preprocess.rois = dict(keep=tuple(chosen.rois.split('+')))
    if net:
        kept = {key: chosen[key] for key in ('gamma', 'epochs', 'batch')}
        cfg.decoder = dict(name='label_cnn', learning_rate=chosen.rate, **kept)
    return _smaller(cfg, chosen, smaller, net)


def _smaller(cfg, chosen, smaller: dict, net: bool):
    """`:small` is minutes, `:smoke` seconds, on two cores."""
    if chosen.small and not chosen.smoke:
        cfg.dataset.update(smaller)
        cfg.layout = '' if smaller else cfg.dataset.name
        cfg.permutations = 200
    if not chosen.smoke:
        return cfg
    simulated = cfg.dataset.name == 'simulated'
    cfg = common.smoke(cfg, '' if simulated else cfg.dataset.name)
    cfg.areas, cfg.learning_curve = (), ()
    cfg.targets.labels.least = 5
    if net:
        cfg.decoder.update(
            widths=(8, 8, 8), dense=(16,), epochs=3, batch=16, validation=0.2, log_every=2
        )
    elif cfg.decoder.name == 'logistic':
        cfg.decoder.penalties = (1e2, 1e4)
    return cfg


def sweep(arg, title: str, shares: tuple, published: dict, notes: tuple) -> dict:
    """The runs: every decoder at every threshold of coverage; `arg` goes to each.

    Args:
      arg: options of every run.
      title: of the table.
      shares: thresholds of coverage, ascending.
      published: {share: accuracy as printed}, of the convolutional net.
      notes: sentences under the title.
    """
    for part in (arg or '').split(','):
        if part.partition('=')[0] in SWEPT:
            raise ValueError(f'option {part!r}, which the sweep itself sets')
    also = f',{arg}' if arg else ''
    runs = []
    for decoder in DECODERS:
        for share in shares:
            told = published.get(share) if decoder == 'label_cnn' else None
            runs.append(
                {
                    'name': f'{decoder}_coverage-{share:g}',
                    'label': f'{decoder}, ' + (f'{share:g} and more' if share else 'any coverage'),
                    'options': f'decoder={decoder},coverage={share:g}{also}',
                    'published': {'first_label_accuracy': told} if told else {},
                }
            )
    return {
        'title': title,
        'metrics': IN_TABLE,
        'figure': 'coverage',
        'runs': runs,
        'notes': (
            'A higher threshold of coverage leaves fewer labels to name and changes which pictures '
            'have one: rows of different thresholds are scored against different truths, each '
            'beside its own chance.',
            *notes,
        ),
    }
