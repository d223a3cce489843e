"""Tests of languages and their scripts."""

import pyarrow as pa
import pytest

from babelrank.components.translation.scripts import (
    code_points,
    letters_in_a_character,
    scripts_of,
    wrong_script,
)


def wrong(language, *texts, allowed=0.5):
    array = pa.array(texts)
    return wrong_script(array, *code_points(array), language, allowed).tolist()


def test_code_points():
    characters, offsets = code_points(pa.array(["a𝄞", "", "é"]))
    assert (characters.tolist(), offsets.tolist()) == ([97, 0x1D11E, 233], [0, 2, 2, 3])


@pytest.mark.parametrize(
    ("language", "scripts"),
    [
        ("de", ("Latin",)),
        ("PT_br", ("Latin",)),
        ("zh-Hans", ("Han", "Bopomofo")),
        ("sr", ("Cyrillic", "Latin")),
        ("sr-Cyrl-RS", ("Cyrillic",)),
        ("ja", ("Han", "Hiragana", "Katakana")),
        ("tlh", ()),
    ],
)
def test_scripts(language, scripts):
    assert scripts_of(language) == scripts


def test_letters_in_a_character():
    codes = ("en", "ru", "zh", "ja", "ko", "tlh")
    assert [letters_in_a_character(code) for code in codes] == [1, 1, 3, 2, 2, 1]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Über Straßen, ﬁnden – „ja“!"),
        ("de", "Ihr Name ist Елизавета Петровна Иванова, glaube ich, sagte sie mir."),
        ("de", "α = β"),
        ("de", "12:30 … 🎉 ٣"),
        ("ru", "OK, Windows."),
        ("ru", "Пример: “flatpages/contact_page.html” и https://example.org/very/long"),
        ("ja", "%(filter_title)s %(another_long_name)s で"),
        ("ja", "ラーメン"),
        ("zh", "我们用 Kubernetes 和 Docker 部署服务"),
        ("hi", "नमस्ते दुनिया"),
        ("ar", "السلام عليكم"),
        ("he", "שָׁלוֹם"),
        ("ko", "안녕하세요"),
        ("th", "สวัสดี"),
        ("sr", "Zdravo / Здраво"),
        ("tlh", "Привет, 世界"),
        ("de", ""),
    ],
)
def test_good_texts(language, text):
    assert wrong(language, text) == [False]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Привет!"),
        ("de", "今天天气很好"),
        ("ru", "This is not in Russian at all."),
        ("ja", "This was never translated, sorry."),
        ("zh", "すべてのものはここにあります。すべてのものはここにあります。"),
        ("sr-Cyrl", "Zdravo svete, kako si danas?"),
        ("ar", "Здравствуй, дорогой мир и все остальные"),
    ],
)
def test_texts_in_another_script(language, text):
    assert wrong(language, text, "", text + text) == [True, False, True]


def test_the_share_that_is_allowed():
    text = "abcd абвгде"  # 6 of 10 letters
    assert wrong("en", text, allowed=0.5) == [True]
    assert wrong("en", text, allowed=0.6) == [False]
    assert wrong("en", text, allowed=1.0) == [False]
