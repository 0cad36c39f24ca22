"""Base class of errors that a user can fix."""


class KerasVATTError(Exception):
    """An error in a user's files, settings or arguments, rather than a defect.

    Its message says what is wrong and what to do. All error classes of this package
    inherit from it, most of them also from a built-in class such as `ValueError`. The
    command line prints such errors as one line, without a traceback.

    Example:
    ```python
    try:
        model = keras_vatt.VATT.from_preset("runs/first/preset")
    except keras_vatt.KerasVATTError as error:
        print(error)
    ```
    """
