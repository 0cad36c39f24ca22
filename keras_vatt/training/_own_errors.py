"""Errors of a data pipeline that leave the loops of Keras as they were raised."""

import contextlib


class OwnErrors:
    """Base class of datasets whose errors backends wrap in errors of their own."""

    _failure = None

    @contextlib.contextmanager
    def own_errors(self):
        """Raises the first noted error in place of one that wraps it."""
        try:
            yield
        except Exception as error:
            if self._failure is None or self._failure is error:
                raise
            raise self._failure from error

    @contextlib.contextmanager
    def _noted_failure(self):
        """Notes the first error of a `with` block that makes a batch."""
        try:
            yield
        except Exception as error:
            self._failure = self._failure or error
            raise
