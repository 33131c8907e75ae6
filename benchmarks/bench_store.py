"""Preparing NSD betas at full array sizes: time against a plain read of the same files, and memory.

    python -m benchmarks.bench_store [--folder=DIR] [--subject=1] [--rounds=3]

Two sessions of simulated betas (750 trials each, the grid of the subject, HDF5) are written into a
temporary folder, which is removed at the end; --folder reads one that the layout wrote before
(`launch/simulate.py --layout=nsd --scale=full`), and leaves it. Each measurement runs in a process
of its own. Cold: the kernel was asked to forget the files first (posix_fadvise), which it does for
pages that are on the disk; what a disk or a host below it keeps is out of reach.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import _harness

_PIECE = 8 * 2**20
_SPACE, _BETAS = 'func1pt8mm', 'betas_fithrf_GLMdenoise_RR'
STEPS = ('plain', 'prepare', 'plain_rows', 'read', 'load')
WORDS = {
    'plain': 'plain read of the betas',
    'prepare': 'prepare: mask, write, checksum',
    'plain_rows': 'plain read of the store',
    'read': 'store to float32, every row',
    'load': 'the reader, store not there yet',
}


def plain(paths) -> int:
    """Reads files from end to end in pieces of 8 MiB; bytes."""
    buffer, total = bytearray(_PIECE), 0
    for path in paths:
        with open(path, 'rb', buffering=0) as file:
            while count := file.readinto(buffer):
                total += count
    return total


def forget(paths) -> None:
    """Asks the kernel to drop the files from its cache."""
    for path in paths:
        with open(path, 'rb') as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def peak_mb() -> float:
    """Of this process since it began; getrusage would count the parent that started it too."""
    status = pathlib.Path('/proc/self/status').read_text()
    return int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]) / 2**10


def once(step: str, folder: str, subject: int, cold: bool) -> dict:
    """One measurement in this process: seconds, bytes that count, peak memory."""
    from recon.data import store
    from recon.data.datasets import nsd
    from recon.data.formats import nsd_betas, nsd_rois, nsd_volumes

    root = pathlib.Path(folder)
    betas = nsd_betas.folder(root, subject, _SPACE, _BETAS)
    files = sorted(betas.glob('betas_session*.hdf5'))
    kept = pathlib.Path(f'{folder}_bench')
    rows = sorted(kept.rglob('rows.npy'))
    if step in ('prepare', 'load'):
        shutil.rmtree(kept, ignore_errors=True)
        rows = []
    areas = nsd_rois.read(root, subject, _SPACE)
    chosen = areas.choose('nsdgeneral')
    positions = [nsd_volumes.grid_index(chosen.reshape(areas.grids[0]))]
    if cold:
        forget([*files, *rows])
    elif step in ('plain', 'prepare', 'load'):
        plain(files)
    else:
        plain(rows)
    start, busy = time.perf_counter(), time.process_time()
    if step == 'plain':
        count = plain(files)
    elif step == 'plain_rows':
        count = plain(rows)
    elif step == 'read':
        opened = store.load(rows[0].parent)
        count = opened.rows().nbytes // 4 * opened.data.itemsize
    elif step == 'load':
        options = {'path': folder, 'subject': subject, 'store': str(kept)}
        nsd.load(options)
        count = sum(path.stat().st_size for path in files)
    else:
        sessions = nsd_betas.inspect(betas, range(1, len(files) + 1), '', areas.grids, positions)
        blocks = [
            store.Block(str(s.number), s.trials, (s.recordings[0].path,), s.read) for s in sessions
        ]
        store.prepare(kept, blocks, voxels=np.flatnonzero(chosen), dtype='<i2', divisor=300)
        count = sum(path.stat().st_size for path in files)
    return {
        'seconds': time.perf_counter() - start,
        'processor_seconds': time.process_time() - busy,
        'gigabytes': count / 1e9,
        'peak_mb': peak_mb(),
    }


def measure(folder: str, subject: int, rounds: int) -> list[dict]:
    """All steps, cold and warm, in turn; medians."""
    found = {}
    for _ in range(rounds):
        for cold in (True, False):
            for step in STEPS:
                words = [sys.executable, '-m', 'benchmarks.bench_store', f'--folder={folder}']
                words += [f'--subject={subject}', f'--once={step}', *(['--cold'] if cold else [])]
                done = subprocess.run(words, check=True, capture_output=True, text=True)
                found.setdefault((step, cold), []).append(json.loads(done.stdout))
    rows = []
    for (step, cold), seen in found.items():
        median = sorted(seen, key=lambda r: r['seconds'])[len(seen) // 2]
        against = 'plain_rows' if step in ('plain_rows', 'read') else 'plain'
        base = sorted(r['seconds'] for r in found[against, cold])[len(seen) // 2]
        rows.append(
            {'step': WORDS[step], 'cache': 'cold' if cold else 'warm'}
            | median
            | {
                'gigabytes_per_second': median['gigabytes'] / median['seconds'],
                'times_plain_throughput': base / median['seconds'],
                'peak_mb': max(r['peak_mb'] for r in seen),
                'all_seconds': [r['seconds'] for r in seen],
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--folder', default='', help='written before; it is not removed')
    parser.add_argument('--subject', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--once', choices=STEPS, help='for the processes that this one starts')
    parser.add_argument('--cold', action='store_true')
    arguments = parser.parse_args()
    folder, subject = arguments.folder, arguments.subject
    if arguments.once:
        print(json.dumps(once(arguments.once, folder, subject, arguments.cold)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        if not folder:
            from recon.data.layouts import nsd

            folder = str(nsd.write(f'{temporary}/nsd', subject=subject, scale='full'))
        try:
            rows = measure(folder, subject, arguments.rounds)
        finally:
            shutil.rmtree(f'{folder}_bench', ignore_errors=True)
    columns = ('step', 'cache', 'seconds', 'processor_seconds', 'gigabytes_per_second')
    print(_harness.table(rows, (*columns, 'times_plain_throughput', 'peak_mb')))
    print(_harness.write('store', {'subject': subject, 'rows': rows}))


if __name__ == '__main__':
    main()
