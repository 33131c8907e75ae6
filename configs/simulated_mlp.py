r"""A residual MLP from a simulated brain to latents of a small autoencoder, and pictures from them.

Data: the simulated brain (docs/datasets/simulated.md), 3,000 training trials.
Method: z-score by session, an MLP (decoders/mlp.py) with the seed's layers, narrower, trained by L1
on the latents of the tiny autoencoder (docs/models.md); its decoder makes the picture.

Run:    python launch/main.py --config=configs/simulated_mlp.py
Smoke:  python launch/main.py --config=configs/simulated_mlp.py:smoke
Expect: row simulated_mlp of docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options: head (direct, upsampler), loss (l1, mse), width, epochs, subject, smoke."""
    options = common.parse_arg(
        arg, head='direct', loss='l1', width=512, epochs=30, subject=1, smoke=False
    )
    cfg = common.experiment(
        seed=0,
        dataset=dict(name='simulated', subject=options.subject, n_train=3_000, voxels=4_000),
        preprocess=dict(
            order=('normalise', 'repeats'),
            normalise=dict(by='session'),
            repeats=dict(train='keep', test='mean'),
        ),
        targets=dict(vae=dict(net='tiny/vae', layer='latents')),
        decoder=dict(
            name='mlp',
            **dict(head=options.head, loss=options.loss, width=options.width),
            **dict(levels=(32, 64), seed_channels=32, norm_groups=8),  # of head=upsampler
            **dict(blocks=2, epochs=options.epochs, save_epochs=5, batch=32, learning_rate=1e-3),
            validation=0.1,
        ),
        generator=dict(chain=('vae',), size=(64, 64)),
        metrics=(*common.PIXEL_METRICS, 'two_way_tiny_alexnet5', 'two_way_tiny_clip'),
        baselines=('mean_image', 'mean_latent', *common.CONTROLS),
    )
    if options.smoke:
        cfg = common.smoke(cfg)
        cfg.dataset.size = 64
        cfg.decoder.update(width=64, epochs=6, save_epochs=3)
        cfg.areas, cfg.learning_curve = (), ()
    return cfg
