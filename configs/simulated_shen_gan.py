r"""Shen et al. 2019 end to end on a simulated brain: a small generator, trained against losses.

Data: the simulated brain (docs/datasets/simulated.md), pictures of 64 pixels a side, three
presentations of each test picture averaged.
Method: z-score by session; the generator, the discriminator and the losses of decoders/shen_gan.py,
narrower; the comparator is the embedded small AlexNet. Options as in shen2019_gan.
Tables (a sweep): losses, areas, comparators (layers of that net), weights.

Measured (:small, 1,500 training pictures, 100 test pictures): pixel correlation .313 [.267, .359],
mean training image .095, shuffled brain .012; two-way identification 77.6 %, of shape alone 71.1 %,
of colour alone 70.8 %; on training pictures .593 and 98.1 %. Structural similarity is .272, below
the mean training image's .395, which is smooth; and the nearest training picture does as well by
correlation (.338). The full run and the tables were not measured.

Run:    python launch/main.py --config=configs/simulated_shen_gan.py
Small:  python launch/main.py --config=configs/simulated_shen_gan.py:small
Tables: python launch/sweep.py --config=configs/simulated_shen_gan.py:small,table=areas
Smoke:  python launch/main.py --config=configs/simulated_shen_gan.py:smoke
Expect: row simulated_shen_gan of docs/results.md
"""

from configs import common, shen2019_gan

HIGHER = 'LO+FFA+OFA+EBA+FBA+VWFA+PPA+OPA+RSC'
AREAS = {'VC': ''} | {
    name: f'rois={areas}'
    for name, areas in (('V1+V2', 'V1+V2'), ('HVC', HIGHER), ('FFA', 'FFA'), ('PPA', 'PPA'))
}


def get_config(arg=None):
    """Options: weights, without, noise, layer, rois, steps, validation, subject, small, smoke."""
    options = common.parse_arg(
        arg,
        **dict(weights='seed', without='', noise=False, comparator='tiny/alexnet', layer=''),
        **dict(rois='', steps=6_000, validation=0.0, subject=1, small=False, smoke=False),
    )
    order = ('rois', 'normalise', 'repeats') if options.rois else ('normalise', 'repeats')
    cfg = common.experiment(
        seed=0,
        dataset=dict(name='simulated', subject=options.subject, n_train=3_000, voxels=4_000),
        preprocess=dict(
            order=order, normalise=dict(by='session'), repeats=dict(train='keep', test='mean')
        ),
        targets=dict(pixels=dict(net='image', layer='pixels')),
        decoder=dict(
            name='shen_gan',
            **shen2019_gan.losses(options),
            **dict(hidden=256, width=8, discriminator_width=8, learning_rate=5e-4),
            **dict(steps=options.steps, batch=32, validation=options.validation),
        ),
        metrics=shen2019_gan.METRICS,
        baselines=(
            *('mean_image', 'nearest_training', 'shuffled_rows', 'shuffled_voxels'),
            'zero_voxels',
        ),
        score_train=True,
    )
    if options.rois:
        cfg.preprocess.rois = dict(keep=tuple(options.rois.split('+')))
    if options.small:
        cfg.dataset.n_train, cfg.draws, cfg.permutations = 1_500, 2_000, 200
        cfg.decoder.update(steps=min(options.steps, 1_500), save_every=250, log_every=50)
        cfg.baselines = ('mean_image', 'nearest_training', 'shuffled_voxels', 'zero_voxels')
    if options.smoke:
        cfg = common.smoke(cfg)
        cfg.dataset.size, cfg.areas, cfg.learning_curve = 64, (), ()
        cfg.decoder.update(hidden=32, width=2, discriminator_width=4, steps=20, batch=16)
        cfg.decoder.log_every = 5
    return cfg


def get_sweep(arg=None):
    """The runs of `table=losses`, `areas`, `comparators` or `weights`; the rest goes to each."""
    parts = [part for part in (arg or '').split(',') if part]
    tables = [part.partition('=')[2] for part in parts if part.startswith('table=')] or ['losses']
    if tables[-1] not in shen2019_gan.TITLES:
        known = ', '.join(shen2019_gan.TITLES)
        raise ValueError(f'option table={tables[-1]!r}; tables that exist: {known}')
    others = ','.join(part for part in parts if not part.startswith('table='))
    return shen2019_gan.sweep(tables[-1], others, AREAS)
