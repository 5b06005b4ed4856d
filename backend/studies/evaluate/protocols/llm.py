"""A language model behind an OpenAI-like address that the user gives.

The key is read from the environment, sent to that address alone, and kept in no file.
"""

from __future__ import annotations

import ipaddress
import json
import re
import textwrap
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2

from backend.errors import UserError, reason

KEY = "SPLATSMITH_LLM_KEY"  # in the environment
MOST_BYTES = 1_000_000  # of an answer
GIVE_UP = 3  # questions in a row that found nobody
CAPTION = 1000  # characters of a caption: more is no caption
GRADE = re.compile(r"(?:(?:score|grade|rating)\s*(?:is)?\s*[:=]?\s*)?([1-5](?:\.\d+)?)(?:\s*/\s*5)?\s*\.?", re.I)


class LLMError(UserError):
    """A question without a usable answer: one sentence."""


@dataclass
class LLM:
    """One model at one address."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 60.0  # seconds for a whole answer
    silent: int = 0  # questions in a row to which nobody answered

    def __post_init__(self) -> None:
        """UserError where the address cannot be used, or would take the key through the open network."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"llm: {self.url!r} is not an address; give one such as http://localhost:11434/v1.")
        self.local = _is_local(parts.hostname)
        if parts.username or parts.password:
            raise UserError(f"llm: leave name and password out of the address; a key is read from {KEY}.")
        if self.key and parts.scheme == "http" and not self.local:
            raise UserError(f"llm: the key would go to {parts.hostname} unencrypted; use https, or unset {KEY}.")
        path = parts.path.rstrip("/")
        whole = parts._replace(path=path if path.endswith("/chat/completions") else f"{path}/chat/completions")
        self.endpoint = whole.geturl()
        self.name = whole._replace(query="", fragment="").geturl()  # to be shown and kept: a query may hold a key

    @property
    def gone(self) -> bool:
        """Whether it is asked no more."""
        return self.silent >= GIVE_UP

    def ask(self, text: str) -> str:
        """The answer to one message, at temperature 0.  LLMError where there is none."""
        body = {"model": self.model, "temperature": 0, "messages": [{"role": "user", "content": text}]}
        try:
            status, content = self._post(body)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            self.silent += 1
            why = f"within {self.timeout:g} s" if _is_timeout(error) else f"({reason(error)})"
            raise LLMError(f"the LLM at {self.name} did not answer {why}.") from error
        self.silent = 0
        if status != httpx2.codes.OK:
            raise LLMError(self._refusal(status, content))
        return _message(content)

    def _post(self, body: dict[str, object]) -> tuple[int, bytes]:
        """Status and content; TimeoutError where the whole takes longer than `timeout`, whatever dribbles in."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        until, content = time.monotonic() + self.timeout, bytearray()
        with (
            httpx2.Client(timeout=self.timeout, trust_env=not self.local) as client,
            client.stream("POST", self.endpoint, json=body, headers=headers) as answer,
        ):
            for part in answer.iter_bytes():
                content += part
                if time.monotonic() > until:
                    raise TimeoutError
                if len(content) > MOST_BYTES:
                    raise LLMError("the LLM's answer does not end.")
            return answer.status_code, bytes(content)

    def _refusal(self, status: int, content: bytes) -> str:
        if status in (401, 403):
            return f"the LLM refuses the key ({status}); set {KEY} to one that it knows."
        said = content.decode(errors="replace")
        said = textwrap.shorten(said.replace(self.key, "***") if self.key else said, 150)
        return f"the LLM answers with the error {status}{f' ({said})' if said else ''}."


def grade(answer: str) -> int:
    """The grade, 1 to 5, that an answer consists of.  LLMError where it is anything else."""
    found = GRADE.fullmatch(answer.strip().strip("*\"'` "))
    if not found or float(found[1]) > 5:
        raise LLMError(f"the LLM's answer is no grade from 1 to 5 ({textwrap.shorten(answer, 80)!r}).")
    return round(float(found[1]))


def caption(answer: str) -> str:
    """The caption that an answer consists of, without quotes and full stop.  LLMError where there is none."""
    text = " ".join(answer.split()).rstrip(".").strip("\"'").rstrip(".")
    if not text or len(text) > CAPTION:
        raise LLMError(f"the LLM's answer is no caption ({textwrap.shorten(answer, 80)!r}).")
    return text


def _message(content: bytes) -> str:
    """The text of an OpenAI-like answer."""
    try:
        message = json.loads(content)["choices"][0]["message"]
        said = message["content"]
    except (ValueError, LookupError, TypeError) as error:
        raise LLMError("the LLM's answer is not that of an OpenAI-like server; check the address.") from error
    if not isinstance(said, str) or not said.strip():
        raise LLMError("the LLM refuses to answer.")
    return said


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, (TimeoutError, httpx2.TimeoutException))


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
