r"""Miyawaki et al. 2008: which scales help? 1x1 alone, and 1x1 with 1xn, nx1, nxn for n = 2, 3, 5.

A sweep: launch/sweep.py runs each, with the whole mask and with V1 and V2 alone, on single volumes
and on block averages, and puts the published accuracies of the course report beside the measured.
Its figure is accuracy against the complexity of the pattern (neighbour transitions): the report
says that wide bases win on simple patterns.

Run:    python launch/sweep.py --config=configs/miyawaki2008_scales.py:path=DIR
Smoke:  python launch/main.py --config=configs/miyawaki2008_scales.py:smoke   (one run of it)
Expect: table miyawaki2008_scales of docs/results.md
"""

from configs import common

# The course report's accuracies (OMP; its split is not stated, nilearn's is assumed).
PUBLISHED = {
    ('omp', 1): '75.1 %',
    ('omp', 2): '80.2 %',
    ('omp', 3): '83.2 %',
    ('omp', 5): '82.1 %',
    ('linear', 2): '72.9 %',
    ('bayes_ridge', 2): '76.1 %',
}
BASES = {
    'omp': dict(name='omp', coefficients=10),
    'linear': dict(name='linear'),
    'bayes_ridge': dict(name='bayes_ridge'),
    'ridge': dict(name='ridge', per_target=True),
    'univariate': dict(name='univariate'),
}

# These choose 500 voxels for each local decoder; the others, as in the report, use all.
SELECTING = ('omp', 'univariate')


def get_config(arg=None):
    """Options: base (omp, linear, bayes_ridge, ridge, univariate), and common.miyawaki2008."""
    parts = [part for part in (arg or '').split(',') if part]
    bases = [part.partition('=')[2] for part in parts if part.startswith('base=')]
    others = ','.join(part for part in parts if not part.startswith('base='))
    base = bases[-1] if bases else 'omp'
    if base not in BASES:
        raise ValueError(f'option base={base!r}; bases that exist: {", ".join(BASES)}')
    return common.miyawaki2008(others, BASES[base], k=500 if base in SELECTING else 0)


def get_sweep(arg=None):
    """The runs of the sweep; `arg` (path=..., combine=..., k=..., smoke) goes to each."""
    for part in (arg or '').split(','):
        if part.partition('=')[0] in ('base', 'scales', 'rois', 'rows'):
            raise ValueError(f'option {part!r}, which the sweep itself sets')
    also = f',{arg}' if arg else ''
    runs = [run(base, n, also) for base, n in PUBLISHED]
    runs += [run(base, 2, also) for base in ('ridge', 'univariate')]
    runs += [run('omp', n, f',rois=V1+V2{also}', ' V1+V2') for n in (1, 2, 3, 5)]
    runs += [run('omp', n, f',rows=blocks{also}', ' blocks') for n in (1, 2, 3, 5)]
    return {
        'title': 'Miyawaki 2008: scales and local decoders',
        'metrics': common.BINARY_METRICS,
        'figure': 'complexity',
        'runs': runs,
        'notes': (
            'Published: the course report on the recorded data (single volumes, split not stated). '
            'Measured: the data named in the row. The two are comparable only on the same data.',
            'Rows named blocks average the volumes of one presentation; the others are single '
            'volumes. Rows named V1+V2 use those areas alone; the others the whole mask.',
        ),
    }


def run(base: str, n: int, more: str, label: str = '') -> dict:
    """One run: its folder's name, its options, what was published for it."""
    published = {} if label else PUBLISHED.get((base, n))
    return {
        'name': f'{base} {scales_name(n)}{label}'.replace(' ', '_'),
        'options': f'base={base},scales={n}{more}',
        'published': {'binary_accuracy': published} if published else {},
    }


def scales_name(n: int) -> str:
    """'1x1' or '1x1-1xn-nx1-nxn'."""
    return '1x1' if n == 1 else f'1x1-1x{n}-{n}x1-{n}x{n}'
