"""Replies of the `tiny-llm` service: from a few rules, otherwise from a table of which word follows which."""

import itertools
import random
import re
from collections import defaultdict
from collections.abc import Callable

_TRAINING_TEXT = """
The emulator runs every workflow on the processor of this machine and it says so. A task waits in the queue until an
agent is free and then the agent draws the picture step by step. The picture is drawn from the words of the prompt and
no model is involved. A workflow takes parameters and gives back files and the files can be fetched until the link
expires. The queue is short in the morning and the agents are idle until the first task comes. A container answers every
request that reaches it through the gateway. The gateway never passes the key of the caller on to the container. When a
task fails it says why and when it is cancelled the agent is free again. The words of this reply follow each other
because they did so in a short text about the emulator. A longer text would make a better reply but it would still not
be a language model. The mountains in the picture are made of noise and the light of the sun is made of a gradient.
"""
_MAX_WORDS = 40

_OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
}
_CALCULATION = re.compile(r"(-?\d+(?:\.\d+)?)\s*([-+*/])\s*(-?\d+(?:\.\d+)?)")
_SELF_DESCRIPTION = (
    "I am the tiny chat service of the cyberun-mcp emulator: rules and a table of word pairs, no neural network."
)
_GREETING = re.compile(r"\b(hello|hi|hey|good (morning|evening|day))\b", re.IGNORECASE)
_IDENTITY = re.compile(r"\b(who|what) are you\b|\bare you (an? )?(ai|llm|gpt|model)\b", re.IGNORECASE)
_REPEAT = re.compile(r"^(?:repeat|say)(?: after me)?:?\s+(.+)$", re.IGNORECASE | re.DOTALL)


def reply_to(prompt: str) -> str:
    """A reply to a prompt. The same prompt always gets the same reply."""
    if repeat := _REPEAT.match(prompt.strip()):
        return repeat[1]
    if calculation := _CALCULATION.search(prompt):
        return _calculate(*calculation.groups())
    if _IDENTITY.search(prompt):
        return _SELF_DESCRIPTION
    if _GREETING.search(prompt):
        return "Hello! I am a rule-based stand-in for a language model. Ask me for a sum, or to repeat something."
    return _chain_words(prompt)


def _calculate(left: str, operator: str, right: str) -> str:
    try:
        value = _OPERATIONS[operator](float(left), float(right))
    except ZeroDivisionError:
        return f"{left} cannot be divided by zero."
    return f"{left} {operator} {right} = {value:g}"


def _following_words() -> dict[str, list[str]]:
    following: dict[str, list[str]] = defaultdict(list)
    for word, next_word in itertools.pairwise(_TRAINING_TEXT.split()):
        following[word.lower()].append(next_word)
    return following


_FOLLOWING = _following_words()


def _chain_words(prompt: str) -> str:
    rng = random.Random(prompt)  # noqa: S311 - not for security
    familiar = [word for word in re.findall(r"[a-z]+", prompt.lower()) if word in _FOLLOWING]
    words = [(rng.choice(familiar) if familiar else "the").capitalize()]
    while len(words) < _MAX_WORDS and not words[-1].endswith("."):
        followers = _FOLLOWING.get(words[-1].lower())
        if not followers:
            break
        words.append(rng.choice(followers))
    return " ".join(words).rstrip(".") + "."
