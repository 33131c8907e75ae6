"""A whole subject of NSD's size through the pipeline: does it fit on a laptop, and how long is it?

    python -m benchmarks.bench_subject [--sessions=40] [--voxels=15724] [--size=32]

Rows of made-up voxels (noise, and a little of each picture), 750 a session as in NSD, three trials
of each image, are written as a lab's own arrays into a temporary folder, which is removed at the
end. Then `launch/main.py --config=configs/pairs_ridge.py` decodes them under /usr/bin/time -v, with
the preprocessing of configs/nsd_ridge.py. Numbers of voxels, trials and images are those of subject
1; pictures are stored at 64 pixels, where NSD has 425, so reading them is not measured.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import _harness

TRIALS, SHARED, STORED = 750, 1000, 64


def write(folder: pathlib.Path, sessions: int, voxels: int, seed: int = 0) -> int:
    """Voxels, ids, sessions, runs and pictures of a subject; the number of rows."""
    rng = np.random.default_rng(seed)
    n = sessions * TRIALS
    ids = rng.permutation(np.repeat(np.arange(n // 3), 3))
    pictures = rng.integers(0, 256, (n // 3, 8, 8, 3), np.uint8)
    seen = pictures.reshape(len(pictures), -1).astype(np.float32) / 128 - 1
    weights = rng.standard_normal((seen.shape[1], voxels), np.float32) / 40
    out = np.lib.format.open_memmap(folder / 'voxels.npy', 'w+', np.float32, (n, voxels))
    for start in range(0, n, TRIALS):
        rows = slice(start, start + TRIALS)
        noise = rng.standard_normal((TRIALS, voxels), dtype=np.float32)
        out[rows] = noise + seen[ids[rows]] @ weights
    out.flush()
    np.save(folder / 'ids.npy', ids)
    np.save(folder / 'sessions.npy', np.arange(n) // TRIALS)
    np.save(folder / 'runs.npy', np.arange(n) * 12 // TRIALS)
    np.save(folder / 'images.npy', pictures.repeat(STORED // 8, 1).repeat(STORED // 8, 2))
    np.save(folder / 'test_ids.npy', np.arange(min(SHARED, n // 30)))
    return n


def run(folder: pathlib.Path, size: int) -> dict:
    """Seconds, peak memory and scores of the run."""
    words = ['/usr/bin/time', '-v', sys.executable, 'launch/main.py']
    words += [f'--config=configs/pairs_ridge.py:path={folder},size={size}']
    words += [f'--workdir={folder / "run"}', '--config.preprocess.normalise.by=session']
    words += ['--config.baselines=mean_image,nearest_training,shuffled_voxels,zero_voxels']
    start = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    peak = int(re.search(r'Maximum resident set size \(kbytes\): (\d+)', done.stderr)[1])
    scores = json.loads((folder / 'run' / 'scores.json').read_text())
    stages = [re.sub(r' \(.*', '', s) for s in done.stderr.splitlines() if s.startswith('[')]
    return {
        'seconds': time.perf_counter() - start,
        'peak_gb': peak / 2**20,
        'test_images': scores['n'],
        'pixcorr': scores['scores']['pixcorr']['mean'],
        'stages': stages,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sessions', type=int, default=40)
    parser.add_argument('--voxels', type=int, default=15_724)
    parser.add_argument('--size', type=int, default=32, help='pixels on a side that are decoded')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        rows = write(folder, arguments.sessions, arguments.voxels)
        case = {'rows': rows, 'voxels': arguments.voxels, 'size': arguments.size}
        case |= run(folder, arguments.size)
    print(_harness.table([case], ('rows', 'voxels', 'size', 'seconds', 'peak_gb', 'pixcorr')))
    print('\n'.join(case['stages']))
    print(_harness.write('subject', {'cases': [case]}))


if __name__ == '__main__':
    main()
