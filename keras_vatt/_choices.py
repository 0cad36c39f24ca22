"""Check of an option that has a fixed set of strings as its values."""

from collections.abc import Collection


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Raises an error unless the value of an option is one of its choices.

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
