"""A day with the vici package of PyPI: loads a tunnel, brings it up, watches it, rekeys it, and takes it down.

Arguments: the socket, and the proposal. Every step that goes well is printed; the first that does not ends it.
"""

import socket
import sys
import threading

import vici
from vici.exception import CommandException


def session():
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(sys.argv[1])
    return vici.Session(sock)


def text(value):
    return value.decode() if isinstance(value, bytes) else value


daemon = session()
version = daemon.version()
assert text(version["daemon"]) == "charon", version
print("version")

assert int(daemon.stats()["ikesas"]["total"]) == 0
print("stats")

daemon.load_shared({
    "id": "ike-1",
    "type": "IKE",
    "data": "known on both hosts",
    "owners": ["moon.strongswan.org", "carol.strongswan.org"],
})
assert list(map(text, daemon.get_shared()["keys"])) == ["ike-1"]
print("load-shared")

proposal = sys.argv[2]
connection = {
    "version": "2",
    "local_addrs": ["192.168.0.3"],
    "remote_addrs": ["192.168.0.2"],
    "proposals": [proposal],
    "mobike": "no",
    "local": {"auth": "psk", "id": "carol.strongswan.org"},
    "remote": {"auth": "psk", "id": "moon.strongswan.org"},
    "children": {
        "net": {"local_ts": ["10.3.0.0/16"], "remote_ts": ["10.1.0.0/16"], "esp_proposals": [proposal]},
    },
}
daemon.load_conn({"gw": connection})
assert list(map(text, daemon.get_conns()["conns"])) == ["gw"]
[listed] = daemon.list_conns()
assert list(listed) == ["gw"] and list(listed["gw"]["children"]) == ["net"], listed
print("load-conn")

try:
    daemon.load_conn({"gw": {**connection, "mobility": "no"}})
    sys.exit("a key that does not exist was taken")
except CommandException as refused:
    assert "unknown option: mobility, config discarded" in str(refused), refused
print("refused")

watcher = session()
seen = []
ready = threading.Event()


def watch():
    events = ["ike-update", "ike-updown", "child-updown", "ike-rekey", "child-rekey", "alert"]
    for name, _ in watcher.listen(events, timeout=0.05):
        if name is None:
            # Nothing has come for a while, so it has subscribed.
            ready.set()
            continue
        seen.append(text(name))
        if seen.count("ike-updown") == 2:
            break


watching = threading.Thread(target=watch)
watching.start()
assert ready.wait(30)

lines = [text(line["msg"]) for line in daemon.initiate({"child": "net", "timeout": "30000", "loglevel": "1"})]
assert any(line.startswith("CHILD_SA net{1} established") for line in lines), lines
print("initiate")

[sas] = daemon.list_sas()
assert text(sas["gw"]["state"]) == "ESTABLISHED", sas
assert text(sas["gw"]["child-sas"]["net-1"]["state"]) == "INSTALLED", sas
print("list-sas")

assert text(daemon.rekey({"child": "net"})["success"]) == "yes"
print("rekey")

terminated = list(daemon.terminate({"ike": "gw", "timeout": "30000"}))
assert terminated, "no log lines"
assert list(daemon.list_sas()) == []
print("terminate")

watching.join(30)
assert not watching.is_alive(), seen
assert seen[:3] == ["ike-update", "ike-updown", "child-updown"] and seen[-1] == "ike-updown", seen
print("events")

daemon.unload_conn({"name": "gw"})
daemon.clear_creds()
assert daemon.get_conns().get("conns", []) == [] and daemon.get_shared().get("keys", []) == []
print("unload")
