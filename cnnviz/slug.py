"""Names for files and addresses: ASCII, lower case, unique also on disks that ignore case."""

import hashlib
import re
import unicodedata


def slug(name: str) -> str:
    """A file name for ``name``: the name itself if it is valid, else a readable form and a hash of it.

    The slug depends only on the name, so it does not change with other names. Characters are ``a-z 0-9 . _ -``, the
    first one a letter or digit, and it has at most 80.
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9._]+", "-", plain).strip("-._")[:64]
    return f"{plain or 'x'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
