r"""Ridge regression from a simulated brain to the pixels of colour scenes.

Data: the simulated brain (docs/datasets/simulated.md), 750 training scenes shown once, 100 test
scenes shown three times, 4,000 voxels of which a third carries nothing.
Method: z-score by session, one penalty for all pixels by leave-one-out, test repeats averaged.

Run:    python launch/main.py --config=configs/simulated_ridge.py
Smoke:  python launch/main.py --config=configs/simulated_ridge.py:smoke
Expect: row simulated_ridge of docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options: subject, smoke (fewer scenes and voxels)."""
    options = common.parse_arg(arg, subject=1, smoke=False)
    cfg = common.experiment(
        seed=0,
        dataset=dict(name='simulated', subject=options.subject, n_train=750, voxels=4_000),
        preprocess=dict(
            order=('normalise', 'repeats'),
            normalise=dict(by='session'),
            repeats=dict(train='keep', test='mean'),
        ),
        targets=dict(pixels=dict(net='image', layer='pixels')),
        decoder=dict(
            name='ridge',
            penalties=tuple(10 ** (i / 2) for i in range(4, 15)),  # 1e2 ... 1e7
            cv='loo',
        ),
        metrics=common.PIXEL_METRICS,
        areas=('V1', 'V2', 'V3', 'hV4', 'V1+V2+V3', 'LO', 'FFA+OFA', 'EBA+FBA', 'PPA+OPA+RSC'),
        learning_curve=(0.1, 0.25, 0.5, 1.0),
        score_train=True,
    )
    return common.smoke(cfg) if options.smoke else cfg
