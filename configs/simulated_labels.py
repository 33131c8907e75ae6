r"""What is in a simulated scene: 16 categories, several a picture, named from the brain.

Data: the simulated brain (docs/datasets/simulated.md), 3,000 training trials; it knows how much of
a picture each object covers.
Method: z-score by session; the first seed report's convolutional net on both hemispheres
(decoders/label_cnn.py, focal loss), or ridge or logistic regression. A category that scores above
its threshold is named; thresholds are chosen on training rows that were put aside.
The net is far the weakest of the three: neighbours in a list of vertices share little that a linear
decoder does not have already, and there are few trials for so many parameters. Mean average
precision on 100 test pictures, chance .20: ridge .902, logistic .890; with `small` (1,000 trials)
ridge .727 and the net .394 (.314 to .473), at the report's rate of 0.01 instead of 0.001 .242. The
net on 3,000 trials is not measured here.

Run:    python launch/main.py --config=configs/simulated_labels.py:decoder=ridge
Sweep:  python launch/sweep.py --config=configs/simulated_labels.py:small
Smoke:  python launch/main.py --config=configs/simulated_labels.py:smoke
Expect: row simulated_labels of docs/results.md
"""

from configs import _labels


def get_config(arg=None):
    """Options of _labels.experiment, and of the reader: subject, n_train, voxels."""
    return _labels.experiment(
        arg,
        dict(name='simulated', subject=1, n_train=3_000, voxels=4_000),
        coverage=0.0,
        rate=0.001,
        train='keep',
        least=10,
        smaller=dict(n_train=1_000, voxels=1_500),
    )


def get_sweep(arg=None):
    """The three decoders at thresholds of coverage; `arg` (small, epochs=... ) goes to each."""
    return _labels.sweep(
        arg, 'Labels of simulated scenes', (0.0, 0.03, 0.05, 0.1), published={}, notes=()
    )
