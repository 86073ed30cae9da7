// The broadcast service as a process of its own.

import { runService } from "@outcry/runtime";
import { broadcastFromContext } from "./from-context.js";

await runService("broadcast", async (context) => {
  const { service, url } = await broadcastFromContext(context);
  context.log.info({ url }, "listening");
  // The one time that a key is printed: to the terminal of the first start, never to the log.
  if (service.adminKey !== undefined)
    process.stderr.write(`\nAdmin key (shown once, keep it): ${service.adminKey}\n\n`);
});
