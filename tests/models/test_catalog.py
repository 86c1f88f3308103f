"""Our table of names against open_clip's own."""

from actcli.models.catalog import PERMISSIVE, entries, read_architecture
from tests.models.make_catalog import count_parameters, make_rows


def test_the_table_says_what_open_clips_tables_say() -> None:
    expected = make_rows(with_sizes=False)
    assert list(entries()) == list(expected)
    for name, row in expected.items():
        del row["num_parameters"]
        entry = entries()[name]
        assert {key: getattr(entry, key) for key in row} == row, name


def test_architectures_are_what_open_clip_builds() -> None:
    import open_clip

    for name in {entry.architecture for entry in entries().values()}:
        assert read_architecture(name) == open_clip.get_model_config(name), name


def test_activations_are_what_open_clip_knows_of_the_weights() -> None:
    import open_clip

    for entry in entries().values():
        tag = entry.name.partition("/")[2]
        known = open_clip.get_pretrained_cfg(entry.architecture, tag)
        assert entry.quick_gelu == bool(known.get("quick_gelu")), entry.name


def test_sizes_are_those_of_the_models() -> None:
    for name in ("ViT-B-32/openai", "PE-Core-S-16-384/meta"):
        entry = entries()[name]
        assert entry.num_parameters == count_parameters(entry.architecture)
    # The hub's page says 349 MB.
    assert round((entries()["PE-Core-S-16-384/meta"].about_bytes or 0) / 1e6) == 349


def test_every_alias_may_be_used_for_anything() -> None:
    named = [entry for entry in entries().values() if entry.alias]
    assert len(named) == 4
    assert {entry.licence for entry in named} <= PERMISSIVE
