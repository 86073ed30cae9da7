// outcry api-key …, invite …

import { type Command, given } from "./command.js";

export const apiKeyCreate: Command = {
  summary: "Make an API key; its secret is shown once",
  args: [],
  options: {
    role: { type: "string", value: "backend|operator|admin", help: "what it may do" },
    name: { type: "string", value: "text", help: "what it is for" },
    backend: { type: "string", value: "id", help: "another key for this backend" },
  },
  examples: ['api-key create --role backend --name "web shop"'],
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

export const apiKeyLs: Command = {
  summary: "API keys, without their secrets",
  args: [],
  options: {},
  examples: ["api-key ls"],
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

export const apiKeyRevoke: Command = {
  summary: "Revoke an API key",
  args: ["key"],
  options: {},
  examples: ["api-key revoke key_01kahsomekey"],
  async run({ client, args, print }) {
    await client.revokeApiKey(args[0]!);
    print.one({ id: args[0], revoked: true }, [`${args[0]!}  revoked`]);
  },
};

export const inviteCreate: Command = {
  summary: "Invite one node to register itself",
  args: [],
  options: {
    name: { type: "string", value: "text", help: "whom it is for" },
    "ttl-ms": { type: "string", value: "ms", help: "how long it is good" },
  },
  examples: ['invite create --name "Canvas & Co"'],
  async run({ client, options, print }) {
    const invite = await client.createInvite({
      ...given("name", options.text("name")),
      ...given("ttl_ms", options.integer("ttl-ms")),
    });
    print.one(invite, [invite.invite, `good for one node until ${invite.expires}`]);
  },
};
