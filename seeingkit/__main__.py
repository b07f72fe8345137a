"""``seeingkit`` and ``python -m seeingkit``: the command line; an error is one line on stderr.

Guarantees: a fault of the operating system is one line with path and remedy, and the reader of the
output may close it at any time; nothing that a file brings along reaches the terminal unless it is
printable.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys


def main() -> None:
    """Run the command line and exit with a code of ``seeingkit.errors.ExitCode``."""
    from .errors import ExitCode, SeeingkitError

    _prepare_streams()
    try:
        from .cli import app
        from .cli.messages import messages_on_stderr
        from .system.allocation import keep_memory

        keep_memory()

        with messages_on_stderr(quiet="--json" in sys.argv):
            code = app(prog_name="seeingkit", standalone_mode=False)
            sys.stdout.flush()  # at the end of the interpreter, a fault would have no message
    except SeeingkitError as error:
        _print_error(f"seeingkit: {error}")
        code = error.exit_code
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of the output has closed it
        code = ExitCode.DONE
        _output_fault()
    except Exception as error:
        code = _report(error)
    if code == ExitCode.INTERRUPTED:  # the command-line library may have caught it for us
        _print_error("seeingkit: interrupted; the same command continues where this stopped")
    _output_fault()
    sys.exit(int(code or 0))


def _prepare_streams() -> None:
    """Make streams that are closed, or of a small character set, fit to be written to."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # ``>&-``
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    logging.captureWarnings(True)


def _report(error: Exception) -> int:
    """Report an error that is not one of ours, in one line: of the command-line library, of the
    operating system, or one that nobody expected.

    Returns:
        The exit code.
    """
    from .errors import ExitCode

    show = getattr(error, "format_message", None)
    code = getattr(error, "exit_code", None)
    if show is not None:
        context = getattr(error, "ctx", None)
        hint = f" (see '{context.command_path} -h')" if context else ""
        _print_error(f"seeingkit: {show()}{hint}")
        return ExitCode.USAGE
    if code is not None:
        return int(code)
    if type(error).__name__ == "Abort":
        return ExitCode.INTERRUPTED
    if os.environ.get("SEEINGKIT_DEBUG"):
        raise error
    if isinstance(error, OSError):
        from .system.failures import storage_error

        fault = None if error.filename else _output_fault()
        where = None if fault is None else "the output"
        _print_error(f"seeingkit: {storage_error(error, where)}")
        return ExitCode.FAILED
    if isinstance(error, MemoryError):
        _print_error("seeingkit: memory is short: use a smaller --batch-size, --n or preset")
        return ExitCode.FAILED
    reason = (str(error).splitlines() or [""])[0]
    _print_error(
        f"seeingkit: unexpected {type(error).__name__}: {reason}"
        " (SEEINGKIT_DEBUG=1 shows where; please report it)"
    )
    return ExitCode.FAILED


def _output_fault() -> OSError | None:
    """The fault that keeps stdout from being written, if there is one; it is then closed."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # The interpreter would try once more at its end, and say so in its own words.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def _print_error(line: str) -> None:
    from .errors import one_line

    with contextlib.suppress(OSError):  # nobody reads it
        print(one_line(line), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
