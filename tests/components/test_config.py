"""Tests of dataclasses from and to YAML: every kind of error, every kind of field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from babelrank.components.config import (
    apply_override,
    commented_yaml,
    from_dict,
    load_yaml,
    option,
    required,
    section,
    to_dict,
)
from babelrank.components.errors import BabelRankError, ConfigError


@dataclass(frozen=True, kw_only=True)
class Wheel:
    size: int = option(20, "Inches.")
    spokes: int | None = option(None, "How many.")

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"size: got {self.size}; takes 1 or more.")

    @classmethod
    def from_shorthand(cls, value: Any, key: str) -> dict[str, Any]:
        return {"size": value}


@dataclass(frozen=True, kw_only=True)
class Bell:
    loud: bool = option(False, "Whether one hears it.")


@dataclass(frozen=True, kw_only=True)
class Bicycle:
    name: str = required("Its name.", "Rosinante")
    price: float = option(99.5, "What it costs.")
    colour: Literal["red", "blue"] = option("red", "Colour.")
    key: str | int | None = option(None, "Of its lock: a word or a number.")
    tags: tuple[str, ...] = option((), "Words.")
    wheels: tuple[Wheel, ...] = option((), "Its wheels.")
    bells: dict[str, Bell] = option({}, "By place.")
    ratios: dict[str, float] = option({"one": 1.0}, "Gear ratios.")
    spare: Wheel = section(Wheel, "A wheel more.")
    extra: Any = option(None, "Anything at all.")


FULL = {
    "name": "x",
    "price": 3,
    "colour": "blue",
    "tags": ["a", "b"],
    "wheels": [26, {"size": 28, "spokes": 36}],
    "bells": {"front": {"loud": True}},
    "ratios": {"low": 2},
    "spare": {"spokes": 12},
    "extra": {"a": [1]},
}


def test_every_kind_of_field():
    bicycle = from_dict(Bicycle, FULL)
    assert bicycle == Bicycle(
        name="x",
        price=3.0,
        colour="blue",
        tags=("a", "b"),
        wheels=(Wheel(size=26), Wheel(size=28, spokes=36)),
        bells={"front": Bell(loud=True)},
        ratios={"low": 2.0},
        spare=Wheel(spokes=12),
        extra={"a": [1]},
    )
    assert isinstance(bicycle.price, float)
    assert isinstance(bicycle.ratios["low"], float)


def test_to_dict_and_back():
    bicycle = from_dict(Bicycle, FULL)
    plain = to_dict(bicycle)
    assert plain["wheels"] == [{"size": 26, "spokes": None}, {"size": 28, "spokes": 36}]
    assert plain["tags"] == ["a", "b"]
    assert from_dict(Bicycle, plain) == bicycle
    assert from_dict(Bicycle, yaml.safe_load(yaml.safe_dump(plain))) == bicycle


@pytest.mark.parametrize("value", [None, "word", 4, 0])
def test_one_of_two_scalars(value: Any):
    key = from_dict(Bicycle, {"name": "x", "key": value}).key
    assert key == value
    assert type(key) is type(value)


def test_mutable_defaults_are_not_shared():
    Bicycle(name="a").ratios["two"] = 2.0
    assert Bicycle(name="b").ratios == {"one": 1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nmae": "y"}, r"^nmae: unknown key\. Did you mean name\? Takes name, price, colour"),
        ({"zzz": 1}, r"^zzz: unknown key\. Takes name"),
        ({7: 1}, r"^7: unknown key\. Takes"),
        ({"name": 5}, r"^name: got 5 \(int\); takes text\. Quotes make it text\.$"),
        ({"name": None}, r"^name: got None \(NoneType\); takes text\.$"),
        ({"name": True}, r"^name: got True \(bool\); takes text\. Quotes make it text\.$"),
        ({"price": "dear"}, r"^price: got 'dear' \(str\); takes a number\.$"),
        ({"key": True}, r"^key: got True \(bool\); takes text or a whole number or null\.$"),
        ({"key": 1.5}, r"^key: got 1\.5 \(float\); takes text or a whole number or null\.$"),
        ({"price": True}, r"^price: got True \(bool\); takes a number\.$"),
        ({"price": [1]}, r"^price: got \[1\] \(list\); takes a number\.$"),
        ({"price": float("nan")}, r"^price: got nan \(float\); takes a number\.$"),
        ({"price": "nan"}, r"^price: got 'nan' \(str\); takes a number\.$"),
        ({"price": float("inf")}, r"^price: got inf \(float\); takes a number\.$"),
        ({"price": 10**400}, r"^price: got 1000.*… \(int\); takes a number\.$"),
        (
            {"colour": "blu"},
            r"^colour: got 'blu' \(str\); takes one of red, blue\. Did you mean blue\?$",
        ),
        ({"colour": 7}, r"^colour: got 7 \(int\); takes one of red, blue\."),
        ({"colour": ["red"]}, r"^colour: got \['red'\] \(list\); takes one of red, blue\."),
        ({"tags": "a, b"}, r"^tags: got 'a, b' \(str\); takes a list of text\.$"),
        ({"tags": ["a", 2]}, r"^tags\[1\]: got 2 \(int\); takes text\. Quotes make it text\.$"),
        ({"wheels": [{"size": "big"}]}, r"^wheels\[0\]\.size: got 'big' \(str\); takes a whole"),
        ({"wheels": [{"size": 1.5}]}, r"^wheels\[0\]\.size: got 1.5 \(float\); takes a whole"),
        ({"wheels": [{"size": True}]}, r"^wheels\[0\]\.size: got True \(bool\); takes a whole"),
        ({"wheels": [{"spokes": "x"}]}, r"^wheels\[0\]\.spokes: got 'x' \(str\); takes a whole"),
        ({"wheels": [0]}, r"^wheels\[0\]\.size: got 0; takes 1 or more\.$"),
        ({"bells": ["front"]}, r"^bells: got \['front'\] \(list\); takes a mapping of names to a"),
        ({"bells": {"front": {"loud": "yes"}}}, r"^bells\.front\.loud: got 'yes' \(str\); takes t"),
        ({"bells": {"front": 1}}, r"^bells\.front: got 1 \(int\); takes a mapping\.$"),
        ({"bells": {"front": {"lod": 1}}}, r"^bells\.front\.lod: unknown key\. Did you mean loud"),
        ({"spare": {"size": 0}}, r"^spare\.size: got 0; takes 1 or more\.$"),
    ],
)
def test_errors_name_the_key(change: dict[Any, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        from_dict(Bicycle, {**FULL, **change})


def test_missing_and_not_a_mapping():
    with pytest.raises(ConfigError, match=r"^name: missing; takes text\.$"):
        from_dict(Bicycle, {})
    with pytest.raises(ConfigError, match=r"^configuration: got 3 \(int\); takes a mapping\.$"):
        from_dict(Bicycle, 3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^toys\.bike\.name: missing"):
        from_dict(Bicycle, {}, "toys.bike")


def test_error_is_a_value_error_too():
    assert issubclass(ConfigError, ValueError)
    assert issubclass(ConfigError, BabelRankError)


def test_number_that_yaml_reads_as_text():
    assert from_dict(Bicycle, {"name": "x", "price": yaml.safe_load("1e-3")}).price == 0.001


class TestLoadYaml:
    def load(self, tmp_path: Path, text: str, *overrides: str) -> Bicycle:
        path = tmp_path / "bicycle.yaml"
        path.write_text(text, encoding="utf-8")
        return load_yaml(Bicycle, path, overrides)

    def test_plain(self, tmp_path: Path):
        found = self.load(tmp_path, "name: é\nwheels: [26]\n")
        assert (found.name, found.wheels) == ("é", (Wheel(size=26),))

    def test_byte_order_mark(self, tmp_path: Path):
        assert self.load(tmp_path, "\ufeffname: x\n").name == "x"

    def test_merge_key(self, tmp_path: Path):
        text = "name: x\nbells: {a: &a {loud: true}, b: {<<: *a}, c: {<<: *a, loud: false}}\n"
        found = self.load(tmp_path, text)
        assert [bell.loud for bell in found.bells.values()] == [True, True, False]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "name: missing"),
            ("- a\n", r"got \['a'\] \(list\); takes a mapping of sections"),
            ("name: [\n", "not valid YAML"),
            ("name: x\x07\n", "not valid YAML"),
            ("name: a\nname: b\n", r"the key 'name' stands twice(.|\n)*line 2"),
            ("name: a\nspare: {size: 1, size: 2}\n", "the key 'size' stands twice"),
            ("name: {{ name }}\n", "not valid YAML(.|\n)*takes a name(.|\n)*line 1"),
            ("name: a\ncolor: red\n", r"bicycle\.yaml: color: unknown key\. Did you mean colour"),
        ],
    )
    def test_bad_files(self, tmp_path: Path, text: str, message: str):
        with pytest.raises(ConfigError, match=message) as caught:
            self.load(tmp_path, text)
        assert "bicycle.yaml" in str(caught.value)

    def test_unreadable_files(self, tmp_path: Path):
        with pytest.raises(ConfigError, match="none.yaml: cannot read the configuration file"):
            load_yaml(Bicycle, tmp_path / "none.yaml")
        with pytest.raises(ConfigError, match="cannot read the configuration file"):
            load_yaml(Bicycle, tmp_path)
        (tmp_path / "latin.yaml").write_bytes("name: é\n".encode("latin-1"))
        with pytest.raises(ConfigError, match="latin.yaml: cannot read"):
            load_yaml(Bicycle, tmp_path / "latin.yaml")

    def test_overrides_come_in_order(self, tmp_path: Path):
        found = self.load(
            tmp_path, "name: x\n", "price=5", "spare.size=3", "price=1e1", "tags=[a, b]", "extra="
        )
        assert (found.price, found.spare.size, found.tags) == (10.0, 3, ("a", "b"))

    def test_overrides_are_checked_like_keys(self, tmp_path: Path):
        with pytest.raises(ConfigError, match=r"spare\.siz: unknown key\. Did you mean size"):
            self.load(tmp_path, "name: x\n", "spare.siz=3")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("price", r"^--set price: takes key=value, such as training\.epochs=3\.$"),
        ("=3", r"^--set =3: takes key=value"),
        ("name.first=a", r"^--set name\.first: name holds 'x' \(str\), not a mapping\.$"),
    ],
)
def test_bad_overrides(assignment: str, message: str):
    with pytest.raises(ConfigError, match=message):
        apply_override({"name": "x"}, assignment)


def test_an_override_that_is_no_yaml_is_text():
    data: dict[str, Any] = {}
    apply_override(data, "positive=> 15")
    assert data == {"positive": "> 15"}
    apply_override(data, "positive=!= 0")
    assert data == {"positive": "!= 0"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{a: 1, a: 2}", "--set spare: not valid YAML: the key 'a' stands twice"),
        ("[" * 1_000, "--set spare: not valid YAML: nested too deeply"),
        ('"\\0"', r"a text holds U\+0000"),
        ('"\\UFFFFFFFF"', "--set spare: not valid YAML"),
    ],
)
def test_an_override_that_is_yaml_but_no_data_is_an_error(value: str, message: str):
    data: dict[str, Any] = {}
    with pytest.raises(ConfigError, match=message):
        apply_override(data, f"spare={value}")
    assert data == {}


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1])
def test_numbers_beside_texts_have_64_bits_too(value: int):
    with pytest.raises(ConfigError, match=r"^key: got .+; takes a number of 64 bits\.$"):
        from_dict(Bicycle, {"name": "x", "key": value})


def test_an_override_does_not_reach_other_sections_through_an_alias():
    data = yaml.safe_load("a: &a {b: {size: 1}}\nc: *a\n")
    apply_override(data, "a.b.size=2")
    assert data == {"a": {"b": {"size": 2}}, "c": {"b": {"size": 1}}}


def test_override_fills_an_empty_section():
    data: dict[str, Any] = {"spare": None}
    apply_override(data, " spare.size =3")
    apply_override(data, "name=a=b")
    assert data == {"spare": {"size": 3}, "name": "a=b"}


def test_commented_yaml_loads_and_holds_the_defaults(tmp_path: Path):
    text = commented_yaml(Bicycle)
    path = tmp_path / "default.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_yaml(Bicycle, path) == Bicycle(name="Rosinante")
    for line in ("# Its name. (text)", "name: Rosinante", "spare:", "  # Inches. (a whole number)"):
        assert line in text.splitlines()
    assert "# Colour. (one of red, blue)" in text


def test_commented_yaml_wraps_long_help(tmp_path: Path):
    @dataclass(frozen=True, kw_only=True)
    class Long:
        key: str = option("a: b # c", "word " * 60)

    lines = commented_yaml(Long).splitlines()
    assert max(map(len, lines)) <= 100
    assert yaml.safe_load("\n".join(lines)) == {"key": "a: b # c"}
