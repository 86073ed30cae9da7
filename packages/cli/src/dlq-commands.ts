// outcry dlq ls.

import { type Command, given } from "./command.js";
import { moreHint, PAGE } from "./paging.js";

export const dlqLs: Command = {
  summary: "Dead letters, newest first",
  args: [],
  options: PAGE,
  examples: ["dlq ls --limit 20", "dlq ls --json | jq -r .cause | sort | uniq -c"],
  async run({ client, options, print }) {
    const page = await client.deadLetters({
      ...given("limit", options.integer("limit")),
      ...given("cursor", options.text("cursor")),
    });
    print.list(page.data, {
      TIME: (letter) => letter.time,
      KIND: (letter) => letter.kind,
      CAUSE: (letter) => letter.cause,
      TRIES: (letter) => letter.attempts,
      ID: (letter) => letter.id,
    });
    moreHint(print, page.next_cursor);
  },
};
