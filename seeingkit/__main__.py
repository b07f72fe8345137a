"""``seeingkit`` and ``python -m seeingkit``: the command line, with errors in one line."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with a documented code (``seeingkit.errors.ExitCode``)."""
    from .errors import ExitCode, SeeingkitError

    try:
        from .cli import app

        code = app(standalone_mode=False)
    except SeeingkitError as error:
        _say(f"seeingkit: {error}")
        code = error.exit_code
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone; nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.DONE
    except Exception as error:
        code = _framework(error)
    if code == ExitCode.INTERRUPTED:  # the command-line library may have caught it for us
        _say("seeingkit: interrupted; the same command continues where this stopped")
    sys.exit(int(code or 0))


def _framework(error: Exception) -> int:
    """Usage errors of the command-line library, told in our own line."""
    show = getattr(error, "format_message", None)
    code = getattr(error, "exit_code", None)
    if show is not None:
        context = getattr(error, "ctx", None)
        hint = f" (see '{context.command_path} --help')" if context else ""
        _say(f"seeingkit: {show()}{hint}")
        return 2
    if code is not None:
        return int(code)
    if type(error).__name__ == "Abort":
        return 130
    if os.environ.get("SEEINGKIT_DEBUG"):
        raise error
    reason = (str(error).splitlines() or [""])[0]
    _say(
        f"seeingkit: unexpected {type(error).__name__}: {reason}"
        " (SEEINGKIT_DEBUG=1 shows where; please report it)"
    )
    return 1


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
