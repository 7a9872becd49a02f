"""What a shim does when things do not go smoothly: one cell of the table for each situation."""

import threading
import time
from collections.abc import Callable, Mapping

from benchmarks.bridge.client import Client, Gone, Remote, Silent, call, client, use_key
from benchmarks.bridge.peers import Shim

GOOD = "✓ "
_SOON = 2.0  # seconds a waiting call may take to be told


def behaviour_of(shim: Shim) -> dict[str, str]:
    """Every situation's outcome; a good one begins with a tick."""
    outcomes = {}
    for situation, judge in SITUATIONS.items():
        remote = Remote()
        try:
            outcomes[situation] = judge(shim, remote)
        except Gone:
            outcomes[situation] = "the shim ends"
        except Silent:
            outcomes[situation] = "no answer"
        finally:
            remote.kill()
            use_key()
    return outcomes


def _progress(shim: Shim, remote: Remote) -> str:
    with client(shim.command(remote.url)) as running:
        running.initialize()
        running.send(call(1, {"progress": 5, "seconds": 1}, mark="t-1"))
        began, heard = time.monotonic(), []
        while (message := running.receive()).get("id") != 1:
            heard.append((message["params"]["progressToken"], message["params"]["message"], time.monotonic() - began))
    if not heard:
        return "lost"
    intact = [each[:2] for each in heard] == [("t-1", f"step {step}") for step in range(1, 6)]
    live = all(each[2] < 0.8 for each in heard)
    return f"{GOOD}5 of 5, live" if intact and live else f"{len(heard)} of 5, {'live' if live else 'late'}"


def _cancel(shim: Shim, remote: Remote) -> str:
    with client(shim.command(remote.url)) as running:
        running.initialize()
        running.send(call(1, {"seconds": 20}))
        remote.says("begun", 5)
        running.send({"method": "notifications/cancelled", "params": {"requestId": 1}})
        return f"{GOOD}reaches the remote" if remote.says("cancelled", 3) else "the call runs on"


def _restart(shim: Shim, remote: Remote) -> str:
    with client(shim.command(remote.url)) as running:
        running.initialize()
        running.send(call(1, {}))
        running.answer_to(1)
        remote.kill()
        remote.start()
        return f"{GOOD}next call works" if _works(running, 2) else "next call fails"


def _restart_in_a_call(shim: Shim, remote: Remote) -> str:
    with client(shim.command(remote.url)) as running:
        running.initialize()
        running.send(call(1, {"seconds": 20}))
        remote.says("begun", 5)
        began = time.monotonic()
        remote.kill()
        restart = threading.Thread(target=remote.start)
        restart.start()
        try:
            answer = running.answer_to(1, 10)
            told = time.monotonic() - began
        except Silent:
            return "the call hangs"
        finally:
            restart.join()
        warned = "may have" in str(answer)
        works = _works(running, 2)
    if told > _SOON or not works:
        return f"told after {told:.1f} s, then {'works' if works else 'fails'}"
    return f"{GOOD}told in {told:.2f} s" + (" that it may have run" if warned else "")


def _start_while_down(shim: Shim, remote: Remote) -> str:
    remote.kill()
    with client(shim.command(remote.url)) as running:
        back = threading.Timer(1.5, remote.start)
        back.start()
        try:
            answer = running.initialize(12)
            if "error" in answer:
                back.join()
                answer = running.initialize(12)
        finally:
            back.join()
        return f"{GOOD}waits, then works" if "result" in answer and _works(running, 2) else "never works"


def _wrong_key(shim: Shim, remote: Remote) -> str:
    use_key("sk-wrong-key")
    with client(shim.command(remote.url)) as running:
        error = running.initialize(12).get("error", {})
        if not error:
            return "initialize succeeds"
        time.sleep(0.3)
        if running.process.poll() is not None:
            return "the shim ends"
        return f"{GOOD}error says what to set" if "CYBERUN_API_KEY" in error["message"] else "error without advice"


def _works(running: Client, request_id: int) -> bool:
    running.send(call(request_id, {}))
    answer = running.answer_to(request_id, 10)
    return "result" in answer and not answer["result"].get("isError")


SITUATIONS: Mapping[str, Callable[[Shim, Remote], str]] = {
    "progress": _progress,
    "cancel": _cancel,
    "remote restarted": _restart,
    "restarted in a call": _restart_in_a_call,
    "started while it is down": _start_while_down,
    "wrong key": _wrong_key,
}
