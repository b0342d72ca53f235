"""SIGHUP and --watch: a good configuration is taken, a bad one leaves the old one in force."""

from __future__ import annotations

import signal

from tests.edge.fleet import message
from tests.edge.raw import Listen, Listener, chat, get, status, until, wait_for

MORE = '\n[models.another]\nbackend = "echo"\n'
BROKEN = "\n[models.another]\nbackend = \n"


def metrics(listener: Listener) -> bytes:
    return listener.send(get("/metrics"))


def test_a_signal_reloads(listen: Listen) -> None:
    listener = listen()
    good = listener.config.read_text()
    with listener.connect() as stream:
        stream.sendall(chat(delay=0.05, chunks=20))
        until(stream, b"data: ")
        listener.config.write_text(good + MORE)
        listener.signal(signal.SIGHUP)
        wait_for(lambda: status(listener.send(get("/v1/models/another"))) == 200)
        assert b"openai_proxy_config_revision 2.0" in metrics(listener)
        listener.config.write_text(good + BROKEN)
        listener.signal(signal.SIGHUP)
        wait_for(lambda: b"config_rejected_total 1.0" in metrics(listener))
        listener.config.write_text(good + MORE.replace('"echo"', '"nonsense"'))
        listener.signal(signal.SIGHUP)
        wait_for(lambda: b"config_rejected_total 2.0" in metrics(listener))
        assert b"openai_proxy_config_revision 2.0" in metrics(listener)
        assert status(listener.send(get("/v1/models/another"))) == 200
        wait_for(lambda: len([line for line in listener.errors() if "refused" in line["message"]]) == 2)
        assert b"[DONE]" in until(stream, b"[DONE]")


def test_a_change_is_noticed_and_a_problem_told_once(listen: Listen) -> None:
    listener = listen("", "--watch")
    good = listener.config.read_text()
    listener.config.write_text(good + MORE)
    wait_for(lambda: status(listener.send(get("/v1/models/another"))) == 200)
    listener.config.write_text(good + BROKEN)
    wait_for(lambda: len(listener.errors()) == 1)
    listener.config.write_text(good)
    wait_for(lambda: status(listener.send(get("/v1/models/another"))) == 404)
    assert len(listener.errors()) == 1


def test_what_a_running_server_cannot_take_is_told(listen: Listen) -> None:
    listener = listen()
    good = listener.config.read_text()
    changed = 'jobs.files = "elsewhere"\nprotocols.aime = false\njobs.keep = 60\ndocuments.at_once = 2\n'
    listener.config.write_text(changed + good)
    listener.signal(signal.SIGHUP)
    told = ("jobs.database, jobs.home and jobs.files take", "documents.home and documents.at_once take")
    for said in (*told, "protocols take"):
        wait_for(lambda said=said: len(message(listener, f"{said} effect at the next start")) == 1)  # type: ignore[misc]
    listener.config.write_text("jobs.keep = 90\n" + good)
    listener.signal(signal.SIGHUP)
    wait_for(lambda: b"openai_proxy_config_revision 3.0" in metrics(listener))


def test_an_unsafe_change_is_refused(listen: Listen) -> None:
    listener = listen()
    listener.config.write_text(listener.config.read_text().replace("[server]", '[server]\nhost = "0.0.0.0"'))
    listener.signal(signal.SIGHUP)
    wait_for(lambda: any("without an API key" in line["message"] for line in listener.errors()))


def test_new_keys_take_effect(listen: Listen) -> None:
    listener = listen("", "--watch")
    folder = listener.config.parent
    (folder / "keys").write_text(f"alice user {'0' * 64}\n")
    assert status(listener.send(get("/v1/models"))) == 200
    listener.config.write_text(listener.config.read_text() + f'\n[auth]\nkey_file = "{folder / "keys"}"\n')
    wait_for(lambda: status(listener.send(get("/v1/models"))) == 401)


def test_a_removed_model_leaves_the_metrics(listen: Listen) -> None:
    listener = listen()
    good = listener.config.read_text()
    listener.config.write_text(good + MORE.replace("another", "gone"))
    listener.signal(signal.SIGHUP)
    wait_for(lambda: b'model_ready{model="gone"} 1.0' in metrics(listener))
    assert status(listener.send(chat(close=True).replace(b'"echo"', b'"gone"'))) == 200
    assert b'requests_total{model="gone",outcome="ok"} 1.0' in metrics(listener)
    listener.config.write_text(good)
    listener.signal(signal.SIGHUP)
    wait_for(lambda: b'model="gone"' not in metrics(listener))
    assert b'model_ready{model="echo"} 1.0' in metrics(listener)
