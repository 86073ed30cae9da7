// outcry node …, key …, token …, invite …, dlq …

import { type Command, given } from "./command.js";

const PAGE = {
  limit: { type: "string", value: "n", help: "how many at most" },
  cursor: { type: "string", value: "cursor", help: "go on where the page before ended" },
} as const;

const moreHint = (cursor: string | undefined): string | undefined =>
  cursor === undefined ? undefined : `more: --cursor ${cursor}`;

export const nodeLs: Command = {
  summary: "Registered nodes",
  args: [],
  options: { status: { type: "string", value: "active|suspended", help: "only these" }, ...PAGE },
  async run({ client, options, print }) {
    const status = options.oneOf("status", ["active", "suspended"]);
    const page = await client.nodes.list({
      ...given("status", status),
      ...given("limit", options.integer("limit")),
      ...given("cursor", options.text("cursor")),
    });
    print.list(page.data, {
      NODE: (node) => node.id,
      STATUS: (node) => node.status,
      NAME: (node) => node.name,
      CATEGORIES: (node) => node.categories.join(",") || "any",
      REGIONS: (node) => node.regions.join(",") || "any",
    });
    const more = moreHint(page.next_cursor);
    if (more !== undefined) print.note(more);
  },
};

export const nodeSuspend: Command = {
  summary: "Cut a node off; holds until it is resumed",
  args: ["node"],
  options: { reason: { type: "string", value: "text", help: "kept with the node" } },
  async run({ client, args, options, print }) {
    const node = await client.nodes.suspend(args[0]!, options.text("reason"));
    print.one(node, [`${node.id}  ${node.status}`]);
  },
};

export const nodeResume: Command = {
  summary: "Let a suspended node in again",
  args: ["node"],
  options: {},
  async run({ client, args, print }) {
    const node = await client.nodes.resume(args[0]!);
    print.one(node, [`${node.id}  ${node.status}`]);
  },
};

export const keyCreate: Command = {
  summary: "Make an API key; its secret is shown once",
  args: [],
  options: {
    role: { type: "string", value: "backend|operator|admin", help: "what it may do" },
    name: { type: "string", value: "text", help: "what it is for" },
    backend: { type: "string", value: "id", help: "another key for this backend" },
  },
  async run({ client, options, print }) {
    options.required("role");
    const key = await client.createApiKey({
      role: options.oneOf("role", ["backend", "operator", "admin"])!,
      name: options.required("name"),
      ...given("backend_id", options.text("backend")),
    });
    print.one(key, [
      `${key.id}  ${key.role}${key.backend_id === undefined ? "" : `  ${key.backend_id}`}`,
      `secret  ${key.secret}`,
    ]);
  },
};

export const keyLs: Command = {
  summary: "API keys, without their secrets",
  args: [],
  options: {},
  async run({ client, print }) {
    print.list((await client.listApiKeys()).data, {
      KEY: (key) => key.id,
      ROLE: (key) => key.role,
      BACKEND: (key) => key.backend_id,
      NAME: (key) => key.name,
      CREATED: (key) => key.created,
      REVOKED: (key) => key.revoked,
    });
  },
};

export const keyRevoke: Command = {
  summary: "Revoke an API key",
  args: ["key"],
  options: {},
  async run({ client, args, print }) {
    await client.revokeApiKey(args[0]!);
    print.one({ id: args[0], revoked: true }, [`${args[0]!}  revoked`]);
  },
};

export const tokenMint: Command = {
  summary: "Make a short token for a buyer's browser",
  args: [],
  options: {
    buyer: { type: "string", value: "id", help: "the buyer's id" },
    channel: { type: "string", multiple: true, value: "name", help: "for example intent:int_…; may be repeated" },
    "ttl-ms": { type: "string", value: "ms", help: "how long it lives; at most 15 minutes" },
  },
  async run({ client, options, print }) {
    const buyer = options.required("buyer");
    const channels = options.list("channel");
    const token = await client.createToken({
      buyer_id: buyer,
      channels: channels.length === 0 ? [`buyer:${buyer}`] : channels,
      ...given("ttl_ms", options.integer("ttl-ms")),
    });
    print.one(token, [token.token, `until ${token.expires} for ${token.channels.join(", ")}`]);
  },
};

export const inviteCreate: Command = {
  summary: "Invite one node to register itself",
  args: [],
  options: {
    name: { type: "string", value: "text", help: "whom it is for" },
    "ttl-ms": { type: "string", value: "ms", help: "how long it is good" },
  },
  async run({ client, options, print }) {
    const invite = await client.createInvite({
      ...given("name", options.text("name")),
      ...given("ttl_ms", options.integer("ttl-ms")),
    });
    print.one(invite, [invite.invite, `good for one node until ${invite.expires}`]);
  },
};

export const dlqLs: Command = {
  summary: "Dead letters, newest first",
  args: [],
  options: PAGE,
  async run({ client, options, print }) {
    const page = await client.deadLetters({
      ...given("limit", options.integer("limit")),
      ...given("cursor", options.text("cursor")),
    });
    print.list(page.data, {
      TIME: (letter) => letter.time,
      KIND: (letter) => letter.kind,
      CAUSE: (letter) => letter.cause,
      ATTEMPTS: (letter) => letter.attempts,
      INTENT: (letter) => letter.intent_id,
      NODE: (letter) => letter.node_id,
    });
    const more = moreHint(page.next_cursor);
    if (more !== undefined) print.note(more);
  },
};
