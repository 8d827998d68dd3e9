"""Names of ASCII characters, and tests for kinds of bytes."""

from typing import Any

from pipeline.kernels import inner

TAB, LINE_FEED, RETURN, SPACE = 0x09, 0x0A, 0x0D, 0x20
EXCLAMATION, HASH, DOLLAR, PERCENT, AMPERSAND, APOSTROPHE = 0x21, 0x23, 0x24, 0x25, 0x26, 0x27
OPEN_BRACKET, CLOSE_BRACKET, STAR, PLUS, COMMA, HYPHEN, FULL_STOP, SLASH = (
    0x28,
    0x29,
    0x2A,
    0x2B,
    0x2C,
    0x2D,
    0x2E,
    0x2F,
)
ZERO, ONE, TWO, THREE, NINE = 0x30, 0x31, 0x32, 0x33, 0x39
COLON, LESS, EQUALS, GREATER, QUESTION, AT = 0x3A, 0x3C, 0x3D, 0x3E, 0x3F, 0x40
CAPITAL_A, CAPITAL_C, CAPITAL_E, CAPITAL_S, CAPITAL_U, CAPITAL_Z = 0x41, 0x43, 0x45, 0x53, 0x55, 0x5A
OPEN_SQUARE, CLOSE_SQUARE, CARET, UNDERSCORE = 0x5B, 0x5D, 0x5E, 0x5F
SMALL_A, SMALL_B, SMALL_E, SMALL_F, SMALL_K, SMALL_M, SMALL_S, SMALL_Z = 0x61, 0x62, 0x65, 0x66, 0x6B, 0x6D, 0x73, 0x7A
TILDE = 0x7E
CASE = 0x20  # the bit in which a small letter differs from its capital
WIDE = 0x80  # the first byte beyond ASCII
CONTINUES, CONTINUATION = 0x80, 0xC0  # byte & CONTINUATION == CONTINUES: not the first byte of a character in UTF-8


@inner
def lower(byte: Any) -> Any:
    """The byte in lower case."""
    return byte | CASE if CAPITAL_A <= byte <= CAPITAL_Z else byte


@inner
def is_digit(byte: Any) -> Any:
    """Whether it is 0 to 9."""
    return ZERO <= byte <= NINE


@inner
def is_letter(byte: Any) -> Any:
    """Whether it is a letter of the English alphabet."""
    return SMALL_A <= (byte | CASE) <= SMALL_Z


@inner
def is_alphanumeric(byte: Any) -> Any:
    """Whether it is a letter of the English alphabet or a digit."""
    return ZERO <= byte <= NINE or SMALL_A <= (byte | CASE) <= SMALL_Z


@inner
def is_hexadecimal(byte: Any) -> Any:
    """Whether it is a digit or A to F, in either case."""
    return ZERO <= byte <= NINE or SMALL_A <= (byte | CASE) <= SMALL_F
