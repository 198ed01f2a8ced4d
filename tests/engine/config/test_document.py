from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import document
from engine.config.document import read_document
from engine.errors import ConfigError
from tests.examples import examples


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_document(path)
    message = str(caught.value)
    assert str(path) in message
    return message


def test_places_count_from_one_and_follow_keys_and_list_positions(tmp_path: Path) -> None:
    path = written(tmp_path, "a.yaml", "top: 1\nitems:\n  - name: x\n    deep: {stopLoss: 2}\n")
    found = read_document(path)
    assert found.data == {"top": 1, "items": [{"name": "x", "deep": {"stopLoss": 2}}]}
    assert found.place(()) == (1, 1)
    assert found.place(("items", 0)) == (3, 5)
    assert found.place(("items", 0, "deep", "stopLoss")) == (4, 12)
    assert found.where(("top",)) == f"{path}:1:1"


def test_a_place_is_found_in_either_naming_style(tmp_path: Path) -> None:
    found = read_document(written(tmp_path, "a.yaml", "risk:\n  stop_loss: 1\n"))
    assert found.place(("risk", "stopLoss")) == (2, 3)
    assert found.has(("risk", "stopLoss"))
    assert not found.has(("risk", "takeProfit"))


def test_a_missing_part_has_the_place_of_what_is_around_it(tmp_path: Path) -> None:
    found = read_document(written(tmp_path, "a.yaml", "x: 1\nrisk:\n  a: 1\n"))
    assert found.place(("risk", "nope", "deeper")) == (2, 1)
    assert found.place(("items", 7)) == (1, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e5", 1e5),
        ("-1.5e-3", -0.0015),
        ("+.5", 0.5),
        ("1_000_000", 1_000_000),
        ("0x10", 16),
        ("true", True),
        ("no", "no"),
        ("on", "on"),
        ("010", "010"),
        ("12:30", "12:30"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("1m", "1m"),
        ("1e", "1e"),
        ("~", None),
        ("'1'", "1"),
    ],
)
def test_plain_values_are_what_people_mean_by_them(
    tmp_path: Path, text: str, value: object
) -> None:
    found = read_document(written(tmp_path, "a.yaml", f"v: {text}\n")).data["v"]
    assert found == value
    assert type(found) is type(value)


def test_merge_keys_work_and_own_fields_win_with_their_own_place(tmp_path: Path) -> None:
    text = "base: &b {x: 1, y: 2}\nreal:\n  <<: *b\n  y: 3\n"
    found = read_document(written(tmp_path, "a.yaml", text))
    assert found.data["real"] == {"x": 1, "y": 3}
    assert found.place(("real", "y")) == (4, 3)
    assert found.place(("real", "x")) == (1, 11)


def test_json_with_tabs_has_places(tmp_path: Path) -> None:
    found = read_document(written(tmp_path, "a.json", '{\n\t"a": {"b":\t1e3}\n}'))
    assert found.data == {"a": {"b": 1000.0}}
    assert found.place(("a", "b")) == (2, 8)


def test_json_that_yaml_cannot_read_is_read_without_places(tmp_path: Path) -> None:
    found = read_document(written(tmp_path, "a.json", '{"a": "\\ud83d\\ude00", "b": [1,2]}'))
    assert found.data["b"] == [1, 2]
    assert found.data["a"] == "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.yaml", "", "is empty"),
        ("blank.json", " \n", "is empty"),
        ("comments.yaml", "# only this\n", "only comments"),
        ("random.yaml", b"\x93\xfa\x00\x01", "not a text file (byte 0"),
        ("nul.yaml", "a: \x00b\n", "NUL"),
        ("colon.yaml", "a: b: c\n", ":1:5: not valid YAML"),
        ("tab.yaml", "a:\n\t- b\n", ":2:1: not valid YAML"),
        ("two.yaml", "a: 1\n---\nb: 2\n", "another document"),
        ("tag.yaml", "a: !!python/object/apply:os.system [ls]\n", ":1:4: not valid YAML"),
        ("twice.yaml", "a: 1\nb: 2\na: 3\n", ":3:1: 'a' stands twice"),
        ("deep_twice.yaml", "x: [{a: 1, a: 2}]\n", ":1:12: 'a' stands twice"),
        ("listkey.yaml", "? [a]\n: 1\n", "a key must be plain text"),
        ("alias.yaml", "a: &a [*a]\n", ":1:4: an alias contains itself"),
        ("comma.json", '{"a": 1,}', "not valid JSON"),
        ("twice.json", '{"a": 1,\n "a": 2}', ":2:2: 'a' stands twice"),
        ("nan.json", '{"a": NaN}', "NaN is not a JSON number"),
        ("infinity.json", '{"a": -Infinity}', "-Infinity is not a JSON number"),
        ("cut.json", '{"a": [1, 2', ":1:12: not valid JSON"),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    assert said in refusal(written(tmp_path, name, content))


@pytest.mark.parametrize("name", ["deep.yaml", "deep.json"])
def test_a_hundred_thousand_levels_are_refused_quickly(tmp_path: Path, name: str) -> None:
    assert "nested deeper than 64" in refusal(written(tmp_path, name, "[" * 100_000))


def test_aliases_that_multiply_are_refused_before_they_are_expanded(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert "aliases expand to" in refusal(written(tmp_path, "bomb.yaml", "\n".join(lines)))


def test_a_chain_of_aliases_cannot_get_around_the_depth(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100))]
    assert "deep" in refusal(written(tmp_path, "chain.yaml", "\n".join(lines)))


def test_a_file_beyond_the_size_limit_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "MAX_BYTES", 100)
    message = refusal(written(tmp_path, "big.yaml", "a: 1\n" * 30))
    assert "more than the 100 bytes" in message


def test_a_device_that_never_ends_is_not_read_for_ever() -> None:
    assert "more than the" in refusal(Path("/dev/zero"))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_a_missing_file_names_what_there_is_instead(tmp_path: Path) -> None:
    written(tmp_path, "demo.yaml", "a: 1\n")
    assert "there is demo.yaml" in refusal(tmp_path / "dmeo.yaml")
    assert "does not exist either" in refusal(tmp_path / "nowhere" / "demo.yaml")


def test_a_file_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "secret.yaml", "a: 1\n")

    def deny(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    assert "no permission" in refusal(path)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@examples(60)
@given(data=st.dictionaries(st.text(min_size=1, max_size=6), plain, min_size=1, max_size=4))
def test_every_json_object_is_read_as_json_reads_it(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("json") / "x.json"
    text = json.dumps(data, indent=1)
    if "\\u0000" not in text:
        path.write_text(text, encoding="utf-8")
        assert read_document(path).data == json.loads(text)
