"""What configs share: options behind the ':', and the metrics and controls that most ask for."""

import ml_collections

PIXEL_METRICS = ('pixcorr', 'ssim', 'mse', 'two_way_pixel')
# After the mean of what is to be decoded: the nearest training picture, and a broken brain.
CONTROLS = ('nearest_training', 'shuffled_rows', 'shuffled_voxels', 'zero_voxels')
_USUAL = ('usual',)  # areas of the config, those that the recording has
STATISTICS_METRICS = (
    *('two_way_image_statistics', 'corrdist_image_statistics', 'cosine_image_statistics'),
    *('mse', 'mae'),
)
BINARY_METRICS = ('binary_accuracy', 'binary_precision', 'binary_recall', 'binary_f1', 'pixcorr')


def parse_arg(arg: str | None, **defaults) -> ml_collections.ConfigDict:
    """'smoke,subject=2,rois=V1,V2' -> options, each of its default's type.

    An option whose default is a tuple takes a list of names: 'V1', then 'V2' above.

    Raises:
      ValueError: an option that `defaults` does not have, or a value of another type.
    """
    options = ml_collections.ConfigDict(defaults)
    key = None
    for part in (arg or '').split(','):
        if not part:
            continue
        if '=' not in part and part not in defaults and isinstance(defaults.get(key), tuple):
            options[key] = (*options[key], part)  # one more of a list
            continue
        key, given, text = part.partition('=')
        if key not in defaults:
            known = ', '.join(sorted(defaults))
            hint = 'what holds a comma goes through --config.key=value'
            raise ValueError(f'option {key!r}; {hint}; options that exist: {known}')
        kind = type(defaults[key])
        try:
            options[key] = _convert(text, kind) if given else _bare(kind)
        except (ValueError, TypeError, KeyError):
            raise ValueError(f'option {key}={text!r}, wanted a {kind.__name__}') from None
    return options


def _bare(kind):
    if kind is not bool:
        raise TypeError('needs a value')
    return True


def _convert(text: str, kind):
    if kind is bool:
        return {'true': True, '1': True, 'false': False, '0': False}[text.lower()]
    if kind is tuple:
        return (text,) if text else ()
    return kind(text)


def experiment(**blocks) -> ml_collections.ConfigDict:
    """A ConfigDict of nested dictionaries, in the order of the flow."""
    return ml_collections.ConfigDict(blocks)


def digits69(arg: str | None, decoder: dict, **more) -> ml_collections.ConfigDict:
    """Digits of van Gerven et al. 2010 to pixels, as the files digits69_*.py name the decoder.

    Options: path (the .mat file), smoke (simulated files in its layout).
    """
    options = parse_arg(arg, path='data/digits69', smoke=False)
    cfg = experiment(
        seed=0,
        dataset=dict(name='digits69', path=options.path),
        preprocess=dict(order=('normalise',), normalise=dict(by='all')),
        targets=dict(pixels=dict(net='image', layer='pixels')),
        decoder=decoder,
        metrics=('pixcorr', 'ssim', 'ssim_uniform7', 'mse', 'two_way_pixel'),
        score_train=True,
        **more,
    )
    return smoke(cfg, 'digits69') if options.smoke else cfg


def miyawaki2008(arg: str | None, base: dict, k: int = 500) -> ml_collections.ConfigDict:
    """Miyawaki et al. 2008 with one kind of local decoder, as the files miyawaki2008_*.py name it.

    Options: path, rois ('V1+V2'; '' is the whole mask), rows (volumes or blocks), scales (the n of
    1x1, 1xn, nx1, nxn; 1 is 1x1 alone), combine (equal, nnls, sgd), k (voxels for each local
    decoder by F score; 0 is all of them), smoke.
    """
    options = parse_arg(
        arg,
        **dict(path='data/miyawaki2008', rois='', rows='volumes', scales=2, combine='nnls', k=k),
        smoke=False,
    )
    n = options.scales
    cfg = experiment(
        seed=0,
        dataset=dict(name='miyawaki2008', path=options.path, rows=options.rows),
        preprocess=dict(
            order=('rois', 'normalise') if options.rois else ('normalise',),
            normalise=dict(by='all'),
        ),
        targets=dict(pixels=dict(net='image', layer='pixels')),
        decoder=dict(
            name='miyawaki',
            scales=((1, 1),) if n == 1 else ((1, 1), (1, n), (n, 1), (n, n)),
            base=base,
            select=dict(by='f' if options.k else 'none', k=options.k or 1),
            combine=dict(how=options.combine, per='scale'),
        ),
        metrics=BINARY_METRICS,
        score_rows=options.rows == 'volumes',
        areas=() if options.rois else ('V1+V2', 'V1', 'V2', 'V3'),
    )
    if options.rois:
        cfg.preprocess.rois = dict(keep=tuple(options.rois.split('+')))
    return smoke(cfg, 'miyawaki2008') if options.smoke else cfg


def linear(arg: str | None, dataset: dict, preprocess: dict, areas=(), split='own'):
    """Ridge regression from voxels to small pictures or to image statistics.

    Options: path, target (pixels or image_statistics), size (pixels on a side of the
    decoded pictures), keep (areas whose voxels are used, 'V1+V2'; '' is all that were read), rois
    (areas that are each decoded alone too, 'rois=V1,V2'; 'rois=' for none), split (own, fraction,
    session, file), test (the fraction), test_sessions, ids_file (of split=session and split=file),
    smoke; and the reader's options that the config names. What holds a comma goes through
    `--config.dataset.path=`.

    Args:
      arg: what followed the ':'.
      dataset: name and options of the reader; each can be set after the ':'.
      preprocess: as in a config.
      areas: decoded alone unless `rois` says otherwise.
      split: default of the option.
    """
    given = {key: value for key, value in dataset.items() if key != 'name'}
    chosen = parse_arg(
        arg,
        **dict(path=f'data/{dataset["name"]}', target='pixels', size=64, keep='', rois=_USUAL),
        **dict(split=split, test=0.2, test_sessions=(), ids_file='', smoke=False),
        **given,
    )
    if chosen.target not in ('pixels', 'image_statistics'):
        raise ValueError(f'option target={chosen.target!r}, wanted pixels or image_statistics')
    pixels, usual = chosen.target == 'pixels', tuple(chosen.rois) == _USUAL
    dataset = dict(dataset, path=chosen.path) | {name: chosen[name] for name in given}
    dataset['split'] = dict(by=chosen.split, test=chosen.test, file=chosen.ids_file)
    dataset['split']['sessions'] = tuple(int(s) for s in chosen.test_sessions)
    if chosen.keep:
        preprocess = preprocess | dict(rois=dict(keep=tuple(chosen.keep.split('+'))))
        preprocess['order'] = ('rois', *preprocess['order'])
    target = dict(net='image', layer=chosen.target, size=(chosen.size, chosen.size))
    cfg = experiment(
        seed=0,
        dataset=dataset,
        preprocess=preprocess,
        targets={chosen.target: target if pixels else dict(target, standardise=True)},
        decoder=dict(
            name='ridge',
            penalties=tuple(10 ** (i / 2) for i in range(17)),  # 1 ... 1e8
            cv='loo',
        ),
        metrics=PIXEL_METRICS if pixels else STATISTICS_METRICS,
        baselines=('mean_image' if pixels else 'mean_latent', *CONTROLS),
        areas=(() if chosen.keep else areas) if usual else tuple(chosen.rois),
        areas_missing='skip' if usual else 'refuse',
    )
    return smoke(cfg, dataset['name']) if chosen.smoke else cfg


def latents(arg: str | None, dataset: dict, preprocess: dict) -> ml_collections.ConfigDict:
    """A residual MLP from voxels to an autoencoder's latents, and the pictures that these give.

    Options: path, net (the autoencoder, of docs/models.md or a folder), size (pixels on a side of
    the pictures that it is shown), zoo (where weights lie), keep (areas whose voxels are used,
    'V1+V2'; '' is all that were read), head (upsampler, direct), loss (l1, mse), width, batch,
    epochs, smoke; and the reader's options that the config names.

    Args:
      arg: what followed the ':'.
      dataset: name and options of the reader; each can be set after the ':'.
      preprocess: as in a config.
    """
    given = {key: value for key, value in dataset.items() if key != 'name'}
    chosen = parse_arg(
        arg,
        **dict(path=f'data/{dataset["name"]}', net='sd15/vae', size=512, zoo='', keep=''),
        **dict(head='upsampler', loss='l1', width=2048, batch=16, epochs=200, smoke=False),
        **given,
    )
    if chosen.keep:
        preprocess = preprocess | dict(rois=dict(keep=tuple(chosen.keep.split('+'))))
        preprocess['order'] = ('rois', *preprocess['order'])
    size = (chosen.size, chosen.size)
    decoder = {key: chosen[key] for key in ('head', 'loss', 'width', 'batch', 'epochs')}
    cfg = experiment(
        seed=0,
        dataset=dict(dataset, path=chosen.path) | {name: chosen[name] for name in given},
        preprocess=preprocess,
        targets=dict(vae=dict(net=chosen.net, layer='latents', size=size)),
        zoo=dict(path=chosen.zoo),
        decoder=dict(name='mlp', **decoder),
        generator=dict(chain=('vae',), size=size, vae=dict(net=chosen.net)),
        metrics=PIXEL_METRICS,
        baselines=('mean_image', 'mean_latent', *CONTROLS),
    )
    if not chosen.smoke:
        return cfg
    cfg.targets.vae.update(net='tiny/vae', size=(64, 64))
    cfg.generator.update(size=(64, 64), vae=dict(net='tiny/vae'))
    cfg.decoder.update(width=64, blocks=1, levels=(16, 32), norm_groups=8, epochs=20)
    return smoke(cfg, dataset['name'])


def smoke(cfg: ml_collections.ConfigDict, layout: str = '') -> ml_collections.ConfigDict:
    """The same experiment in seconds: few draws, less data.

    Args:
      cfg: the whole experiment.
      layout: the data set whose simulated files are written into the work folder and read from
        there; '' for the simulated brain, which is made smaller instead.
    """
    cfg.layout = layout
    cfg.draws, cfg.permutations = 500, 50
    if not layout:
        cfg.dataset.update(n_train=120, n_test=20, voxels=600, size=32)
        cfg.areas, cfg.learning_curve = ('V1', 'LO'), (0.5, 1.0)
    return cfg


def divide(arg: str | None, names: tuple) -> tuple[str, str]:
    """'a=1,b=2,c' -> the options of `names` and the others, each as text for `parse_arg`.

    A word without '=' that is no switch (smoke, small) belongs to the option before it.
    """
    parts, own = ([], []), False
    for part in (arg or '').split(','):
        if '=' in part or part in ('smoke', 'small'):
            own = part.partition('=')[0] in names
        if part:
            parts[0 if own else 1].append(part)
    return ','.join(parts[0]), ','.join(parts[1])
