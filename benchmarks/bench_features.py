"""Features of pictures computed and read back: how much the cache on disk saves.

Run: python -m benchmarks.bench_features [pictures]. The embedded nets, random 64 x 64 pictures;
compiled before the clock starts. `read` is a second run on the same pictures (every one is hashed
again), `process` the same in a new process, tracing included, beside one that computes.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import _harness
from recon.core import errors
from recon.zoo import features, weights

CASES = (
    ('tiny/alexnet', ('features.4', 'features.11')),
    ('tiny/clip', ('image_embeds',)),
    ('tiny/clip', ('tokens_projected',)),
    ('tiny/vae', ('latents',)),
)
REPEATS = 5
CHILD = """
import sys, time
from benchmarks import bench_features
start = time.perf_counter()
bench_features.run(sys.argv[1], sys.argv[2].split(','), int(sys.argv[3]), sys.argv[4] or None)
print(time.perf_counter() - start)
"""


def pictures(m):
    return np.random.default_rng(0).random((m, 64, 64, 3), np.float32)


def run(name, layers, m, cache):
    """Extracts and touches every value, since a cache gives views of a file."""
    found = features.extract(weights.load(name), tuple(layers), pictures(m), cache=cache)
    return {layer: values.sum() for layer, values in found.items()}


def seconds(call):
    start = time.perf_counter()
    found = call()
    for values in found.values():
        values.sum()
    return time.perf_counter() - start


def in_process(name, layers, m, cache):
    command = [sys.executable, '-c', CHILD, name, ','.join(layers), str(m), cache]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def case(name, layers, m, folder):
    net, images = weights.load(name), pictures(m)

    def extract(cache=None):
        return features.extract(net, layers, images, cache=cache)

    extract()  # compiles
    taken = {'compute': [], 'write': [], 'read': []}
    for turn in range(REPEATS):
        cache = folder / str(turn)
        taken['compute'].append(seconds(extract))
        taken['write'].append(seconds(lambda cache=cache: extract(cache)))
        taken['read'].append(seconds(lambda cache=cache: extract(cache)))
        if turn < REPEATS - 1:
            shutil.rmtree(cache)
    row = {key: float(np.median(values)) for key, values in taken.items()}
    row |= {'faster': row['compute'] / row['read'], 'pictures_per_s': m / row['compute']}
    row['faster_range'] = [
        float(f(np.divide(taken['compute'], taken['read']))) for f in (np.min, np.max)
    ]
    row['megabytes'] = sum(f.stat().st_size for f in cache.rglob('*') if f.is_file()) / 1e6
    row['process_compute'] = in_process(name, layers, m, '')
    row['process_read'] = in_process(name, layers, m, str(cache))
    return {'net': name, 'layers': '+'.join(layers), 'pictures': m, **row}


def main():
    m, rows = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000, []
    for name, layers in CASES:
        try:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(case(name, layers, m, pathlib.Path(folder)))
        except errors.UserError as error:  # a net, or a layer of it, that is not embedded
            print(error)
    columns = ('net', 'layers', 'compute', 'write', 'read', 'faster', 'megabytes')
    print(_harness.table(rows, (*columns, 'process_compute', 'process_read')))
    print(_harness.write('features', {'rows': rows}))


if __name__ == '__main__':
    main()
