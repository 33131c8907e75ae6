"""What the numbers of NSD's ROI files are called where a copy lacks its tables, and joint areas."""

_STRIPS = ('V1v', 'V1d', 'V2v', 'V2d', 'V3v', 'V3d', 'hV4')
_HCP_MMP1 = """
V1 MST V6 V2 V3 V4 V8 4 3b FEF PEF 55b V3A RSC POS2 V7 IPS1 FFC V3B LO1 LO2 PIT MT A1 PSL SFL PCV
STV 7Pm 7m POS1 23d v23ab d23ab 31pv 5m 5mv 23c 5L 24dd 24dv 7AL SCEF 6ma 7Am 7Pl 7PC LIPv VIP MIP
1 2 3a 6d 6mp 6v p24pr 33pr a24pr p32pr a24 d32 8BM p32 10r 47m 8Av 8Ad 9m 8BL 9p 10d 8C 44 45 47l
a47r 6r IFJa IFJp IFSp IFSa p9-46v 46 a9-46v 9-46d 9a 10v a10p 10pp 11l 13l OFC 47s LIPd 6a i6-8
s6-8 43 OP4 OP1 OP2-3 52 RI PFcm PoI2 TA2 FOP4 MI Pir AVI AAIC FOP1 FOP3 FOP2 PFt AIP EC PreS H
ProS PeEc STGa PBelt A5 PHA1 PHA3 STSda STSdp STSvp TGd TE1a TE1p TE2a TF TE2p PHT PH TPOJ1 TPOJ2
TPOJ3 DVT PGp IP2 IP1 IP0 PFop PF PFm PGi PGs V6A VMV1 VMV3 PHA2 V4t FST V3CD LO3 VMV2 31pd 31a
VVC 25 s32 pOFC PoI1 Ig FOP5 p10p p47r TGv MBelt LBelt A4 STSva TE1m PI a32pr p24
"""  # Glasser et al. 2016, 1 to 180, the same in both hemispheres
NAMES = {  # file -> names of 1, 2, ...
    'prf-visualrois': _STRIPS,
    'prf-eccrois': ('ecc0pt5', 'ecc1', 'ecc2', 'ecc4', 'ecc4+'),
    'floc-faces': ('OFA', 'FFA-1', 'FFA-2', 'mTL-faces', 'aTL-faces'),
    'floc-bodies': ('EBA', 'FBA-1', 'FBA-2', 'mTL-bodies'),
    'floc-places': ('OPA', 'PPA', 'RSC'),
    'floc-words': ('OWFA', 'VWFA-1', 'VWFA-2', 'mfs-words', 'mTL-words'),
    'streams': (
        *('early', 'midventral', 'midlateral', 'midparietal'),
        *('ventral', 'lateral', 'parietal'),
    ),
    'nsdgeneral': ('nsdgeneral',),
    'Kastner2015': (
        *_STRIPS,
        *('VO1', 'VO2', 'PHC1', 'PHC2', 'MST', 'hMT', 'LO2', 'LO1', 'V3b', 'V3a'),
        *('IPS0', 'IPS1', 'IPS2', 'IPS3', 'IPS4', 'IPS5', 'SPL1', 'FEF'),
    ),
    'HCP_MMP1': tuple(_HCP_MMP1.split()),
    'thalamus': ('LGN', 'SC', 'Vpu', 'DLpu', 'DMpu'),
    'MTL': ('ErC', 'area35', 'area36', 'PhC', 'Sub', 'CA1', 'CA2', 'CA3', 'DG', 'HT'),
}
# Labels of these files go by their own names, of all others as 'file/label': atlases share names.
PLAIN = tuple(name for name in NAMES if name not in ('Kastner2015', 'HCP_MMP1'))
VOLUMES_ALONE = ('thalamus', 'MTL')  # no surface, so no table either
# Another name by which a copy's table may call a label.
ALIASES = {'Kastner2015/MST': ('TO2', 'MST(TO2)'), 'Kastner2015/hMT': ('TO1', 'hMT(TO1)', 'MT')}
# Voxels of nsdgeneral at func1pt8mm, subjects 1 to 8, as published.
PUBLISHED = (15724, 14278, 15226, 13153, 13039, 17907, 12682, 14386)


def _kastner(names: str) -> tuple[str, ...]:
    return tuple(f'Kastner2015/{name}' for name in names.split())


_IPS = _kastner('IPS0 IPS1 IPS2 IPS3 IPS4 IPS5')
_FLOC = tuple(name for file in NAMES if file.startswith('floc-') for name in NAMES[file])
# Joint area -> its definitions; the first whose labels the copy has counts. LVC and HVC are those
# of MindDiffuser (Lu et al. 2023), which together are its voxels of NSD.
UNIONS = {
    'V1': (('V1v', 'V1d'),),
    'V2': (('V2v', 'V2d'),),
    'V3': (('V3v', 'V3d'),),
    'FFA': (('FFA-1', 'FFA-2'),),
    'FBA': (('FBA-1', 'FBA-2'),),
    'VWFA': (('VWFA-1', 'VWFA-2'),),
    'early_visual': (_STRIPS,),
    'Kastner2015/V1': (_kastner('V1v V1d'),),
    'Kastner2015/V2': (_kastner('V2v V2d'),),
    'Kastner2015/V3': (_kastner('V3v V3d'),),
    'Kastner2015/VO': (_kastner('VO1 VO2'),),
    'Kastner2015/PHC': (_kastner('PHC1 PHC2'),),
    'Kastner2015/LO': (_kastner('LO1 LO2'),),
    'Kastner2015/IPS': (_IPS,),
    'LVC': (_kastner(' '.join(_STRIPS)), _STRIPS),
    'HVC': ((*_kastner('VO1 VO2 PHC1 PHC2 hMT MST LO1 LO2'), *_IPS), _FLOC),
}


def unlike(tables: dict[str, dict[int, str]]) -> list[str]:
    """A sentence for each known file whose table {number: name} gives other names than NSD's."""
    out = []
    for file, names in tables.items():
        known = dict(enumerate(NAMES.get(file, ()), start=1))
        both = sorted(known.keys() & names.keys())
        other = [
            k
            for k in both
            if names[k] not in (known[k], *ALIASES.get(f'{file}/{known[k]}', ()), f'{file}-{k}')
        ]
        if other:
            k = other[0]
            out.append(
                f'{file}: its table calls label {k} {names[k]!r}, known as {known[k]!r}, and '
                f'{len(other)} of {len(both)} labels otherwise than known; they go by the table'
            )
    return out
