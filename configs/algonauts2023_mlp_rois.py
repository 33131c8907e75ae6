r"""Which areas, and which batch size? The MLP on {all vertices, set1, set2, set3} x {16, 32, 64}.

Data: as algonauts2023_mlp. set1: V1v ... hV4, FFA-1, FFA-2, PPA; set2: bodies, faces and places;
set3: the streams (docs/datasets/algonauts2023.md).
Method: as algonauts2023_mlp, 50 epochs, one split for all. The sweep's figure is the training loss
of each run, one panel a batch size (figure 2 of the report that the decoder comes from, which found
the same trend but for set2); its table holds training and validation loss beside that of the mean
latents. Width, loss, shifted latents and subjects are options of the same sweep.

Run:    python launch/sweep.py --config=configs/algonauts2023_mlp_rois.py:path=DIR,subjects=1
Smoke:  python launch/main.py --config=configs/algonauts2023_mlp_rois.py:smoke   (one run of it)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

import itertools

from configs import _mlp, common

MASKS = {'none': '', 'set1': 'set1', 'set2': 'set2', 'set3': 'set3'}
# What the sweep can cross: its option, the option of a run, what stands before it in a run's name.
CROSSED = {
    'subjects': ('subject', 'subj'),
    'masks': ('mask', ''),
    'batches': ('batch', 'batch'),
    'widths': ('width', 'width'),
    'losses': ('loss', ''),
    'shifts': ('shift', 'shift'),
}
FACTS = ('on training', 'on validation', 'of the mean target there')
USUAL = {'masks': tuple(MASKS), 'batches': ('16', '32', '64')}


def get_config(arg=None):
    """Options: mask (none, set1, set2, set3), shift, seed, small, those of latents but keep."""
    own, others = common.divide(arg, ('mask', 'shift', 'seed'))
    options = common.parse_arg(own, mask='set1', shift=0, seed=0)
    if options.mask not in MASKS:
        raise ValueError(f'option mask={options.mask!r}; masks that exist: {", ".join(MASKS)}')
    cfg = _mlp.with_small(
        f'epochs=50,keep={MASKS[options.mask]},{others}',
        lambda words: common.latents(
            words,
            dataset=dict(name='algonauts2023', subject=1),
            preprocess=dict(order=('normalise',), normalise=dict(by='all')),
        ),
    )
    cfg.decoder.update(shift=options.shift, seed=options.seed)
    if cfg.get('layout'):  # smoke, small: few steps, and still a curve
        cfg.decoder.log_every = 5
    return cfg


def get_sweep(arg=None):
    """Options: masks, batches, subjects, widths, losses, shifts (each a list); others go to each.

    Masks and batches are crossed as above unless they are given, the others where they are.
    """
    own, others = common.divide(arg, tuple(CROSSED))
    for part in others.split(','):
        if part.partition('=')[0] in ('mask', 'batch'):
            raise ValueError(f'option {part!r}, which the sweep itself sets: masks=, batches=')
    lists = common.parse_arg(own, **{name: USUAL.get(name, ()) for name in CROSSED})
    crossed = {name: lists[name] for name in CROSSED if lists[name]}
    runs = []
    for values in itertools.product(*crossed.values()):
        chosen = [(*CROSSED[key], value) for key, value in zip(crossed, values, strict=True)]
        words = [f'{option}={value}' for option, _, value in chosen]
        shown = [f'{before}{value}'.replace('none', 'all-areas') for _, before, value in chosen]
        runs.append(
            {'name': '_'.join(shown), 'options': ','.join([*words, *filter(None, [others])])}
        )
    return {
        'title': 'MLP to latents: areas and batch sizes',
        'metrics': common.PIXEL_METRICS,
        'facts': tuple(f'{kind} {of}' for kind in lists.losses or ('l1',) for of in FACTS),
        'figure': 'learning',
        'runs': runs,
        'notes': (
            'Losses are between decoded and true latents, nothing dropped; validation rows are '
            'the same in every run of one subject. A validation loss that is not below that of '
            'the mean latents has learnt nothing that carries over.',
            'Published (figure 2 of the course report, curves only): all areas, set1 and set3 '
            'have almost the same training loss, set2 a higher one.',
        ),
    }
