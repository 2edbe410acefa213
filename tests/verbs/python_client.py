"""paho-mqtt against a broker: `python_client.py tcp|websockets PORT`; ends with 0 if all of it came as it should."""

import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

transport, port = sys.argv[1], int(sys.argv[2])
subscribed, heard, arrived = threading.Event(), [], threading.Event()

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "paho", transport=transport, protocol=mqtt.MQTTv5)


def on_connect(client, userdata, flags, reason, properties):
    assert reason == 0, reason
    assert properties.ReceiveMaximum > 0
    client.subscribe("paho/#", qos=2)


def on_subscribe(client, userdata, mid, reasons, properties):
    assert [reason.value for reason in reasons] == [2]
    subscribed.set()


def on_message(client, userdata, message):
    heard.append((message.payload, message.qos, dict(message.properties.UserProperty)))
    if len(heard) == 3:
        arrived.set()


client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
client.connect("127.0.0.1", port)
client.loop_start()
assert subscribed.wait(10), "no SUBACK"
properties = Properties(PacketTypes.PUBLISH)
properties.UserProperty = ("key", "wert ö")
payload = b"x" * 100_000
for qos in range(3):
    client.publish("paho/topic", payload, qos, properties=properties)
assert arrived.wait(10), heard
assert heard == [(payload, qos, {"key": "wert ö"}) for qos in range(3)]
client.disconnect()
client.loop_stop()
