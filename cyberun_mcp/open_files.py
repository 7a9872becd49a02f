"""How many files, and so connections, a process may have open."""

import contextlib


def allow_open_files(wanted: int) -> None:
    """Raise the soft limit to `wanted`, or to what the system allows; the usual 1,024 is soon used up."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # some systems refuse; then there are fewer
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
