r"""What is in a photograph: COCO's categories, several a picture, named from one subject of NSD.

Data: the Natural Scenes Dataset (docs/datasets/nsd.md) with COCO's annotations, betas b3 at 1.8 mm
in nsdgeneral; the shared images test, averaged over their trials.
Method: z-score by session, repeats averaged; the first seed report's convolutional net on both
hemispheres (decoders/label_cnn.py: three blocks, focal loss, rate 0.01 that falls from epoch 10
on), ridge or logistic regression beside it. Labels that cover less than `coverage` of the picture
are left out (0.014: 50 x 50 of 425 x 425 pixels); the report says that it leaves out small ones,
not below which size, and takes boxes: `--config.dataset.coco.measure=boxes`. Its accuracy is
first_label_accuracy, which counts the first category of the list alone: read it beside the others.
Of 133 categories those are learnt that 10 training images have.

Run:    python launch/main.py --config=configs/nsd_labels.py:path=DIR,subject=1
Areas:  python launch/main.py --config=configs/nsd_labels.py:path=DIR,rois=V1v+V1d+V2v+V2d+hV4
Off:    python launch/main.py --config=configs/nsd_labels.py:path=DIR,coverage=0
Sweep:  python launch/sweep.py --config=configs/nsd_labels.py:path=DIR
Smoke:  python launch/main.py --config=configs/nsd_labels.py:smoke
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import _labels

# The first seed report, on its own share of the recording.
PUBLISHED = {0.0: 'around 30 %', 0.014: '54.7 %'}


def get_config(arg=None):
    """Options of _labels.experiment, and of the reader: path, subject, space, betas, voxels."""
    return _labels.experiment(
        arg,
        dict(
            **dict(name='nsd', path='data/nsd', subject=1, space='func1pt8mm', betas='b3'),
            **dict(voxels='nsdgeneral', sessions=0),
            coco=dict(min_coverage=0.0),  # the filter is the target's
        ),
        coverage=0.014,
        rate=0.01,
        train='mean',
        least=10,
        smaller={},
    )


def get_sweep(arg=None):
    """The three decoders at thresholds of coverage; `arg` (path=..., smoke) goes to each."""
    return _labels.sweep(
        arg,
        'Labels of NSD: coverage filter and decoders',
        (0.0, 0.007, 0.014, 0.05, 0.1),
        PUBLISHED,
        notes=(
            'Published: the first seed report, before and after its filter of small labels, whose '
            'threshold it does not state (it stands beside 0.014 here); its data are a share of '
            'the recording. Comparable only on the same data.',
        ),
    )
