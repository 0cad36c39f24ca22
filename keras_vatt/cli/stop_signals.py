"""Turns SIGINT and SIGTERM into an exception, so that commands can clean up."""

import contextlib
import signal
import threading

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """The process received a signal to stop.

    Args:
        number: int, the signal number.
    """

    def __init__(self, number):
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def stop_signals():
    """Raises `Stopped` at the first signal; a second one ends the process at once.

    Signals that the process ignores from its start, as under `nohup`, stay ignored.

    Raises:
        Stopped: at SIGINT (Ctrl+C) or SIGTERM.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals only to the main thread.
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    caught = [n for n, handler in before.items() if handler != signal.SIG_IGN]

    def stop(number, _):
        for other in caught:
            signal.signal(other, signal.SIG_DFL)
        raise Stopped(number)

    for number in caught:
        signal.signal(number, stop)
    try:
        yield
    finally:
        # After a signal, the default handlers stay: the process may wait for threads
        # when it exits, and a second signal must end them.
        for number in caught:
            if signal.getsignal(number) is stop:
                signal.signal(number, before[number])
