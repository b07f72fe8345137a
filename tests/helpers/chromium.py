"""A headless browser for pages that are opened as files."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any


class Chromium:
    """A headless browser driven through its debugging pipe, with its own empty profile."""

    def __init__(self, program: str, profile: Path) -> None:
        out, self._write = os.pipe()
        self._read, back = os.pipe()
        # Above 9, so that neither is overwritten when descriptors 3 and 4 are set.
        to_read, to_write = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (out, back))
        os.close(out)
        os.close(back)
        flags = (
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
            "--disable-background-networking --disable-component-update --disable-sync "
            f"--hide-scrollbars --remote-debugging-pipe --user-data-dir={profile}"
        )
        # The browser reads from descriptor 3 and writes to 4; the shell puts them there.
        command = f"exec {shlex.quote(program)} {flags} 3<&{to_read} 4>&{to_write}"
        self._process = subprocess.Popen(
            ["bash", "-c", command],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.problems: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], 60)
            assert ready, "the browser does not answer"
            data = os.read(self._read, 1 << 16)
            assert data, "the browser has ended"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        event: dict[str, Any] = json.loads(text)
        method = event.get("method", "")
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(event["params"]["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            if event["params"]["type"] in ("error", "warning"):
                self.problems.append(json.dumps(event["params"]["args"]))
        elif method == "Log.entryAdded" and event["params"]["entry"]["level"] != "verbose":
            self.problems.append(event["params"]["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        return event

    def open(self, page: Path, query: str = "", *, width: int = 1280, height: int = 900) -> None:
        self.problems.clear()
        self.requests.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call("Page.navigate", url=page.as_uri() + query)
        self.wait("document.documentElement?.dataset.ready === 'true'")

    def evaluate(self, script: str) -> Any:
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 40.0) -> None:
        end = time.monotonic() + seconds
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"never true: {condition}; {self.problems}"
            time.sleep(0.05)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        os.close(self._read)
        os.close(self._write)
