r"""Table 1 of the first seed report: pix2pix, a 1-D and a 2-D net, scored by PixCorr and SSIM.

Data: its own, the course's copy of the Algonauts 2023 data (docs/datasets/algonauts2023.md; the
official tree does too), 19,004 and 20,544 vertices of both hemispheres of subject 1.
Method: responses as they are published, min-max over all training rows, in a square of 145 x 145
pixels a hemisphere; generators/pix2pix.py, decoders/cnn1d.py, decoders/cnn2d.py, all at 256 x 256
pixels. A fifth of the pictures tests (the report: 8 to 2, its code 99 to 1).
The published figures stand beside the measured; those that the report quotes from others do not,
since they are not those of the papers.

Run:    python launch/sweep.py --config=configs/seed000_table1.py:path=DIR
Small:  python launch/sweep.py --config=configs/seed000_table1.py:small   (simulated files)
Smoke:  python launch/main.py --config=configs/seed000_table1.py:smoke    (one run of it)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import _pictures


def get_config(arg=None):
    """Options of _pictures.experiment, and of the reader: path, subject, layout."""
    return _pictures.experiment(
        arg,
        dict(name='algonauts2023', path='data/algonauts2023', subject=1, layout=''),
        dict(order=()),
        **dict(picture='square', side=145),
    )


def get_sweep(arg=None):
    """The runs of the table; `arg` (path=..., small, smoke) goes to each."""
    return _pictures.table1(arg, 'Table 1 of the first seed report: pictures')
