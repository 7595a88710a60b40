"""Where sentences end, in raw text and in text whose punctuation marks stand alone as tokens."""

import re
from collections.abc import Iterator

_BREAK = re.compile(
    r"""(?<=[.!?])["'”’)\]]*\s+(?=["'“‘(\[]*[A-Z0-9])"""  # raw: a mark, closing quotes, then a capital
    r"""|(?<=\s[.!?])(?:\s+["'”’)\]](?=\s))?\s+(?=\S)"""  # tokenised: the mark stands alone
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“‘])(?:[A-Z]|[A-Za-z]\.[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|Mt|Sr|Jr|Gen|Col|Lt|Capt|Sgt|Rev|Hon|vs|cf|ca|"
    r"No|Nos|Vol|Fig|pp|al|approx|Inc|Ltd|Co|Corp|Jan|Feb|Mar|Apr|Aug|Sept?|Oct|Nov|Dec)\.$"
)


def sentences(text: str) -> Iterator[str]:
    """Yields the sentences of one line; initials and common abbreviations do not end one."""
    start = 0
    for found in _BREAK.finditer(text):
        if not _ABBREVIATION.search(text[max(start, found.start() - 12) : found.start()]):
            yield text[start : found.end()].strip()
            start = found.end()
    if rest := text[start:].strip():
        yield rest
