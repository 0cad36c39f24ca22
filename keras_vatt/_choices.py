"""The check of an option that takes one of several strings."""

from collections.abc import Collection


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Raises a `ValueError` unless an option has one of its values.

    Args:
        name: str. Name of the option, for the message.
        value: Value of the option.
        choices: collection of str. Values that the option may have.

    Raises:
        ValueError: If `value` is none of `choices`.
    """
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {list(choices)}. Received: {name}={value!r}"
        )
