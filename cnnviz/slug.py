"""Names for files and addresses: ASCII, lower case, unique also on disks that ignore case."""

import hashlib
import re
import unicodedata


def slug(name: str) -> str:
    """A file name for ``name``: the name itself where that is one already, else a readable form plus a hash of it.

    The slug depends on nothing but the name, so it stays when other names come or go. Characters are ``a-z 0-9 . _ -``,
    the first one a letter or digit, and it is at most 80 long.
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9._]+", "-", plain).strip("-._")[:64]
    return f"{plain or 'x'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
