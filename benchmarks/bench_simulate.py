"""How long the simulated brain takes: 10,000 trials x 4,000 voxels, scenes included, under 20 s.

    python -m benchmarks.bench_simulate [--rounds=3]

Each round runs in a process of its own, so that nothing is warm and the peak memory is its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

from benchmarks import _harness

CASES = {
    'default, 1,050 trials of 850 scenes': {},
    '10,000 trials of 9,800 scenes': {'n_train': 9_700},
    '10,000 trials of 3,400 scenes': {'n_train': 3_233, 'repeats_train': 3},
}


def once(options: dict) -> dict:
    """Loads once in this process; seconds by the clock and of processor time, peak memory."""
    start, busy = time.perf_counter(), time.process_time()
    from recon.data.datasets import simulated

    data = simulated.load(options)
    return {
        'seconds': time.perf_counter() - start,
        'processor_seconds': time.process_time() - busy,
        'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
        'trials': len(data.train) + len(data.test),
        'voxels': data.train.voxels.shape[1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--once', help='options as JSON; for the processes that this one starts')
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(once(json.loads(arguments.once))))
        return
    rows = []
    for name, options in CASES.items():
        words = [sys.executable, '-m', 'benchmarks.bench_simulate', '--once', json.dumps(options)]
        rounds = [
            json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
            for _ in range(arguments.rounds)
        ]
        median = sorted(rounds, key=lambda r: r['seconds'])[len(rounds) // 2]
        rows.append({'case': name} | median | {'all_seconds': [r['seconds'] for r in rounds]})
    columns = ('case', 'trials', 'voxels', 'seconds', 'processor_seconds', 'peak_mb')
    print(_harness.table(rows, columns))
    print(_harness.write('simulate', {'cases': rows}))


if __name__ == '__main__':
    main()
