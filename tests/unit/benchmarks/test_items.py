import pyarrow as pa
import pyarrow.parquet as pq

from lorascope.benchmarks.items import Item, from_table, schema, to_table

ITEM = Item(
    item_id="animal-multi/cat34",
    category="animal-multi",
    track="animal",
    hop="multi",
    clip="data/Animal/audio/cat34.wav",
    clip_sha256="ab" * 32,
    clip_seconds=1.25,
    question="What does it do?  (a) 喵喵 (b) bark",
    options=(("a", "喵喵"), ("b", "bark")),
    gold="a",
    answer=" (a) 喵喵",
    answers=(" (a) 喵喵", "meow"),
    label="cat",
)


def test_items_survive_a_parquet_file(tmp_path):
    other = Item(**{**vars(ITEM), "item_id": "animal-multi/dog", "options": (("a", "it"),)})
    table = to_table([ITEM, other])
    pq.write_table(table, tmp_path / "items.parquet")
    assert from_table(pq.read_table(tmp_path / "items.parquet")) == [ITEM, other]


def test_the_table_has_the_fields_of_an_item():
    assert to_table([ITEM]).schema == schema()
    assert schema().names == list(vars(ITEM))
    assert schema().field("clip_seconds").type == pa.float64()
    assert pa.types.is_list(schema().field("options").type)


def test_no_items():
    assert to_table([]).schema == schema()
    assert from_table(to_table([])) == []
