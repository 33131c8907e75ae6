r"""Four members of a bag: one split, and seeds, areas and batch sizes as a course report has them.

Data: as algonauts2023_mlp; the same 30 % of the training images are put aside for every member.
Method: as algonauts2023_mlp_rois, 200 epochs. Member 92: set3, seed 3, batch 16; 94: set1, seed
2423, batch 16; 97: set3, seed 849, batch 32; 100: set3, seed 1921, batch 4.

Run:    python launch/sweep.py --config=configs/algonauts2023_mlp_members.py:path=DIR   (the table)
        python launch/main.py --config=configs/algonauts2023_mlp_members.py:path=DIR    (the bag)
Smoke:  python launch/main.py --config=configs/algonauts2023_mlp_members.py:smoke  (two members)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import algonauts2023_mlp_rois, common

MEMBERS = {  # number: areas, seed, batch (table I of the report)
    '92': ('set3', 3, 16),
    '94': ('set1', 2423, 16),
    '97': ('set3', 849, 32),
    '100': ('set3', 1921, 4),
}
PUBLISHED = {  # training and validation L1 (its table II)
    '92': ('.399', '.648'),
    '94': ('.391', '.660'),
    '97': ('.403', '.649'),
    '100': ('.371', '.659'),
}


def get_config(arg=None):
    """Options: member (92, 94, 97, 100; else all of them as a bag), small, those of latents."""
    own, others = common.divide(arg, ('member',))
    member = common.parse_arg(own, member='').member
    if member and member not in MEMBERS:
        raise ValueError(f'option member={member!r}; members that exist: {", ".join(MEMBERS)}')
    mask, seed, batch = MEMBERS[member or '92']
    cfg = algonauts2023_mlp_rois.get_config(
        f'mask={mask},seed={seed},epochs=200,{others},batch={batch}'
    )
    if member:
        return cfg
    chosen = list(MEMBERS)
    if 'smoke' in (arg or '').split(','):
        chosen, cfg.decoder.epochs = chosen[:2], 5
    cfg.members = {
        number: dict(
            preprocess=dict(rois=dict(keep=(MEMBERS[number][0],))),
            decoder=dict(seed=MEMBERS[number][1], batch=MEMBERS[number][2]),
        )
        for number in chosen
    }
    return cfg


def get_sweep(arg=None):
    """The four members; `arg` (path=..., net=..., smoke) goes to each."""
    also = f',{arg}' if arg else ''
    return {
        'title': 'MLP to latents: the members of the bag',
        'metrics': common.PIXEL_METRICS,
        'facts': ('l1 on training', 'l1 on validation', 'l1 of the mean target there'),
        'figure': 'learning',
        'runs': [
            {
                'name': f'member_{member}',
                'options': f'member={member}{also}',
                'published': dict(
                    zip(('l1 on training', 'l1 on validation'), PUBLISHED[member], strict=True)
                ),
            }
            for member in MEMBERS
        ],
        'notes': (
            'Published: the course report on the recorded responses of subject 1 (latents of '
            'another autoencoder, 7:3 split). Measured: the data named in the row. The two are '
            'comparable only on the same data.',
            'Losses are between decoded and true latents, nothing dropped; the rows put aside are '
            'the same for every member, and the last column is what the mean latents score there.',
        ),
    }
