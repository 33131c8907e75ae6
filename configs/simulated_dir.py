r"""Deep image reconstruction on a simulated brain: layers of the embedded AlexNet are decoded.

Data: the simulated brain (docs/datasets/simulated.md), pictures of 64 pixels a side, three
presentations of each test picture averaged.
Method: z-score by session; ridge regression to all convolutions and linear layers of tiny/alexnet
before their ReLU; generators/optimise.py then changes latents of the embedded autoencoder
(`over=latents`, a prior of pictures like these) or pixels (`over=pixels`, no prior but smoothness)
until the net sees in the picture what was decoded. As in shen2019_dir.
Scores: no metric here looks through the net that is matched.

Run:    python launch/main.py --config=configs/simulated_dir.py
Small:  python launch/main.py --config=configs/simulated_dir.py:small
Pixels: python launch/main.py --config=configs/simulated_dir.py:small,over=pixels
Smoke:  python launch/main.py --config=configs/simulated_dir.py:smoke
Expect: row simulated_dir of docs/results.md
"""

from configs import common, shen2019_dir

LAYERS = (
    *('features.0', 'features.3', 'features.6', 'features.8', 'features.10'),
    *('classifier.1', 'classifier.4', 'classifier.6'),
)


def get_config(arg=None):
    """Options: over (latents, pixels), layers, iterations (0: the usual), subject, small, smoke."""
    options = common.parse_arg(
        arg,
        **dict(over='latents', layers=LAYERS, iterations=0, subject=1, small=False, smoke=False),
        **dict(net='tiny', vision='tiny/alexnet', size=64, batch=25),
    )
    if options.smoke:
        options.layers = shen2019_dir.TINY
    if options.smoke or options.small:
        options.iterations = options.iterations or (5 if options.smoke else 60)
    cfg = common.experiment(
        seed=0,
        dataset=dict(name='simulated', subject=options.subject, n_train=1_500, voxels=4_000),
        preprocess=dict(
            order=('normalise', 'repeats'),
            normalise=dict(by='session'),
            repeats=dict(train='keep', test='mean'),
        ),
        decoder=dict(name='ridge', penalties=shen2019_dir.PENALTIES, cv='loo'),
        metrics=(*shen2019_dir.METRICS, 'two_way_tiny_clip'),
        baselines=('mean_image', 'mean_latent', *common.CONTROLS),
        **shen2019_dir.parts(options),
    )
    if options.small:
        cfg.dataset.n_train, cfg.draws, cfg.permutations = 750, 2_000, 200
    if options.smoke:
        cfg = common.smoke(cfg)
        cfg.dataset.size, cfg.areas, cfg.learning_curve = 64, (), ()
    return cfg
