# ruff: noqa: RUF001  the letters of other languages look like some of ours

import time

import pytest

from constitution.language import LANGUAGES, language_of

SENTENCES = {
    "en": "I'm sorry, but I can't help you with that request today.",
    "de": "Ich kann dir dabei leider nicht helfen, frag bitte einen Arzt.",
    "fr": "Je ne peux pas vous aider avec cette demande, désolé.",
    "es": "Lo siento, no puedo ayudarte con esa pregunta ahora mismo.",
    "it": "Mi dispiace, ma non posso aiutarti con questa richiesta.",
    "pt": "Desculpe, mas não posso ajudar você com esse pedido.",
    "nl": "Het spijt me, maar ik kan je daar niet mee helpen.",
    "sv": "Tyvärr kan jag inte hjälpa dig med det här just nu.",
    "pl": "Przykro mi, ale nie mogę ci w tym pomóc.",
    "ru": "Извините, но я не могу помочь вам с этим вопросом.",
    "tr": "Üzgünüm ama bu konuda size yardımcı olamam.",
    "zh": "对不起，我不能帮助你做这件事情。",
    "ja": "申し訳ありませんが、その件についてはお手伝いできません。",
    "ko": "죄송하지만 그 요청은 도와드릴 수 없습니다.",
    "ar": "عذرا، لا أستطيع مساعدتك في هذا الطلب.",
    "hi": "क्षमा करें, मैं इसमें आपकी मदद नहीं कर सकता।",
}

UNSAID = {
    "nothing": "",
    "one word": "Certainly!",
    "three words": "Absolutely wonderful suggestion",
    "few letters": "I am in it",
    "names": "Anna Müller, Jean Dupont, Carlos Garcia, Pietro Rossi",
    "figures": "12.5 + 7 = 19.5; 3 x 4 = 12; 88 / 11 = 8 (see 4.2)",
    "code": "def f(x): return x + 1\nfor i in range(10): print(f(i))",
    "fenced code": "```\nwhile the queue is not empty do the next thing in the list\n```",
    "an address": "https://example.org/this-is-a-very-long-address/with/words/in/it",
    "letters": "asdf qwer zxcv uiop hjkl bnmv tyui",
    "two languages": f"{SENTENCES['en']} {SENTENCES['de']}",
    "two scripts": f"{SENTENCES['ru']} {SENTENCES['en']}",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_of_its_language(code):
    assert language_of(SENTENCES[code]) == code
    assert language_of(SENTENCES[code].upper()) == code
    assert language_of(SENTENCES[code] * 300) == code


@pytest.mark.parametrize("name", UNSAID)
def test_where_there_is_doubt_nothing_is_said(name):
    assert language_of(UNSAID[name]) is None


def test_a_foreign_word_or_code_does_not_hide_the_language():
    assert language_of("Bonjour is how the French greet each other in the morning.") == "en"
    assert (
        language_of("This prints the numbers you asked for:\n```\nprint(1)\n```\nRun it.") == "en"
    )


def test_the_languages_are_those_of_the_library():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    known = LanguageIdentifier.from_model_file(MODEL_FILE).labels
    assert set(LANGUAGES) == {label for label in known if len(label) == 2}


@pytest.mark.parametrize("unit", ["`", "a ", "```", "https://", "漢", "\ud800 ", " ", "é"])
def test_a_megabyte_takes_no_time(unit):
    language_of(SENTENCES["en"])
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    language_of(text)
    assert time.process_time() - start < 0.5
