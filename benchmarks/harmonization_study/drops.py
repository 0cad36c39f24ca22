"""The clips that `"drop ..."` arms leave out of the corpus."""


def dropped_clips(run, folder):
    return ()
