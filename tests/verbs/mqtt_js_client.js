// MQTT.js against a broker: `mqtt_js_client.js URL...`; ends with 0 if all of it came as it should.
const mqtt = require("mqtt");
const assert = require("node:assert");

async function speak(url, protocolVersion) {
  const client = await mqtt.connectAsync(url, { protocolVersion, reconnectPeriod: 0, connectTimeout: 10_000 });
  const heard = [];
  const all = new Promise((resolve) => {
    client.on("message", (topic, payload, packet) => {
      heard.push([topic, payload.length, packet.qos, packet.properties?.userProperties?.key]);
      if (heard.length === 3) resolve();
    });
  });
  const granted = await client.subscribeAsync("js/#", { qos: 2 });
  assert.strictEqual(granted[0].qos, 2);
  const key = protocolVersion === 5 ? "wert ö" : undefined;
  for (const qos of [0, 1, 2]) {
    const properties = key ? { userProperties: { key } } : undefined;
    await client.publishAsync("js/ö", Buffer.alloc(100_000, "x"), { qos, properties });
  }
  await all;
  assert.deepStrictEqual(heard.map(String), [0, 1, 2].map((qos) => String(["js/ö", 100_000, qos, key])));
  await client.endAsync();
}

async function main() {
  for (const url of process.argv.slice(2)) for (const version of [4, 5]) await speak(url, version);
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
