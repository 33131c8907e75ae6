import pytest

from recon.core import errors
from recon.data.formats import coco_table


def test_the_table_has_the_published_order_and_gaps():
    table = coco_table.table()
    assert len(table.names) == 133 and table.things.sum() == 80 and table.things[:80].all()
    known = {0: (1, 'person'), 11: (13, 'stop sign'), 79: (90, 'toothbrush'), 80: (92, 'banner')}
    known |= {116: (184, 'tree-merged'), 119: (187, 'sky-other-merged'), 132: (200, 'rug-merged')}
    for index, (number, name) in known.items():
        assert (table.ids[index], table.names[index]) == (number, name)
    things = set(range(1, 91)) - {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    assert set(table.ids[:80].tolist()) == things


def test_an_id_is_found_by_the_table_and_never_by_subtracting_one():
    assert coco_table.table().index([1, 13, 90, 92, 200], '').tolist() == [0, 11, 79, 80, 132]
    assert coco_table.table().index([], '').tolist() == []


@pytest.mark.parametrize('wrong', [0, 12, 83, 91, 201, -1])
def test_an_id_in_a_gap_is_refused(wrong):
    with pytest.raises(errors.DataInvalid, match=f'category id {wrong} is not in the table.*here'):
        coco_table.table().index([1, wrong], 'here')


def test_names_are_said_as_people_say_them():
    said = ['sky-other-merged', 'door-stuff', 'floor-wood', 'wall-brick', 'tree-merged', 'cat']
    said += ['window-blind', 'floor-other-merged']
    wanted = ['sky', 'door', 'wood floor', 'brick wall', 'tree', 'cat', 'window blind', 'floor']
    assert [coco_table.words(name) for name in said] == wanted
