"""``seeingkit`` and ``python -m seeingkit``: the command line; an error is one line on stderr."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with a code of ``seeingkit.errors.ExitCode``."""
    from .errors import ExitCode, SeeingkitError

    try:
        from .cli import app
        from .cli.messages import messages_on_stderr

        with messages_on_stderr(quiet="--json" in sys.argv):
            code = app(prog_name="seeingkit", standalone_mode=False)
    except SeeingkitError as error:
        _print_error(f"seeingkit: {error}")
        code = error.exit_code
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.DONE
    except Exception as error:
        code = _report(error)
    if code == ExitCode.INTERRUPTED:  # the command-line library may have caught it for us
        _print_error("seeingkit: interrupted; the same command continues where this stopped")
    sys.exit(int(code or 0))


def _report(error: Exception) -> int:
    """Report a usage error of the command-line library, or an unexpected error, in one line.

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
    reason = (str(error).splitlines() or [""])[0]
    _print_error(
        f"seeingkit: unexpected {type(error).__name__}: {reason}"
        " (SEEINGKIT_DEBUG=1 shows where; please report it)"
    )
    return ExitCode.FAILED


def _print_error(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
