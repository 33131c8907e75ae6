r"""Ridge regression from one subject of NSD to small pictures, or to image statistics.

Data: the Natural Scenes Dataset (docs/datasets/nsd.md), betas b3 at 1.8 mm in nsdgeneral; the
shared images test, averaged over their trials; the others train.
Method: z-score by session from its training trials, repeats averaged, one penalty for all values by
leave-one-out. A floor for what follows, and a check that a folder is read as it should be.

Run:    python launch/main.py --config=configs/nsd_ridge.py:path=DIR,subject=1
Smoke:  python launch/main.py --config=configs/nsd_ridge.py:smoke
Areas:  python launch/main.py --config=configs/nsd_ridge.py:path=DIR,rois=V1,V2,V3,hV4
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options of common.linear, and of the reader: space, betas, voxels, sessions."""
    return common.linear(
        arg,
        dataset=dict(
            **dict(name='nsd', subject=1, space='func1pt8mm', betas='b3', voxels='nsdgeneral'),
            sessions=0,  # all that are there
            annotations=False,  # labels and captions: nothing here needs them
        ),
        preprocess=dict(
            order=('normalise', 'repeats'),
            normalise=dict(by='session'),
            repeats=dict(train='mean', test='mean'),
        ),
        areas=('V1', 'V2', 'V3', 'hV4', 'V1+V2+V3+hV4', 'FFA', 'PPA', 'EBA'),
    )
