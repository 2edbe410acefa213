// ioredis against the streams: `streams_client.js PORT`; ends with 0 if all of it came as it should.
const { Redis } = require("ioredis");
const assert = require("node:assert");

async function main() {
  const port = Number(process.argv[2]);
  const client = new Redis({ port, retryStrategy: null });
  const waiter = client.duplicate();
  assert.strictEqual(await client.xgroup("CREATE", "js", "group", "$", "MKSTREAM"), "OK");
  await assert.rejects(client.xgroup("CREATE", "js", "group", "$"), {
    message: "BUSYGROUP Consumer Group name already exists",
  });
  // A consumer that waits hears what is added afterwards.
  const ask = ["GROUP", "group", "one", "COUNT", 10, "BLOCK", 20_000, "STREAMS", "js", ">"];
  const heard = waiter.xreadgroup(...ask);
  const id = await client.xadd("js", "MAXLEN", "~", 1000, "*", "operation", "thing.create", "name", "Öl");
  assert.deepStrictEqual(await heard, [["js", [[id, ["operation", "thing.create", "name", "Öl"]]]]]);

  assert.deepStrictEqual(await client.xpending("js", "group"), [1, id, id, [["one", "1"]]]);
  const [next, claimed] = await client.xautoclaim("js", "group", "two", 0, "0");
  assert.deepStrictEqual([next, claimed[0][0]], ["0-0", id]);
  assert.strictEqual(await client.xack("js", "group", id), 1);

  // Many in one go, and no more than asked for are kept.
  const pipeline = client.pipeline();
  for (let number = 0; number < 500; number++) pipeline.xadd("js", "MAXLEN", 100, "*", "number", number);
  for (const [error] of await pipeline.exec()) assert.strictEqual(error, null);
  assert.strictEqual(await client.xlen("js"), 100);
  assert.strictEqual((await client.xrange("js", "-", "+", "COUNT", 2)).length, 2);

  // A transaction, and a channel.
  const both = await client.multi().set("key", "ö").get("key").exec();
  assert.deepStrictEqual(both, [[null, "OK"], [null, "ö"]]);
  const said = new Promise((resolve) => waiter.once("message", (...all) => resolve(all)));
  await waiter.subscribe("news");
  await client.publish("news", "hello");
  assert.deepStrictEqual(await said, ["news", "hello"]);
  client.disconnect();
  waiter.disconnect();
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
