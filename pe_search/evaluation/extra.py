"""The libraries of the extra `evaluate`."""

from __future__ import annotations

import warnings

from pe_search.errors import MissingExtraError

# What `sed_scores_eval` imports in the end, and its makers don't name.
_RESOURCES = "pkg_resources"


def need_libraries(*, with_times: bool) -> None:
    """Raise a `MissingExtraError` unless there is what an evaluation needs, before there is anything to evaluate.

    Args:
        with_times: Whether times are evaluated too.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("An evaluation", "scikit-learn", "evaluate") from error
    if not with_times:
        return
    try:
        with warnings.catch_warnings():
            # Of what it is made with, at each import; no user can do anything about it.
            warnings.simplefilter("ignore")
            import sed_scores_eval  # noqa: F401
    except ImportError as error:
        package = "'setuptools<81'" if error.name == _RESOURCES else "sed-scores-eval"
        raise MissingExtraError("An evaluation of times", package, "evaluate") from error
