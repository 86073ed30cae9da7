// outcry events tail: a backend's own feed over HTTP, from a cursor on.

import { type Command, given } from "./command.js";
import { eventLine } from "./intent-commands.js";
import { typeOf } from "./webhook-commands.js";

export const eventsTail: Command = {
  summary: "Follow your backend's events, from a cursor on",
  args: [],
  options: {
    after: { type: "string", value: "cursor", help: "go on behind it; the oldest event kept by default" },
    type: { type: "string", multiple: true, value: "name", help: "only this type of event; may be repeated" },
    count: { type: "string", value: "n", help: "end after so many; without it, go on until interrupted" },
  },
  examples: [
    "events tail --type QUOTE_RECEIVED",
    "events tail --after CURSOR --json   # the cursor is printed at the end, and with each event in --json",
  ],
  async run({ client, options, print, signal }) {
    const types = options.list("type").map(typeOf);
    const after = options.text("after");
    const count = options.integer("count") ?? Number.POSITIVE_INFINITY;
    let place = after;
    let seen = 0;
    const feed = client.events({ signal, ...given("after", after), ...(types.length === 0 ? {} : { types }) });
    for await (const { event, cursor } of feed) {
      print.one({ event, cursor }, [eventLine(event.type, event)]);
      place = cursor;
      if (++seen >= count) break;
    }
    if (place !== undefined) print.note(`go on with: --after ${place}`);
  },
};
