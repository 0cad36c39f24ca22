"""SIGINT and SIGTERM end a command in order: what is done is kept."""

import contextlib
import signal
import threading

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """The process was told to stop.

    Args:
        number: int, the signal.
    """

    def __init__(self, number):
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def stop_signals():
    """Raises `Stopped` at the first signal; a second one ends the process at once.

    A signal that the process was started to ignore, as by `nohup`, stays ignored.

    Raises:
        Stopped: at SIGINT (Ctrl+C) or SIGTERM, which ask for an end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python hands signals to the main thread alone.
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
        # After a signal, the default stays: threads that the process waits for at its
        # end must not outlive a second one.
        for number in caught:
            if signal.getsignal(number) is stop:
                signal.signal(number, before[number])
