r"""Shen et al. 2019 end to end: from voxels to pictures by one net trained against a discriminator.

Data: Deep Image Reconstruction (docs/datasets/shen2019.md), single trials of 1,200 images train, 50
test, averaged over their 24 trials; shapes, letters and imagery are further test sets where they
are.
Method: z-score over the training rows; the published generator, discriminator and losses
(decoders/shen_gan.py) at 227 x 227 pixels; means of test trials times sqrt(24), as published.
`weights=published` are those of the released code, `weights=seed` those of the course report, whose
tables shen2019_gan_losses, _areas, _comparators and _weights make. The paper compares pictures by
CaffeNet; of AlexNets we have torchvision's, as the report. 500,000 steps are for an accelerator.

Run:    python launch/main.py --config=configs/shen2019_gan.py:path=DIR,subject=1,zoo=DIR
Smoke:  python launch/main.py --config=configs/shen2019_gan.py:smoke
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import common

PATH = 'data/shen2019'
METRICS = (
    *('pixcorr', 'ssim', 'cosine_luminance', 'cosine_colour'),
    *('two_way_pixel', 'two_way_luminance', 'two_way_colour', 'mse'),
)
WEIGHTS = {  # of the image, feature and adversarial loss; what white is in the image loss
    'published': ((2e-6, 0.01, 100.0), 255.0),
    'seed': ((100.0, 100.0, 10000.0), 1.0),
}
LOSSES = ('image', 'feature', 'adversarial')

# Table II of the course report: correlation and SSIM on the test images, and on training images.
PUBLISHED = {
    'noise input': ('.09', '.18'),
    'published weights': ('.26', '.25'),
    'all losses': ('.27', '.30'),
    'without feature loss': ('.193', '.215'),
    'without adversarial loss': ('.202', '.208'),
    'without image loss': ('-.04', '.04'),
    'VC': ('.27', '.30'),
    'V1+V2': ('.27', '.24'),
    'HVC': ('.10', '.20'),
    'FFA': ('.11', '.20'),
    'PPA': ('.10', '.20'),
    'alexnet': ('.27', '.30'),
    'seed': ('.27', '.30'),
    'published': ('.26', '.25'),
}
TRAINING = ('.96', '.75')  # of the report's best model: all areas, all losses, AlexNet
TRIPLES = (
    *('published', 'seed', '100:10:10000', '100:1000:10000', '100:100:1000', '100:100:100000'),
    *('10:100:10000', '1000:100:10000'),
)
OWN = {  # what each table sets, so that no option of the sweep may
    'losses': ('weights', 'without', 'noise'),
    'areas': ('rois',),
    'comparators': ('comparator', 'layer'),
    'weights': ('weights', 'validation'),
}
TITLES = {
    'losses': 'without each loss, and from noise',
    'areas': 'areas of the visual cortex',
    'comparators': 'nets that compare pictures',
    'weights': 'weights of the three losses',
}
LOSS_RUNS = {
    'all losses': 'weights=seed',
    'without image loss': 'weights=seed,without=image',
    'without feature loss': 'weights=seed,without=feature',
    'without adversarial loss': 'weights=seed,without=adversarial',
    'published weights': 'weights=published',
    'noise input': 'weights=seed,noise',
}
AREAS = {'VC': ''} | {area: f'rois={area}' for area in ('V1+V2', 'HVC', 'FFA', 'PPA')}
NETS = {net: f'comparator={net}' for net in ('alexnet', 'vgg16', 'vgg19', 'tiny/alexnet')}
# A small run has the embedded net alone: what it compares by is then one of its pooling layers.
LAYERS = {
    f'tiny/alexnet {layer}': f'layer={layer}'
    for layer in ('features.2', 'features.5', 'features.12')
}
NOTES = (
    "Published: Table II of the course report, on the recorded data, with the report's weights "
    '(100, 100, 10000 for pixels in [0, 1]). Measured: the data named in the row. The two are '
    'comparable only on the same data.',
    'Colour and shape are scored apart: luminance is blind to hue, colour to brightness.',
)
ROWS = (
    'Row noise input: its voxels are replaced by noise, in training and after. Row published '
    'weights: those of the released code; the report\'s "their" stands beside it, of which it is '
    'not clear whether it means the weights or the model.',
)
CHOICE = (
    'Chosen by the correlation with a tenth of the training images, which no run was trained on; '
    'the test images have no part in it. The report does not say on what it chose.',
)


def get_config(arg=None):
    """Options of a run.

    path, subject, zoo (where weights lie); weights (published, seed, or three numbers as
    100:100:10000 for pixels in [0, 1]), without (image, feature or adversarial: that loss), noise
    (the baseline that never sees a voxel), comparator (a net of docs/models.md), layer (of it),
    rois (areas whose voxels are used, V1+V2; all that were read otherwise), size (pixels on a
    side), steps, batch, validation (share of the training images put aside to watch); small (a
    net of minutes; without a path on simulated files), smoke.
    """
    options = common.parse_arg(
        arg,
        **dict(path=PATH, subject=1, zoo='', weights='published', without='', noise=False),
        **dict(comparator='alexnet', layer='', rois='', size=227, steps=500_000, batch=64),
        **dict(validation=0.0, small=False, smoke=False),
    )
    order = ('rois', 'normalise', 'repeats') if options.rois else ('normalise', 'repeats')
    cfg = common.experiment(
        seed=0,
        dataset=dict(name='shen2019', path=options.path, subject=options.subject),
        preprocess=dict(
            order=order, normalise=dict(by='all'), repeats=dict(train='keep', test='mean')
        ),
        targets=dict(pixels=dict(net='image', layer='pixels', size=(options.size, options.size))),
        zoo=dict(path=options.zoo),
        decoder=dict(
            name='shen_gan',
            **losses(options),
            # The variance of a mean of 24 trials becomes that of one; noise has that already.
            gain=1.0 if options.noise else 24**0.5,
            shift=10 / 227,
            **dict(steps=options.steps, batch=options.batch, validation=options.validation),
        ),
        metrics=METRICS,
        baselines=('mean_image', 'nearest_training', 'shuffled_voxels', 'zero_voxels'),
        score_train=True,
    )
    if options.rois:
        cfg.preprocess.rois = dict(keep=tuple(options.rois.split('+')))
    return _smaller(cfg, options) if options.small or options.smoke else cfg


def losses(options) -> dict:
    """What a config's options say of the losses, as the decoder's options."""
    triple, white = WEIGHTS.get(options.weights) or (_triple(options.weights), 1.0)
    if options.without:
        if options.without not in LOSSES:
            raise ValueError(f'option without={options.without!r}; losses: {", ".join(LOSSES)}')
        pairs = zip(LOSSES, triple, strict=True)
        triple = tuple(0.0 if name == options.without else weight for name, weight in pairs)
    return dict(
        weights=triple,
        pixel_range=white,
        comparator=options.comparator,
        layer=options.layer,
        noise_input=options.noise,
    )


def _triple(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(':'))
    except ValueError:
        found = ()
    if len(found) != 3:
        known = ', '.join(WEIGHTS)
        raise ValueError(f'option weights={text!r}; {known}, or three numbers as 100:100:10000')
    return found


def _smaller(cfg, options):
    """The same in minutes, or seconds: 64 pixels, narrow nets, the embedded comparator."""
    cfg.targets.pixels.size = (64, 64)
    cfg.decoder.update(hidden=256, width=8, discriminator_width=8, batch=32)
    cfg.decoder.update(steps=min(options.steps, 1_500), save_every=250, log_every=50)
    cfg.decoder.learning_rate = 5e-4
    if '/' not in options.comparator:  # a released net: its own folder may be named
        cfg.decoder.comparator = 'tiny/alexnet'
    cfg.draws, cfg.permutations = 2_000, 200
    if options.smoke:
        cfg.decoder.update(hidden=32, width=2, discriminator_width=4, steps=20, batch=16)
        cfg.decoder.log_every = 5
        cfg = common.smoke(cfg, 'shen2019')
    cfg.layout = 'shen2019' if options.path == PATH else ''
    if cfg.layout:
        cfg.decoder.gain = 1.0 if options.noise else 2.0  # those files have 4 trials a test image
    return cfg


def sweep(table: str, arg: str | None, areas=None) -> dict:
    """The runs of one of the tables of OWN.

    Args:
      table: which.
      arg: options that go to every run.
      areas: {name: options} of a simulated brain; then nothing published stands beside ours.
    """
    parts = (arg or '').split(',')
    for part in parts:
        if part.partition('=')[0] in OWN[table]:
            raise ValueError(f'option {part!r}, which the sweep itself sets')
    given = [] if 'weights' in OWN[table] or 'weights=' in (arg or '') else ['weights=seed']
    also = ','.join([*given, *filter(None, [arg])])
    small = bool(areas) or bool({'small', 'smoke'} & set(parts))
    chosen = {
        'losses': LOSS_RUNS,
        'areas': areas or AREAS,
        'comparators': LAYERS if small else NETS,
        'weights': {triple: f'weights={triple},validation=0.1' for triple in TRIPLES},
    }[table]
    runs = []
    for name, options in chosen.items():
        figures = None if areas else PUBLISHED.get(name)
        best = figures == PUBLISHED['all losses']
        runs.append(
            {
                'name': name.replace(' ', '_').replace('/', '-').replace(':', '_'),
                'label': name,
                'options': ','.join(filter(None, [options, also])),
                'published': _named(figures),
                'published_train': _named(TRAINING if best else None),
            }
        )
    return {
        'title': f'{"Simulated brain" if areas else "Shen 2019"} end to end: {TITLES[table]}',
        'metrics': METRICS,
        'runs': runs,
        'pictures': 6,
        'choose': 'correlation on validation' if table == 'weights' else '',
        'notes': (NOTES[1:] if areas else NOTES)
        + {'losses': ROWS, 'weights': CHOICE}.get(table, ()),
    }


def _named(figures) -> dict:
    return dict(zip(('pixcorr', 'ssim'), figures, strict=True)) if figures else {}
