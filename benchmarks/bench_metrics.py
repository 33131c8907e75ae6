"""The whole suite of picture metrics on 100 and 1,000 pictures: seconds for each and for all.

Run: python -m benchmarks.bench_metrics
"""

import time

import numpy as np

from benchmarks import _harness
from recon.metrics import suite

NAMES = (
    *('pixcorr', 'ssim', 'ssim_skimage019', 'ssim_uniform7', 'mse', 'mae'),
    *('binary_accuracy', 'binary_precision', 'binary_recall', 'binary_f1'),
    *('two_way_pixel', 'two_way_takagi_pixel', 'nway10_pixel', 'corrdist_pixel', 'cosine_pixel'),
    *('brain_to_image_top1', 'image_to_brain_top5'),
)


def pictures(n, side):
    rng = np.random.default_rng(0)
    truth = rng.random((n, side, side, 3), dtype=np.float32)
    return 0.3 * truth + 0.5 * rng.random(truth.shape, dtype=np.float32), truth


def seconds(names, recon, truth):
    start = time.perf_counter()
    suite.score(names, recon, truth, seed=0)
    return time.perf_counter() - start


def main():
    rows = []
    for n, side in ((100, 64), (1000, 64)):
        pair = pictures(n, side)
        for title, names in (*((name, [name]) for name in NAMES), ('all', NAMES)):
            rows.append({'pictures': n, 'side': side, 'metric': title})
            rows[-1]['seconds'] = seconds(names, *pair)
    print(_harness.table(rows, ('pictures', 'side', 'metric', 'seconds')))
    print(_harness.write('bench_metrics', {'rows': rows}))


if __name__ == '__main__':
    main()
