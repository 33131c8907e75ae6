"""NSD's ROI files: which numbers they hold, what these are called, and who gets them here."""

import numpy as np

from recon.data.simulator import areas
from recon.data.simulator import brain as brains

_STRIPS = ('V1v', 'V1d', 'V2v', 'V2d', 'V3v', 'V3d', 'hV4')
_HCP = """
V1 MST V6 V2 V3 V4 V8 4 3b FEF PEF 55b V3A RSC POS2 V7 IPS1 FFC V3B LO1 LO2 PIT MT A1 PSL SFL PCV
STV 7Pm 7m POS1 23d v23ab d23ab 31pv 5m 5mv 23c 5L 24dd 24dv 7AL SCEF 6ma 7Am 7Pl 7PC LIPv VIP MIP
1 2 3a 6d 6mp 6v p24pr 33pr a24pr p32pr a24 d32 8BM p32 10r 47m 8Av 8Ad 9m 8BL 9p 10d 8C 44 45 47l
a47r 6r IFJa IFJp IFSp IFSa p9-46v 46 a9-46v 9-46d 9a 10v a10p 10pp 11l 13l OFC 47s LIPd 6a i6-8
s6-8 43 OP4 OP1 OP2-3 52 RI PFcm PoI2 TA2 FOP4 MI Pir AVI AAIC FOP1 FOP3 FOP2 PFt AIP EC PreS H ProS
PeEc STGa PBelt A5 PHA1 PHA3 STSda STSdp STSvp TGd TE1a TE1p TE2a TF TE2p PHT PH TPOJ1 TPOJ2 TPOJ3
DVT PGp IP2 IP1 IP0 PFop PF PFm PGi PGs V6A VMV1 VMV3 PHA2 V4t FST V3CD LO3 VMV2 31pd 31a VVC 25 s32
pOFC PoI1 Ig FOP5 p10p p47r TGv MBelt LBelt A4 STSva TE1m PI a32pr p24
"""
# File -> its labels, 1 .. N.
NAMES = {
    'prf-visualrois': _STRIPS,
    'prf-eccrois': ('ecc0pt5', 'ecc1', 'ecc2', 'ecc4', 'ecc4+'),
    'floc-faces': ('OFA', 'FFA-1', 'FFA-2', 'mTL-faces', 'aTL-faces'),
    'floc-bodies': ('EBA', 'FBA-1', 'FBA-2', 'mTL-bodies'),
    'floc-places': ('OPA', 'PPA', 'RSC'),
    'floc-words': ('OWFA', 'VWFA-1', 'VWFA-2', 'mfs-words', 'mTL-words'),
    'streams': (
        'early', 'midventral', 'midlateral', 'midparietal', 'ventral', 'lateral', 'parietal',
    ),
    'nsdgeneral': ('nsdgeneral',),
    'Kastner2015': (
        *_STRIPS, 'VO1', 'VO2', 'PHC1', 'PHC2', 'MST', 'hMT', 'LO2', 'LO1', 'V3b', 'V3a',
        *(f'IPS{i}' for i in range(6)), 'SPL1', 'FEF',
    ),
    'HCP_MMP1': tuple(_HCP.split()),
    'thalamus': ('LGN', 'SC', 'Vpu', 'DLpu', 'DMpu'),
    'MTL': ('ErC', 'area35', 'area36', 'PhC', 'Sub', 'CA1', 'CA2', 'CA3', 'DG', 'HT'),
}  # fmt: skip
ATLASES = ('streams', 'nsdgeneral', 'Kastner2015', 'HCP_MMP1')  # on fsaverage as well
LOCALISED = tuple(name for name in NAMES if name.startswith(('prf-', 'floc-')))
DEEP = ('thalamus', 'MTL')  # in volumes alone
# Names that several files have; a reader puts the file's name before these two files' names.
PREFIXED = ('Kastner2015', 'HCP_MMP1')
_STREAMS = {
    'early': ('V1', 'V2', 'V3'),
    'midventral': ('hV4',),
    'midlateral': ('LO',),
    'midparietal': ('V3A', 'OPA'),
    'ventral': ('VO', 'OFA', 'FFA', 'FBA', 'PPA', 'VWFA'),
    'lateral': ('EBA', 'MT'),
    'parietal': ('IPS',),
}
# Part of an area -> Kastner's label, Glasser's label. Words, bodies and faces have no labels of
# their own there: they get those of their surroundings.
_PARTS = {
    'VO/0': ('VO1', 'V8'), 'VO/1': ('VO2', 'VMV2'),
    'PPA/0': ('PHC1', 'VMV3'), 'PPA/1': ('PHC2', 'PHA3'), 'PPA/2': ('', 'PHA1'),
    'PPA/3': ('', 'PHA2'),
    'MT/0': ('hMT', 'MT'), 'MT/1': ('MST', 'MST'),
    'LO/0': ('LO1', 'LO1'), 'LO/1': ('LO2', 'LO2'),
    'V3A/0': ('V3a', 'V3A'), 'V3A/1': ('V3b', 'V3B'),
    'IPS/0': ('IPS0', 'V7'), 'IPS/1': ('IPS1', 'IPS1'), 'IPS/2': ('IPS2', 'IP0'),
    'IPS/3': ('IPS3', 'LIPv'), 'IPS/4': ('IPS4', 'LIPd'), 'IPS/5': ('IPS5', 'AIP'),
    'OFA/0': ('', 'PIT'), 'FFA-1/0': ('', 'FFC'), 'FFA-2/0': ('', 'FFC'),
    'FBA-1/0': ('', 'PH'), 'FBA-2/0': ('', 'TE2p'), 'EBA/0': ('', 'V4t'), 'EBA/1': ('', 'FST'),
    'OPA/0': ('', 'V3CD'), 'RSC/0': ('', 'POS1'), 'VWFA-1/0': ('', 'VVC'), 'VWFA-2/0': ('', 'PHT'),
}  # fmt: skip
_AHEAD, _UP = (0, 1, 0), (0, 0.6, 1)  # directions along which an area is parted
_PARTED = {'VO': (2, _AHEAD), 'PPA': (4, _AHEAD), 'MT': (2, _AHEAD), 'LO': (2, _AHEAD)}
_PARTED |= {'V3A': (2, _AHEAD), 'IPS': (6, _UP), 'EBA': (2, _AHEAD)}


def numbers(brain: brains.Brain) -> dict[str, np.ndarray]:
    """{file: [v] int16, 0 none, 1 .. N}: each voxel's label in each file of the cortex.

    mTL-bodies, mTL-words, aTL-faces, SPL1 and FEF are empty, as labels of a subject may be;
    nsdgeneral leaves out some of what lies high and outside the areas.
    """
    at = {name: areas.region(name, brain.area) for name in (*areas.NAMES, *areas.UNIONS)}
    out = {'prf-visualrois': _of(brain, 'prf-visualrois', {name: at[name] for name in _STRIPS})}
    reach = np.nan_to_num(np.hypot(brain.x, brain.y), nan=-1)  # NaN where silent
    mapped = (out['prf-visualrois'] > 0) & (reach >= 0)
    out['prf-eccrois'] = (mapped * (1 + np.digitize(reach, (0.5, 1, 2, 4)))).astype(np.int16)
    outside = brain.area == -1
    front = outside & (brain.xyz[:, 2] < 0)
    front &= brain.xyz[:, 1] > np.quantile(brain.xyz[front, 1], 0.94)
    faces = {name: at[name] for name in ('OFA', 'FFA-1', 'FFA-2')} | {'mTL-faces': front}
    out['floc-faces'] = _of(brain, 'floc-faces', faces)
    bodies = {name: at[name] for name in ('EBA', 'FBA-1', 'FBA-2')}
    out['floc-bodies'] = _of(brain, 'floc-bodies', bodies)
    out['floc-places'] = _of(brain, 'floc-places', {n: at[n] for n in NAMES['floc-places']})
    words = {'OWFA': at['LO'] & (_rank(brain, at['LO'], (0, 0, -1)) > 0.75)}
    words |= {'VWFA-1': at['VWFA-1'], 'VWFA-2': at['VWFA-2']}
    words |= {'mfs-words': at['FFA-2'] & (_rank(brain, at['FFA-2'], _AHEAD) > 0.6)}
    out['floc-words'] = _of(brain, 'floc-words', words)
    streams = {k: np.any([at[name] for name in names], 0) for k, names in _STREAMS.items()}
    out['streams'] = _of(brain, 'streams', streams)
    # Every fourth voxel of the parietal lobe and of no area is left out.
    spare = outside | at['IPS']
    out['nsdgeneral'] = (~spare | (np.cumsum(spare) % 4 > 0)).astype(np.int16)
    return out | _atlases(brain, at)


def _atlases(brain: brains.Brain, at: dict) -> dict[str, np.ndarray]:
    """The two atlases of the whole cortex, from parts of areas."""
    kastner = {name: at[name] for name in _STRIPS}
    glasser = {'V1': at['V1'], 'V2': at['V2'], 'V3': at['V3'], 'V4': at['hV4']}
    for part, (one, other) in _PARTS.items():
        area, i = part.split('/')
        count, towards = _PARTED.get(area, (1, _AHEAD))
        mine = at[area] & (np.floor(count * _rank(brain, at[area], towards)) == int(i))
        for labels, name in ((kastner, one), (glasser, other)):
            if name:
                labels[name] = labels.get(name, False) | mine
    outside, height = brain.area == -1, brain.xyz[:, 2]
    glasser |= {'PGp': outside & (height > 15), 'PH': glasser['PH'] | (outside & (height < -5))}
    return {
        'Kastner2015': _of(brain, 'Kastner2015', kastner),
        'HCP_MMP1': _of(brain, 'HCP_MMP1', glasser),
    }


def table(name: str) -> bytes:
    """<name>.mgz.ctab: number, name, red, green, blue and alpha, after a row of what is unknown."""
    rng = np.random.default_rng(len(NAMES[name]))
    rows = ['0 Unknown 0 0 0 0']
    for i, label in enumerate(NAMES[name], start=1):
        rows.append(f'{i} {label} {" ".join(map(str, rng.integers(20, 256, 3)))} 0')
    return ('\n'.join(rows) + '\n').encode()


def rois(numbers_of: dict, voxels: np.ndarray) -> dict[str, np.ndarray]:
    """{name: bool [k]} as a reader gives them, of the files `numbers_of` at `voxels` [k].

    Labels go by their own names, those of PREFIXED files as 'file/name'; where prf and floc files
    are there, the unions V1 V2 V3 FFA FBA VWFA too. Empty labels are in it.
    """
    out = {}
    for file, number in numbers_of.items():
        prefix = f'{file}/' if file in PREFIXED else ''
        for i, name in enumerate(NAMES[file], start=1):
            out[prefix + name] = number[voxels] == i
    for name, parts in areas.UNIONS.items():
        if set(parts) <= set(out):
            out[name] = np.any([out[part] for part in parts], 0)
    return out


def _of(brain: brains.Brain, file: str, members: dict) -> np.ndarray:
    """Masks by label -> numbers [v]."""
    out = np.zeros(len(brain.area), np.int16)
    for name, mask in members.items():
        out[mask] = NAMES[file].index(name) + 1
    return out


def _rank(brain: brains.Brain, mask: np.ndarray, towards) -> np.ndarray:
    """[v]: how far along `towards` a voxel of an area lies, 0 .. 1 by rank in its hemisphere."""
    along, out = brain.xyz @ np.array(towards, float), np.zeros(len(mask))
    for side in (0, 1):
        here = np.flatnonzero(mask & (brain.hemisphere == side))
        out[here[np.argsort(along[here], kind='stable')]] = np.arange(len(here)) / max(len(here), 1)
    return out
