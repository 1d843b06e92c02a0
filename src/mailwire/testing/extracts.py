"""Extracts: what a POP3 server looks at, or shows, of a message (RFC 1939 7, RFC 6856 2.1)."""

from .._wire.text import LINE_END

__all__ = ["cut_to", "has_utf8_header", "top_of"]


def has_utf8_header(content: bytes) -> bool:
    """Return whether there is UTF-8 in the header of the message, and nothing but UTF-8."""
    header, _, _ = content.partition(b"\r\n\r\n")
    try:
        header.decode()
    except UnicodeDecodeError:
        return False  # whatever it is
    return not header.isascii()


def top_of(content: bytes, lines: int) -> bytes:
    """Return the header of the message, the blank line that ends it, and so many lines of the body (RFC 1939 7)."""
    if content.startswith(b"\r\n"):
        body = 2
    elif (end := content.find(b"\r\n\r\n")) >= 0:
        body = end + 4
    else:
        return content
    pieces = content[body:].split(b"\r\n", lines)
    return content if len(pieces) <= lines else content[: len(content) - len(pieces[-1])]


def cut_to(text: bytes, limit: int | None) -> bytes:
    """Return what a server shows of `text` that shows no more than so many octets, None: all; its line is ended."""
    if limit is None or len(text) <= limit:
        return text
    cut = text[:limit]
    return cut if cut.endswith(b"\n") else cut.removesuffix(b"\r") + LINE_END
