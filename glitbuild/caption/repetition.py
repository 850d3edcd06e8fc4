"""Answers in which a model has got caught in a loop."""

import re
from collections import Counter

SENTENCE_TIMES = 3
"""A sentence that comes so often makes a loop..."""
SENTENCE_WORDS = 4
"""...if it has at least so many words."""

RUN_TIMES = 4
"""So does a run of words that follows on itself so often..."""
RUN_WORDS = 16
"""...if that makes at least so many words together."""
LONGEST_RUN = 60
"""Words of a run that is looked for."""


def repeated_part(text: str) -> str:
    """Return what a text says again and again, or an empty string where there is nothing of the kind.

    Upper and lower case, marks and white space make no difference.
    """
    sentences = (_words(part) for part in re.split(r"[.!?\n\u3002\uff01\uff1f]", text))
    long = Counter(" ".join(words) for words in sentences if len(words) >= SENTENCE_WORDS)
    for sentence, times in long.most_common(1):
        if times >= SENTENCE_TIMES:
            return sentence
    words = _words(text)
    for length in range(1, min(LONGEST_RUN, len(words) // RUN_TIMES) + 1):
        needed = max(RUN_TIMES * length, RUN_WORDS) - length
        same = 0
        for index in range(length, len(words)):
            same = same + 1 if words[index] == words[index - length] else 0
            if same >= needed:
                return " ".join(words[index - length + 1 : index + 1])
    return ""


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
