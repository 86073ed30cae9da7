// A receiver of webhooks: registers itself, verifies what arrives, deals with each event once, and goes away with Ctrl-C.
// The service must be started with OUTCRY_WEBHOOK_ALLOW_PRIVATE=true, since this receiver is on the same machine.
//   OUTCRY_URL=http://127.0.0.1:7070 OUTCRY_API_KEY=… node examples/receiver/receiver.mjs

import { once } from "node:events";
import { createServer } from "node:http";
import { createClient, isOutcryError, verifyWebhook } from "@outcry/client";

const outcry = createClient({
  url: process.env.OUTCRY_URL ?? "http://127.0.0.1:7070",
  apiKey: process.env.OUTCRY_API_KEY,
});
const say = (line) => process.stdout.write(`${line}\n`);
const seen = new Set(); // a shop keeps this in its database

async function receive(request, response) {
  const parts = [];
  for await (const part of request) parts.push(part);
  try {
    const { secret } = await registered; // the first event may be faster than the answer with its secret
    const event = await verifyWebhook(Buffer.concat(parts), request.headers, secret);
    if (!seen.has(event.id)) say(`${event.time}  ${event.type}  ${event.data.intent_id ?? ""}`);
    seen.add(event.id);
    response.writeHead(204).end();
  } catch (error) {
    say(`refused: ${isOutcryError(error) ? error.code : error.message}`);
    response.writeHead(401).end();
  }
}

const server = createServer((request, response) => void receive(request, response)).listen(0, "127.0.0.1");
await once(server, "listening");
const registered = outcry.webhooks.create({ url: `http://127.0.0.1:${server.address().port}/hooks` });
const { id } = await registered;
say(`${id} sends to this receiver`);
const { delivered } = await outcry.webhooks.test(id);
say(delivered ? "the test event arrived" : "the test event did not arrive");

await once(process, "SIGINT");
await outcry.webhooks.remove(id);
server.close();
server.closeAllConnections();
