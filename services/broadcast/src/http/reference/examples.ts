// One example per operation, shown at /docs and run by test/src/api-reference.test.ts against a live service. `$NAMES` are variables of
// the reader's shell; in the client's code they are camelCase constants.

export interface Example {
  /** With its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON; a text is a shell word, such as `"$SIGNED"`. */
  readonly body?: object | string;
  /** What it is answered with. */
  readonly status: number;
  /** With @outcry/client, where `outcry` is createClient({ url, apiKey }). */
  readonly client?: string;
  /** In place of the client's code. */
  readonly note?: string;
}

const SHOES = {
  line_items: [{ query: "red running shoes, size 42", category: "apparel/shoes" }],
  context: { currency: "EUR", region: "DE" },
  budget: { max_minor: 9_000 },
};

// A published key pair's public halves: they open nothing.
const REGISTRATION = {
  name: "Canvas & Co",
  categories: ["apparel"],
  regions: ["DE"],
  capabilities: [],
  public_keys: [
    {
      kid: "canvas-2026",
      kty: "OKP",
      crv: "Ed25519",
      x: "VhednTZyCO2gc3uY1PyY4tjQ27Cm8bNRNXccFq0p_Gs",
    },
  ],
  nats_public_key: "UDR7AJY6YWHL4QZ36IWUN6DFCN37JUDWTVIJGYVJUK5QM2QELPRYT32W",
};

const BY_SDK = "createNode() of @outcry/node does this by itself, at the start and before its credentials end.";

export const EXAMPLES: Readonly<Record<string, Example>> = {
  "POST /v1/intents": {
    path: "/v1/intents",
    headers: { "Idempotency-Key": "order-4711" },
    body: SHOES,
    status: 202,
    client: `const { intentId, receiptIds } = await outcry.broadcast(${literal(SHOES)});`,
  },
  "GET /v1/intents/{id}": {
    path: "/v1/intents/$INTENT_ID",
    status: 200,
    client: "const { status, deliveries } = await outcry.intent(intentId);",
  },
  "GET /v1/intents/{id}/acks": {
    path: "/v1/intents/$INTENT_ID/acks?timeout_ms=500",
    status: 200,
    client: "const { complete, counts } = await outcry.collectAcks(intentId, 500);",
  },
  "GET /v1/intents/{id}/receipts": {
    path: "/v1/intents/$INTENT_ID/receipts",
    status: 200,
    client: "const receipts = await outcry.receipts(intentId);",
  },
  "GET /v1/intents/{id}/quotes": {
    path: "/v1/intents/$INTENT_ID/quotes",
    status: 200,
    client: "const { quotes } = await outcry.quotes(intentId, { wait: 1, timeoutMs: 500 });",
  },
  "GET /v1/intents/{id}/explain": {
    path: "/v1/intents/$INTENT_ID/explain?node_id=$NODE_ID",
    status: 200,
    client: "const { selected, reason } = await outcry.explain(intentId, nodeId);",
  },
  "GET /v1/intents/{id}/timeline": {
    path: "/v1/intents/$INTENT_ID/timeline",
    status: 200,
    client: "const { stages, nodes } = await outcry.timeline(intentId);",
  },
  "POST /v1/intents/{id}/amend": {
    path: "/v1/intents/$INTENT_ID/amend",
    headers: { "Idempotency-Key": "order-4711-budget" },
    body: { budget: { max_minor: 12_000 } },
    status: 202,
    client: "const { revision } = await outcry.amend(intentId, { budget: { max_minor: 12_000 } });",
  },
  "GET /v1/intents/{id}/revisions": {
    path: "/v1/intents/$INTENT_ID/revisions",
    status: 200,
    client: "const revisions = await outcry.revisions(intentId);",
  },
  "POST /v1/intents/{id}/cancel": {
    path: "/v1/intents/$INTENT_ID/cancel",
    body: { reason: "the buyer changed their mind" },
    status: 200,
    client: 'await outcry.cancel(intentId, "the buyer changed their mind");',
  },
  "POST /v1/intents/{id}/close": {
    path: "/v1/intents/$INTENT_ID/close",
    body: { reason: "enough quotes" },
    status: 200,
    client: 'await outcry.close(intentId, "enough quotes");',
  },
  "POST /v1/nodes": {
    path: "/v1/nodes",
    body: REGISTRATION,
    status: 201,
    client: `const node = await outcry.nodes.register({
  name: "Canvas & Co",
  categories: ["apparel"],
  regions: ["DE"],
  capabilities: [],
  public_keys: [JSON.parse(publicJwk)],
  nats_public_key: natsPublicKey,
});`,
  },
  "GET /v1/nodes": {
    path: "/v1/nodes?status=active&limit=50",
    status: 200,
    client: 'const { data, next_cursor } = await outcry.nodes.list({ status: "active", limit: 50 });',
  },
  "GET /v1/nodes/{id}": {
    path: "/v1/nodes/$NODE_ID",
    status: 200,
    client: "const node = await outcry.nodes.get(nodeId);",
  },
  "PATCH /v1/nodes/{id}": {
    path: "/v1/nodes/$NODE_ID",
    body: { categories: ["apparel", "bags"] },
    status: 200,
    client: 'await outcry.nodes.update(nodeId, { categories: ["apparel", "bags"] });',
  },
  "DELETE /v1/nodes/{id}": {
    path: "/v1/nodes/$NODE_ID",
    status: 204,
    client: "await outcry.nodes.remove(nodeId);",
  },
  "POST /v1/nodes/{id}/suspend": {
    path: "/v1/nodes/$NODE_ID/suspend",
    body: { reason: "quotes below cost" },
    status: 200,
    client: 'await outcry.nodes.suspend(nodeId, "quotes below cost");',
  },
  "POST /v1/nodes/{id}/resume": {
    path: "/v1/nodes/$NODE_ID/resume",
    status: 200,
    client: "await outcry.nodes.resume(nodeId);",
  },
  "POST /v1/nodes/{id}/credentials/challenge": {
    path: "/v1/nodes/$NODE_ID/credentials/challenge",
    status: 201,
    note: BY_SDK,
  },
  "POST /v1/nodes/{id}/credentials": {
    path: "/v1/nodes/$NODE_ID/credentials",
    body: '"$SIGNED"',
    status: 200,
    note: `SIGNED is {"envelope": …, "signature": …} over the challenge (docs/protocol.md). ${BY_SDK}`,
  },
  "POST /v1/nodes/{id}/keys": {
    path: "/v1/nodes/$NODE_ID/keys",
    body: '"$SIGNED_KEY"',
    status: 201,
    note: "SIGNED_KEY is the new key in an envelope, signed by the old key and by itself (docs/protocol.md). rotateKey() of @outcry/node does it.",
  },
  "DELETE /v1/nodes/{id}/keys/{kid}": {
    path: "/v1/nodes/$NODE_ID/keys/$NODE_KID",
    status: 200,
    note: "rotateKey() of @outcry/node retires the old key when no open intent needs it any more.",
  },
  "GET /v1/signing-keys": {
    path: "/v1/signing-keys",
    status: 200,
    client: "const { data } = await outcry.signingKeys.list();",
  },
  "POST /v1/signing-keys": {
    path: "/v1/signing-keys",
    body: { lead_ms: 300_000 },
    status: 202,
    client: "const { generation, signs_from } = await outcry.signingKeys.rotate({ leadMs: 300_000 });",
  },
  "DELETE /v1/signing-keys/{kid}": {
    path: "/v1/signing-keys/$SIGNING_KID",
    status: 204,
    client: "await outcry.signingKeys.revoke(signingKid);",
  },
  "GET /v1/events": {
    path: "/v1/events?limit=20",
    status: 200,
    note: "for await (const item of outcry.events({ after: cursor })) … goes on for ever, with a long poll between pages.",
  },
  "POST /v1/webhooks": {
    path: "/v1/webhooks",
    body: { url: "https://shop.example/outcry", types: ["QUOTE_RECEIVED"] },
    status: 201,
    client:
      'const { id, secret } = await outcry.webhooks.create({ url: "https://shop.example/outcry", types: ["QUOTE_RECEIVED"] });',
  },
  "GET /v1/webhooks": { path: "/v1/webhooks", status: 200, client: "const { data } = await outcry.webhooks.list();" },
  "GET /v1/webhooks/{id}": {
    path: "/v1/webhooks/$WEBHOOK_ID",
    status: 200,
    client: "const { url, enabled } = await outcry.webhooks.get(webhookId);",
  },
  "PATCH /v1/webhooks/{id}": {
    path: "/v1/webhooks/$WEBHOOK_ID",
    body: { enabled: false },
    status: 200,
    client: "await outcry.webhooks.update(webhookId, { enabled: false });",
  },
  "DELETE /v1/webhooks/{id}": {
    path: "/v1/webhooks/$WEBHOOK_ID",
    status: 204,
    client: "await outcry.webhooks.remove(webhookId);",
  },
  "GET /v1/webhooks/{id}/attempts": {
    path: "/v1/webhooks/$WEBHOOK_ID/attempts",
    status: 200,
    client: "const { data } = await outcry.webhooks.attempts(webhookId);",
  },
  "POST /v1/webhooks/{id}/test": {
    path: "/v1/webhooks/$WEBHOOK_ID/test",
    status: 200,
    client: "const outcome = await outcry.webhooks.test(webhookId);",
  },
  "POST /v1/webhooks/{id}/recover": {
    path: "/v1/webhooks/$WEBHOOK_ID/recover",
    body: { since: "2026-11-20T00:00:00.000Z" },
    status: 202,
    client: 'await outcry.webhooks.recover(webhookId, "2026-11-20T00:00:00.000Z");',
  },
  "POST /v1/webhooks/{id}/secret": {
    path: "/v1/webhooks/$WEBHOOK_ID/secret",
    status: 200,
    client: "const { secret } = await outcry.webhooks.rotateSecret(webhookId);",
  },
  "POST /v1/invites": {
    path: "/v1/invites",
    body: { name: "Canvas & Co" },
    status: 201,
    client: 'const { invite } = await outcry.createInvite({ name: "Canvas & Co" });',
  },
  "POST /v1/tokens": {
    path: "/v1/tokens",
    body: { buyer_id: "42", channels: ["buyer:42"], ttl_ms: 60_000 },
    status: 201,
    client: 'const { token } = await outcry.createToken({ buyer_id: "42", channels: ["buyer:42"], ttl_ms: 60_000 });',
  },
  "GET /v1/gateway/connections": {
    path: "/v1/gateway/connections?role=buyer&limit=20",
    status: 200,
    client: 'const { data, processes } = await outcry.gateway.connections({ role: "buyer", limit: 20 });',
  },
  "GET /v1/gateway/connections/{id}": {
    path: "/v1/gateway/connections/$CONNECTION_ID",
    status: 200,
    client: "const { principal, subscriptions, queue } = await outcry.gateway.connection(connectionId);",
  },
  "DELETE /v1/gateway/connections/{id}": {
    path: "/v1/gateway/connections/$CONNECTION_ID",
    status: 204,
    client: "await outcry.gateway.kick(connectionId);",
  },
  "POST /v1/gateway/revocations": {
    path: "/v1/gateway/revocations",
    body: { buyer_id: "42", channel: "buyer:42", reason: "signed out everywhere" },
    status: 201,
    client:
      'const { at } = await outcry.gateway.revoke({ buyer_id: "42", channel: "buyer:42", reason: "signed out everywhere" });',
  },
  "GET /v1/gateway/revocations": {
    path: "/v1/gateway/revocations?buyer_id=42",
    status: 200,
    client: 'const { data } = await outcry.gateway.revocations({ buyer_id: "42" });',
  },
  "POST /v1/channels/{channel}/events": {
    path: "/v1/channels/intent:$INTENT_ID/events",
    body: { id: "evt_01kq8vjmq9f5gt7yz3x2c4n6ab", type: "ORDER_CREATED", data: { order_id: "4711" } },
    status: 201,
    client: `const { status } = await outcry.gateway.publish(\`intent:\${intentId}\`, {
  type: "ORDER_CREATED",
  data: { order_id: "4711" },
});`,
  },
  "POST /v1/api-keys": {
    path: "/v1/api-keys",
    body: { role: "backend", name: "web shop" },
    status: 201,
    client: 'const { secret, backend_id } = await outcry.createApiKey({ role: "backend", name: "web shop" });',
  },
  "GET /v1/api-keys": {
    path: "/v1/api-keys",
    status: 200,
    client: "const { data } = await outcry.listApiKeys();",
  },
  "DELETE /v1/api-keys/{id}": {
    path: "/v1/api-keys/$API_KEY_ID",
    status: 204,
    client: "await outcry.revokeApiKey(apiKeyId);",
  },
  "GET /v1/dead-letters": {
    path: "/v1/dead-letters?status=open&limit=20",
    status: 200,
    client: 'const { data } = await outcry.deadLetters({ status: "open", limit: 20 });',
  },
  "GET /v1/dead-letters/groups": {
    path: "/v1/dead-letters/groups?by=cause",
    status: 200,
    client: 'const { data } = await outcry.deadLetterGroups("cause", { status: "open" });',
  },
  "GET /v1/dead-letters/{id}": {
    path: "/v1/dead-letters/$LETTER_ID",
    status: 200,
    client: "const { cause, timeline } = await outcry.deadLetter(letterId);",
  },
  "POST /v1/dead-letters/{id}/discard": {
    path: "/v1/dead-letters/$LETTER_ID/discard",
    body: { reason: "the shop has closed" },
    status: 200,
    client: 'await outcry.discardDeadLetter(letterId, "the shop has closed");',
  },
  "POST /v1/dead-letters/replays": {
    path: "/v1/dead-letters/replays",
    body: { filter: { status: "open", cause: "ack_timeout" }, rate_per_second: 20, dry_run: true },
    status: 200,
    client: `const request = { filter: { status: "open", cause: "ack_timeout" }, rate_per_second: 20 };
const { matched, valid } = await outcry.replays.dryRun(request);
const replay = await outcry.replays.start({ ...request, reason: "the sellers are back" });`,
  },
  "GET /v1/dead-letters/replays": {
    path: "/v1/dead-letters/replays",
    status: 200,
    client: "const { data } = await outcry.replays.list();",
  },
  "GET /v1/dead-letters/replays/{id}": {
    path: "/v1/dead-letters/replays/$REPLAY_ID",
    status: 200,
    client: "const { status, progress } = await outcry.replays.get(replayId);",
  },
  "POST /v1/dead-letters/replays/{id}/pause": {
    path: "/v1/dead-letters/replays/$REPLAY_ID/pause",
    body: { reason: "the seller asked us to wait" },
    status: 200,
    client: 'await outcry.replays.pause(replayId, "the seller asked us to wait");',
  },
  "POST /v1/dead-letters/replays/{id}/resume": {
    path: "/v1/dead-letters/replays/$REPLAY_ID/resume",
    status: 200,
    client: "await outcry.replays.resume(replayId);",
  },
  "POST /v1/dead-letters/replays/{id}/cancel": {
    path: "/v1/dead-letters/replays/$REPLAY_ID/cancel",
    body: { reason: "the wrong filter" },
    status: 200,
    client: 'await outcry.replays.cancel(replayId, "the wrong filter");',
  },
  "GET /.well-known/jwks.json": {
    path: "/.well-known/jwks.json",
    status: 200,
    note: "Any JOSE library reads it; @outcry/node does so by itself.",
  },
  "GET /errors/{code}": {
    path: "/errors/quote_late",
    status: 200,
    note: "An error of the client has the same as `hint`.",
  },
};

/** As a person would write it. */
function literal(value: object): string {
  return JSON.stringify(value, undefined, 2).replaceAll(/"(\w+)":/g, "$1:");
}

/** The example as a command for a shell. The key is left out where none is asked for. */
export function curlOf(method: string, { path, headers = {}, body }: Example, keyed: boolean): string {
  const lines = [
    `curl${method === "GET" ? "" : ` -X ${method}`} "$OUTCRY_URL${path}"`,
    ...(keyed ? ['-H "Authorization: Bearer $OUTCRY_API_KEY"'] : []),
    ...Object.entries(headers).map(([name, value]) => `-H "${name}: ${value}"`),
    ...(body === undefined ? [] : ['-H "Content-Type: application/json"', `-d ${shellWord(body)}`]),
  ];
  return lines.join(" \\\n  ");
}

function shellWord(body: object | string): string {
  if (typeof body === "string") return body;
  return `'${JSON.stringify(body).replaceAll("'", String.raw`'\''`)}'`;
}
