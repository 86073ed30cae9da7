// outcry node ls|inspect|suspend|resume.

import { type Command, given } from "./command.js";
import { moreHint, PAGE } from "./paging.js";

export const nodeLs: Command = {
  summary: "Registered nodes",
  args: [],
  options: { status: { type: "string", value: "active|suspended", help: "only these" }, ...PAGE },
  examples: ["node ls --status suspended", "node ls --limit 200 --json"],
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
    moreHint(print, page.next_cursor);
  },
};

export const nodeInspect: Command = {
  summary: "All that is registered about a node",
  args: ["node"],
  options: {},
  examples: ["node inspect nod_01kahsomenode"],
  async run({ client, args, print }) {
    const node = await client.nodes.get(args[0]!);
    print.one(node, [
      `${node.id}  ${node.status}${node.status_reason === undefined ? "" : `  ${node.status_reason}`}`,
      `name          ${node.name}`,
      `categories    ${node.categories.join(", ") || "any"}`,
      `regions       ${node.regions.join(", ") || "any"}`,
      `capabilities  ${node.capabilities.join(", ") || "none"}`,
      ...node.public_keys.map(({ kid, crv }) => `signs with    ${kid}  ${crv}`),
      `NATS user     ${node.nats_public_key}`,
      `registered    ${node.created}, changed ${node.changed}`,
    ]);
  },
};

export const nodeSuspend: Command = {
  summary: "Cut a node off; holds until it is resumed",
  args: ["node"],
  options: { reason: { type: "string", value: "text", help: "kept with the node" } },
  examples: ['node suspend nod_01kahsomenode --reason "quotes below cost"'],
  async run({ client, args, options, print }) {
    const node = await client.nodes.suspend(args[0]!, options.text("reason"));
    print.one(node, [`${node.id}  ${node.status}`]);
  },
};

export const nodeResume: Command = {
  summary: "Let a suspended node in again",
  args: ["node"],
  options: {},
  examples: ["node resume nod_01kahsomenode"],
  async run({ client, args, print }) {
    const node = await client.nodes.resume(args[0]!);
    print.one(node, [`${node.id}  ${node.status}`]);
  },
};
