"""The language model of `evaluate --protocol t3bench`, over real sockets: every bad answer is a sentence."""

import time

import pytest
from loopback_llm import Raw, llm

from backend.errors import UserError
from backend.studies.evaluate.protocols.llm import GIVE_UP, LLM, LLMError, caption, grade
from backend.studies.evaluate.protocols.t3bench import alignment

BAD = {
    "an error": (Raw(500, b"out of memory"), r"the LLM answers with the error 500 \(out of memory\)"),
    "another key": (Raw(401, b"bad key secret"), "refuses the key .401.; set SPLATSMITH_LLM_KEY"),
    "a redirect": (Raw(302, b""), "the error 302"),
    "no JSON": (Raw(body=b"<html>"), "not that of an OpenAI-like server"),
    "other JSON": (Raw(body=b'{"choices": []}'), "not that of an OpenAI-like server"),
    "a number": (Raw(body=b"3"), "not that of an OpenAI-like server"),
    "a refusal": (Raw(body=b'{"choices": [{"message": {"content": null, "refusal": "no"}}]}'), "refuses to answer"),
    "nothing": ("  ", "refuses to answer"),
    "no end": (Raw(body=b"x" * 1_100_000), "does not end"),
    "silence": (Raw(hang=True), "did not answer within 0.3 s"),
    "a dribble": (Raw(slow=True), "did not answer within 0.3 s"),
}


@pytest.mark.parametrize(("reply", "said"), BAD.values(), ids=BAD)
def test_bad_answers_are_sentences(reply, said):
    with llm(lambda *_: reply) as server:
        began = time.monotonic()
        with pytest.raises(LLMError, match=said) as error:
            LLM(server.url, "tiny", timeout=0.3).ask("?")
    assert time.monotonic() - began < 3
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_a_question_is_asked_as_openai_has_it_and_the_key_goes_along():
    with llm(lambda number, question: f"{number} {question}") as server:
        model = LLM(server.url + "/", "tiny", key="secret")
        assert model.ask("why?") == "1 why?"
        other = LLM(f"{server.url}/chat/completions?api-key=secret", "tiny")
        assert other.ask("and?") == "2 and?"
        assert other.name == model.name == f"{server.url}/chat/completions"
    assert server.asked[1]["path"] == "/v1/chat/completions?api-key=secret"
    assert server.keys == ["Bearer secret", None]
    assert server.asked[0] == {
        "path": "/v1/chat/completions",
        "model": "tiny",
        "temperature": 0,
        "messages": [{"role": "user", "content": "why?"}],
    }
    assert "secret" not in repr(model)


def test_a_server_that_repeats_the_key_does_not_bring_it_into_the_message():
    with llm(lambda *_: Raw(500, b"key secret is unknown")) as server, pytest.raises(LLMError) as error:
        LLM(server.url, "tiny", key="secret").ask("?")
    assert "key *** is unknown" in str(error.value)


def test_nobody_there_is_asked_a_few_times_and_no_more():
    with llm(lambda *_: "yes") as server:
        pass
    model = LLM(server.url, "tiny", timeout=2)
    for _ in range(GIVE_UP):
        assert not model.gone
        with pytest.raises(LLMError, match="did not answer"):
            model.ask("?")
    assert model.gone


def test_an_answer_in_between_starts_the_count_again():
    replies = iter([Raw(hang=True), Raw(hang=True), "yes", Raw(hang=True)])
    with llm(lambda *_: next(replies)) as server:
        model = LLM(server.url, "tiny", timeout=0.2)
        for expected in (1, 2, 0, 1):
            if expected:
                with pytest.raises(LLMError):
                    model.ask("?")
            else:
                assert model.ask("?") == "yes"
            assert model.silent == expected


@pytest.mark.parametrize(
    ("url", "key", "said"),
    [
        ("localhost:80", "", "is not an address"),
        ("file:///etc/passwd", "", "is not an address"),
        ("http://", "", "is not an address"),
        ("http://me:secret@127.0.0.1/v1", "", "leave name and password out of the address"),
        ("http://models.example/v1", "secret", "would go to models.example unencrypted"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused(url, key, said):
    with pytest.raises(UserError, match=said) as error:
        LLM(url, "tiny", key)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("answer", "value"),
    [("4", 4), (" 3.\n", 3), ("Score: 5", 5), ("4.6", 5), ("**2**", 2), ("4/5", 4), ("Rating = 1", 1)],
)
def test_grades(answer, value):
    assert grade(answer) == value


@pytest.mark.parametrize(
    "answer", ["", "six", "0", "6", "5.7", "44", "3 or 4", "I give it 4 as it is red", "-3", "4" * 999]
)
def test_what_is_no_grade(answer):
    with pytest.raises(LLMError, match="no grade from 1 to 5"):
        grade(answer)


def test_captions():
    assert caption('"A red\n apple."') == "A red apple"
    for answer in ("", '".', "very " * 300):
        with pytest.raises(LLMError, match="no caption"):
            caption(answer)


def test_the_alignment_asks_for_one_caption_and_grades_that():
    with llm(lambda number, _: "'A red apple.'" if number == 1 else "4") as server:
        found = alignment(["a red apple", "an apple on a desk"], "a green apple", LLM(server.url, "tiny"))
    first, second = (asked["messages"][0]["content"] for asked in server.asked)
    assert found == ("A red apple", 4)
    assert first.endswith("1: a red apple\n2: an apple on a desk")
    assert second.endswith("Prompt: a green apple\nDescription: A red apple")
