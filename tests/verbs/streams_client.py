"""redis-py against the streams: `streams_client.py PORT`; ends with 0 if all of it came as it should."""

import sys
import threading

import redis


def speak(port, protocol):
    client = redis.Redis(port=port, protocol=protocol, decode_responses=True)
    stream = f"py-{protocol}"
    assert client.xgroup_create(stream, "group", "$", mkstream=True)
    try:
        client.xgroup_create(stream, "group", "$")
        raise AssertionError("the group was made twice")
    except redis.ResponseError as error:
        assert str(error) == "BUSYGROUP Consumer Group name already exists", error
    # A consumer that waits hears what is added afterwards.
    heard = []
    ask = lambda: heard.append(client.xreadgroup("group", "one", {stream: ">"}, count=10, block=20_000))
    waiter = threading.Thread(target=ask)
    waiter.start()
    fields = {"operation": "thing.create", "name": "Öl"}
    number = client.xadd(stream, fields, maxlen=1000)
    waiter.join()
    entries = heard[0][stream][0] if protocol == 3 else heard[0][0][1]
    assert entries == [(number, fields)], heard

    pending = client.xpending(stream, "group")
    assert (pending["pending"], pending["consumers"]) == (1, [{"name": "one", "pending": 1}]), pending
    assert client.xautoclaim(stream, "group", "two", 0)[1] == [(number, fields)]
    assert client.xack(stream, "group", number) == 1
    assert client.xinfo_groups(stream)[0]["lag"] == 0

    # Many in one go, and no more than asked for are kept.
    pipeline = client.pipeline()
    for count in range(500):
        pipeline.xadd(stream, {"number": count}, maxlen=100, approximate=False)
    assert len(pipeline.execute()) == 500
    assert client.xlen(stream) == 100
    assert client.delete(stream) == 1


for protocol in (2, 3):
    speak(int(sys.argv[1]), protocol)
