r"""The first run: a simulated brain looks at colour scenes, ridge regression says what it saw.

Data: the simulated brain (docs/datasets/simulated.md): 750 training scenes, 100 test scenes shown
three times. Nothing is downloaded.
Method: z-score by session, ridge to pixels, one penalty by leave-one-out, test repeats averaged.

Run:    python launch/main.py --config=configs/quickstart.py
Smoke:  python launch/main.py --config=configs/quickstart.py:smoke
Expect: row quickstart of docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options: smoke (fewer scenes and voxels)."""
    options = common.parse_arg(arg, smoke=False)
    cfg = common.experiment(
        seed=0,
        dataset=dict(name='simulated', n_train=750, n_test=100, repeats_test=3, voxels=4_000),
        preprocess=dict(
            order=('normalise', 'repeats'),
            normalise=dict(by='session'),
            repeats=dict(train='keep', test='mean'),
        ),
        targets=dict(pixels=dict(net='image', layer='pixels')),
        decoder=dict(name='ridge', penalties=tuple(10 ** (i / 2) for i in range(4, 15)), cv='loo'),
        metrics=common.PIXEL_METRICS,
        areas=('V1', 'V2', 'V3', 'hV4', 'LO', 'FFA+OFA', 'PPA+OPA+RSC'),
        learning_curve=(0.1, 0.25, 0.5, 1.0),
    )
    return common.smoke(cfg) if options.smoke else cfg
