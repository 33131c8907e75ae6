"""What the configs of system 4 share: pix2pix, and the encoder-decoders that stand beside it."""

from configs import _labels, common

SYSTEMS = ('pix2pix', 'cnn1d', 'cnn2d')
NAMES = {  # options that are one of a few
    'system': SYSTEMS,
    'picture': ('flatmap', 'square'),
    'condition': ('voxels', 'labels', 'both', 'none'),
}
# The first seed report, table 1, and what it quotes there from others, not their papers' figures.
PUBLISHED = {'pix2pix': (0.010, 0.012), 'cnn1d': (-0.689, -0.551), 'cnn2d': (-0.675, -0.609)}
LOSSES = (
    *('adversarial', 'l1', 'l2'),
    *('adversarial+l1', 'adversarial+l2', 'l1+l2', 'adversarial+l1+l2'),
)
METRICS = ('pixcorr', 'ssim')  # of the tables
# For a few thousand steps. On 750 rows of the simulated brain, 64 pixels, 1,500 steps of L1 alone
# without the running average, correlation of pixels on the test pictures (the mean picture .075):
# these .155; with jitter and mirror .040; adversarial loss too .049; of V1 to V3 alone .274. The
# published dropout of 0.5 (1,875 steps of 4 rows) .052. One run each.
QUICK = dict(
    **dict(dropout=0.0, jitter=1.0, mirror=False, learning_rate=1e-3, batch=8),
    **dict(statistics='training', ema=0.995),
)
_USUAL = dict(
    **dict(system='pix2pix', picture='flatmap', side=0, keep='', size=256),
    **dict(losses='adversarial+l1', condition='voxels', width=64, batch=0, epochs=0),
    **dict(quick=False, small=False, smoke=False),
)
_NOTE = (
    'Published: the first seed report, on its own share of the recording; how it computed PixCorr '
    'and SSIM, and how they come below zero, it does not say. Measured: the data named in the row. '
    'The two are comparable only on the same data.'
)


def experiment(arg, dataset: dict, preprocess: dict, smaller: dict | None = None, **usual):
    """Pictures from pictures of the cortex; options of a run, besides those of `dataset`.

    system (pix2pix, cnn1d, cnn2d); picture (flatmap, or square: voxels in their order; cnn1d reads
    the list of each hemisphere); side (of the square; 0 is the smallest that fits the larger
    hemisphere, and a smaller one is refused with the side that would fit); keep (areas
    whose voxels are shown, V1+V2, the others blank; '' is all); losses (of pix2pix: a sum of
    adversarial, l1, l2); condition (voxels; labels: what ridge regression says is in the picture;
    both: label_cnn says it, from the picture of the cortex; none: noise alone); size (pixels on a
    side of what is made); width (channels of pix2pix's finest level); quick (settings of pix2pix
    for a few thousand steps, not the published ones); batch and epochs (0: the file's own); small
    and smoke (both are quick).

    Args:
      arg: what followed the ':'.
      dataset: name and options of the reader; each can be set after the ':'.
      preprocess: as in a config, of the voxels before they are laid out.
      smaller: of :small, options of the reader; None for its layout's files.
      usual: other defaults of the options.
    """
    given = {key: value for key, value in dataset.items() if key != 'name'}
    chosen = common.parse_arg(arg, **_USUAL | usual | given)
    _check(chosen)
    if chosen.smoke or chosen.small:
        chosen.size = 32 if chosen.smoke else min(chosen.size, 64)
        chosen.width = 8 if chosen.smoke else min(chosen.width, 16)
        chosen.side = 0
    cfg = common.experiment(
        seed=0,
        dataset={'name': dataset['name']} | {name: chosen[name] for name in given},
        preprocess=_laid_out(chosen, preprocess),
        targets=dict(pixels=dict(net='image', layer='pixels', size=(chosen.size, chosen.size))),
        decoder=dict(name=chosen.system),
        metrics=common.PIXEL_METRICS,
    )
    trained = cfg.decoder
    if chosen.system == 'pix2pix':
        cfg.targets, cfg.decoder = _labels_of(chosen)
        if 'annotations' in given and cfg.targets:
            cfg.dataset.annotations = True
        options = {key: chosen[key] for key in ('size', 'width', 'losses', 'condition')}
        options |= QUICK if chosen.quick or chosen.small or chosen.smoke else {}
        options |= dict(noise=1) if chosen.condition == 'none' else {}
        size = (chosen.size, chosen.size)
        cfg.generator = dict(chain=('pix2pix',), size=size, pix2pix=options)
        trained = cfg.generator.pix2pix
    trained.update({key: chosen[key] for key in ('batch', 'epochs') if chosen[key]})
    return _smaller(cfg, chosen, trained, smaller)


def _check(chosen) -> None:
    """Raises ValueError for options that no data can make fit."""
    for key, known in NAMES.items():
        if chosen[key] not in known:
            raise ValueError(f'option {key}={chosen[key]!r}; wanted {", ".join(known)}')
    if frozenset(chosen.losses.split('+')) not in [frozenset(sum_.split('+')) for sum_ in LOSSES]:
        raise ValueError(f'option losses={chosen.losses!r}; wanted {", ".join(LOSSES)}')
    for key, least in dict(size=1, width=1, side=0, batch=0, epochs=0).items():
        if chosen[key] < least:
            raise ValueError(f'option {key}={chosen[key]}; wanted {least} or more')
    if chosen.system == 'pix2pix' and (chosen.size < 32 or chosen.size & (chosen.size - 1)):
        raise ValueError(f'option size={chosen.size}; of pix2pix a power of 2, at least 32')


def _labels_of(chosen) -> tuple[dict, dict]:
    """(targets, decoder): labels where pix2pix is shown some, else nothing is decoded."""
    if chosen.condition not in ('labels', 'both'):
        return {}, dict(name='none')
    targets = dict(labels=dict(net='labels', layer='categories', least=10))
    if chosen.condition == 'labels':
        return targets, dict(_labels.LINEAR['ridge'])
    small = dict(widths=(8, 8, 8), dense=(16,), epochs=1, batch=16) if chosen.smoke else {}
    return targets, dict(name='label_cnn') | small


def _laid_out(chosen, preprocess: dict) -> dict:
    keep = tuple(filter(None, chosen.keep.split('+')))
    if chosen.condition == 'labels':  # ridge regression reads a list
        areas = dict(order=('rois', *preprocess['order']), rois=dict(keep=keep)) if keep else {}
        return preprocess | areas
    if chosen.system == 'cnn1d':
        return preprocess | dict(
            order=(*preprocess['order'], 'hemispheres'),
            hemispheres=dict(keep=keep, size=chosen.side**2),
        )
    across = chosen.size if chosen.smoke or chosen.small else 128
    return preprocess | dict(
        order=(*preprocess['order'], 'cortical_picture'),
        cortical_picture=dict(
            how=chosen.picture, side=chosen.side, size=(across, across), keep=keep
        ),
    )


def _smaller(cfg, chosen, trained, smaller):
    """`:small` is minutes, `:smoke` seconds, on two cores."""
    simulated = cfg.dataset.name == 'simulated'
    if chosen.small and not chosen.smoke:
        cfg.dataset.update(smaller or {})
        cfg.layout = '' if simulated else cfg.dataset.name
        cfg.permutations = 200
    if chosen.smoke:
        cfg = common.smoke(cfg, '' if simulated else cfg.dataset.name)
        cfg.areas, cfg.learning_curve = (), ()
    if not chosen.smoke and not chosen.small:
        return cfg
    if chosen.system == 'pix2pix':
        trained.update(epochs=2 if chosen.smoke else 12, save_epochs=1)
        trained.log_every = 5 if chosen.smoke else 20
    elif chosen.small and not chosen.smoke:
        trained.update(epochs=chosen.epochs or 10, batch=chosen.batch or 16)
    else:
        trained.update(widths=(8, 8, 8), epochs=2, batch=16)
        trained.update(up=(8, 8) if chosen.system == 'cnn2d' else (16, 8, 8))
    return cfg


def sweep(arg, title: str, runs: list[dict], set_here: tuple, notes: tuple = ()) -> dict:
    """A table of runs; `arg` goes to each.

    Args:
      arg: options of every run.
      title: of the table.
      runs: {'name', 'options', 'published'}, options without `arg`.
      set_here: options that the runs themselves set.
      notes: sentences under the table.
    """
    for part in (arg or '').split(','):
        if part.partition('=')[0] in set_here:
            raise ValueError(f'option {part!r}, which the sweep itself sets')
    also = f',{arg}' if arg else ''
    runs = [run | {'options': run['options'] + also} for run in runs]
    return {'title': title, 'metrics': METRICS, 'runs': runs, 'notes': notes}


def table1(arg, title: str) -> dict:
    """The first seed report's table 1: pix2pix and both nets, all voxels and visual areas alone."""
    runs = [
        {
            'name': system,
            'options': f'system={system}',
            'published': dict(zip(METRICS, (f'{x:.3f}' for x in PUBLISHED[system]), strict=True)),
        }
        for system in SYSTEMS
    ]
    return sweep(arg, title, runs, ('system',), (_NOTE,))


def losses(arg, title: str) -> dict:
    """pix2pix by each loss alone and by their sums, and from each condition."""
    runs = [
        {'name': name.replace('+', '_'), 'options': f'losses={name}', 'published': {}}
        for name in LOSSES
    ]
    runs += [  # labels are in other areas than edges and colours
        {'name': f'condition_{name}', 'options': f'condition={name},keep=', 'published': {}}
        for name in ('labels', 'both', 'none')
    ]
    notes = (
        'The report compares the losses in words alone. l1 and l2 have the weight 100, adversarial '
        'the weight 1. Rows named condition are adversarial+l1 and use all areas: from decoded '
        'labels, from them and the picture of the cortex, and from noise alone; the others are '
        'from the picture.',
    )
    return sweep(arg, title, runs, ('system', 'losses', 'condition'), notes)


def areas(arg, title: str, visual: str) -> dict:
    """Both nets, with all voxels and with those of `visual` ('V1+V2') alone."""
    runs = [
        {
            'name': system + label,
            'options': f'system={system},keep={keep}',
            'published': {},
        }
        for system in SYSTEMS[1:]
        for label, keep in (('', ''), ('_areas', visual))
    ]
    notes = (f'Rows named areas show the voxels of {visual} alone, the others blank.',)
    return sweep(arg, title, runs, ('system', 'keep'), notes)
