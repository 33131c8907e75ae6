r"""Four systems, one picture each, and a vote: the second seed report from end to end.

Data: the Natural Scenes Dataset (docs/datasets/nsd.md), as nsd_mlp; one split for all members.
Method: four members of nsd_mlp_img2img that differ in areas, seed and batch size as table I of the
report has them. 92: set 3, seed 3, batch 16; 94: set 1, seed 2423, batch 16; 97: set 3, seed 849,
batch 32; 100: set 3, seed 1921, batch 4. Set 1 is V1v ... hV4, FFA-1, FFA-2 and PPA; set 3 the
streams early ... parietal. For each image the member is chosen whose refined picture is, by CLIP,
most like its own blurry one (rule=own, the report's), or most like a CLIP vector decoded from the
brain (rule=decoded), or pictures are averaged (rule=mean): never by the truth.
Otherwise: the report's members each had a split of their own, so that its figures contain training
images, and its demonstration chose by the truth.

Run:    python launch/main.py --config=configs/nsd_vote.py:path=DIR,zoo=DIR
Table:  python launch/sweep.py --config=configs/nsd_vote.py:path=DIR,zoo=DIR    (the report's III)
Smoke:  python launch/main.py --config=configs/nsd_vote.py:smoke   (:small is minutes)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import _diffusion, nsd_mlp, nsd_mlp_img2img

SETS = {
    1: ('V1v', 'V1d', 'V2v', 'V2d', 'V3v', 'V3d', 'hV4', 'FFA-1', 'FFA-2', 'PPA'),
    3: ('early', 'midventral', 'midlateral', 'midparietal', 'ventral', 'lateral', 'parietal'),
}
MEMBERS = {'92': (3, 3, 16), '94': (1, 2423, 16), '97': (3, 849, 32), '100': (3, 1921, 4)}
PUBLISHED = {  # CLIP similarity on 100 training and 100 validation images, table III
    '92': ('.561', '.527'),
    '94': ('.559', '.532'),
    '97': ('.558', '.536'),
    '100': ('.559', '.535'),
}
RULES = ('own', 'decoded', 'mean')
OWN = (*nsd_mlp_img2img.OWN, 'rule')
NOTES = (
    'Published: table III of the second seed report, CLIP similarity of 100 training and 100 '
    'validation images; each of its members had a split of its own, and it gives no figure for the '
    'vote. Measured: held-out images that no member was trained on, and 100 training images. The '
    'two are comparable only on the same data.',
    'CLIP similarity is high for any two pictures: chance, of wrong pairs, is in each report.',
)


def get_config(arg=None):
    """Options: rule (own, decoded, mean); those of nsd_mlp_img2img."""
    own, others = _diffusion.divide(arg, OWN)
    return bag(nsd_mlp.get_config(others), own, SETS, 'smoke' in others.split(','))


def bag(cfg, arg: str, sets: dict, smoke: bool):
    """A config of the MLP as four members with diffusion, and a vote.

    Args:
      cfg: of nsd_mlp or simulated_mlp.
      arg: the options of OWN.
      sets: areas of each set of table I.
      smoke: two members, few steps.
    """
    rule = next((w[5:] for w in arg.split(',') if w.startswith('rule=')), 'own')
    if rule not in RULES:
        raise ValueError(f'option rule={rule!r}; rules that exist: {", ".join(RULES)}')
    cfg = nsd_mlp_img2img.refine(cfg, arg, smoke)
    cfg.samples, cfg.score_train, cfg.train_scored = 1, True, 100
    tiny = cfg.generator.img2img.net == 'tiny'
    nets = _diffusion.TINY if tiny else _diffusion.RELEASED
    cfg.vote = dict(rule=rule, net=nets['clip'], low='vae', target='z_clip')
    cfg.preprocess.order = ('rois', *cfg.preprocess.order)
    cfg.preprocess.rois = dict(keep=sets[3])
    cfg.members = {
        name: dict(
            preprocess=dict(rois=dict(keep=sets[which])), decoder=dict(seed=seed, batch=batch)
        )
        for name, (which, seed, batch) in list(MEMBERS.items())[: 2 if smoke else None]
    }
    return cfg


def get_sweep(arg=None):
    """Table III: each member and the vote, of one bag; `arg` (path=..., small ...) goes to it."""
    small = {'small', 'smoke'} & set((arg or '').split(','))
    return sweep(arg, 'NSD', 'cosine_tiny_clip' if small else 'cosine_clip')


def sweep(arg: str | None, of: str, similarity: str) -> dict:
    """The rows of table III: all from one run, whose folder is `vote`."""
    smoke = 'smoke' in (arg or '').split(',')
    members = list(MEMBERS)[: 2 if smoke else None]
    rows = [
        {
            **dict(name=f'member_{name}', label=f'member {name}', options=arg or ''),
            **dict(folder='vote', part=f'members/{name}'),
            'published': {similarity: PUBLISHED[name][1]},
            'published_train': {similarity: PUBLISHED[name][0]},
        }
        for name in members
    ]
    return {
        'title': f'{of}: CLIP similarity of four members and of their vote',
        'metrics': (similarity, 'ssim', 'pixcorr'),
        'runs': [*rows, {'name': 'vote', 'label': 'the vote', 'options': arg or ''}],
        'notes': NOTES,
        'pictures': 6,
    }
