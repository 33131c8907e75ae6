r"""Ridge regression from a simulated brain to what a small pretrained net sees in the picture.

Data: the simulated brain (docs/datasets/simulated.md), as in simulated_ridge.
Method: z-score by session, one penalty for all values by leave-one-out, test repeats averaged; the
target is a layer of a net of the tiny zoo (docs/models.md), standardised over the training images.

Run:    python launch/main.py --config=configs/simulated_features.py
Other:  python launch/main.py --config=configs/simulated_features.py:net=tiny/vae,layer=latents
Smoke:  python launch/main.py --config=configs/simulated_features.py:smoke
Expect: rows simulated_features of docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options: net (of docs/models.md, or a folder), layer, subject, smoke."""
    options = common.parse_arg(arg, net='tiny/clip', layer='image_embeds', subject=1, smoke=False)
    name = options.net.rpartition('/')[2]
    cfg = common.experiment(
        seed=0,
        dataset=dict(name='simulated', subject=options.subject, n_train=750, voxels=4_000),
        preprocess=dict(
            order=('normalise', 'repeats'),
            normalise=dict(by='session'),
            repeats=dict(train='keep', test='mean'),
        ),
        targets={name: dict(net=options.net, layer=options.layer, standardise=True)},
        decoder=dict(
            name='ridge',
            penalties=tuple(10 ** (i / 2) for i in range(4, 15)),  # 1e2 ... 1e7
            cv='loo',
        ),
        metrics=(f'two_way_{name}', f'corrdist_{name}', f'cosine_{name}', 'mse'),
        baselines=('mean_latent', 'shuffled_rows', 'shuffled_voxels', 'zero_voxels'),
        areas=('V1', 'V2', 'V3', 'hV4', 'V1+V2+V3', 'LO', 'FFA+OFA', 'EBA+FBA', 'PPA+OPA+RSC'),
    )
    return common.smoke(cfg) if options.smoke else cfg
