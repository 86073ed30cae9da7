// outcry token gen.

import { type Command, given } from "./command.js";

export const tokenGen: Command = {
  summary: "Make a short token for a buyer's browser",
  args: [],
  options: {
    buyer: { type: "string", value: "id", help: "the buyer's id" },
    channel: { type: "string", multiple: true, value: "name", help: "for example intent:int_…; may be repeated" },
    "ttl-ms": { type: "string", value: "ms", help: "how long it lives; at most 15 minutes" },
  },
  examples: [
    "token gen --buyer 42",
    "token gen --buyer 42 --channel intent:int_01kahsomeintent --ttl-ms 60000 --json | jq -r .token",
  ],
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
