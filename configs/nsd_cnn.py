r"""Encoder-decoders from one subject of NSD straight to pixels, the baselines of pix2pix.

Data: the Natural Scenes Dataset (docs/datasets/nsd.md), betas b3 on fsaverage in nsdgeneral; the
shared images test, averaged over their trials.
Method: z-score by session, repeats averaged; decoders/cnn2d.py on the voxels in a square, in their
order, as the first seed report's code has them, or `system=cnn1d`: decoders/cnn1d.py along the
voxels of both hemispheres; mean squared error of 64 x 64 pixels (the seed's loss and optimizer:
`--config.decoder.loss=bce --config.decoder.optimizer=sgd --config.decoder.learning_rate=1e-4`).

Run:    python launch/main.py --config=configs/nsd_cnn.py:path=DIR,subject=1
Areas:  python launch/sweep.py --config=configs/nsd_cnn.py:path=DIR
Small:  python launch/main.py --config=configs/nsd_cnn.py:small   (simulated files)
Smoke:  python launch/main.py --config=configs/nsd_cnn.py:smoke
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import _pictures


def get_config(arg=None):
    """Options of _pictures.experiment, and of the reader: space, betas, voxels, sessions."""
    return _pictures.experiment(
        arg,
        dict(
            **dict(name='nsd', path='data/nsd', subject=1, space='fsaverage', betas='b3'),
            **dict(voxels='nsdgeneral', sessions=0),
            **dict(annotations=False, images_size=0),
        ),
        dict(
            order=('normalise', 'repeats'),
            normalise=dict(by='session'),
            repeats=dict(train='mean', test='mean'),
        ),
        **dict(system='cnn2d', picture='square', size=64),
    )


def get_sweep(arg=None):
    """Both nets, all voxels and the report's areas alone; `arg` (path=..., small) goes to each.

    The report's areas are V1 to V3 and hV4; on fsaverage NSD has those of an atlas, together LVC.
    """
    return _pictures.areas(arg, 'Encoder-decoders on NSD', 'LVC')
