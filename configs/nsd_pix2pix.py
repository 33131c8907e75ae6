r"""pix2pix from a picture of a subject's cortex to the photograph: the first seed report's system.

Data: the Natural Scenes Dataset (docs/datasets/nsd.md), betas b3 on fsaverage in nsdgeneral; the
shared images test, averaged over their trials.
Method: z-score by session, repeats averaged; responses as a picture, min-max over all training
rows; U-Net (54,425,859 parameters at 256 pixels with three channels in; here there are two, the
hemispheres) against 70 x 70 patches (2,770,433), jitter 288 to 256 and mirror on the pair,
adversarial loss + 100 L1, Adam 2e-4 with beta 0.5, batch 1. The report's voxels are "not flatten";
its notebook is lost. Here they lie on the flat map, or with `picture=square` in their order, as its
other net has them (a side of 145 holds the 19,004 and 20,544 vertices of configs/seed000_table1.py;
0 is what fits). The photographs of 9,000 trained images at 256 pixels take 7 GB of memory.

Run:    python launch/main.py --config=configs/nsd_pix2pix.py:path=DIR,subject=1
Table:  python launch/sweep.py --config=configs/nsd_pix2pix.py:path=DIR
Small:  python launch/main.py --config=configs/nsd_pix2pix.py:small   (simulated files)
Smoke:  python launch/main.py --config=configs/nsd_pix2pix.py:smoke
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
    )


def get_sweep(arg=None):
    """Each loss, their sums, each condition; `arg` (path=..., small) goes to each."""
    return _pictures.losses(arg, 'pix2pix on NSD: losses and conditions')
