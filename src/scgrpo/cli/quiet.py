"""Silence what other libraries print of their own accord."""

import warnings

from scgrpo.cli.errors import Debugging


def quiet() -> None:
    """Turn off progress bars of loading and warnings meant for developers; `--debug` keeps them."""
    if Debugging.on:
        return
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    for kind in (FutureWarning, DeprecationWarning):
        warnings.simplefilter("ignore", kind)
