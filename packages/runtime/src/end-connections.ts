// A Fastify server that closes waits for its connections. Node ends those that are idle when it begins, and no others: one that is
// answered while it closes lives on for its keep-alive (65 s), one that has asked nothing yet for the header timeout (10 s).

import type { IncomingMessage, ServerResponse } from "node:http";

const SWEEP_MS = 50;
const QUIET_MS = 500; // for a request that is on its way: it is answered, with the refusal of a service that stops

/** What is used of a Fastify instance, whatever its type provider and server. */
export interface ClosableApp {
  readonly server: {
    readonly listening: boolean;
    on(event: "request", listener: (request: IncomingMessage, response: ServerResponse) => void): unknown;
    once(event: "close", listener: () => void): unknown;
    closeIdleConnections(): void;
    closeAllConnections(): void;
  };
  addHook(name: "preClose", hook: () => Promise<void>): unknown;
}

/** From `close()` on: what is being answered is answered and its connection ended; then all others are. */
export function endConnectionsOnClose(app: ClosableApp): void {
  const { server } = app;
  const answering = new Set<ServerResponse>();
  server.on("request", (_request, response) => {
    answering.add(response);
    response.once("close", () => answering.delete(response));
  });
  app.addHook("preClose", async () => {
    if (!server.listening) return;
    // Its client asks nothing more on a connection that is about to end.
    for (const response of answering) if (!response.headersSent) response.setHeader("connection", "close");
    let quietMs = 0;
    const sweep = setInterval(() => {
      if (server.listening) return; // other hooks run first, and end their connections as they see fit
      quietMs = answering.size > 0 ? 0 : quietMs + SWEEP_MS;
      if (quietMs < QUIET_MS) server.closeIdleConnections();
      else server.closeAllConnections();
    }, SWEEP_MS);
    server.once("close", () => clearInterval(sweep));
  });
}
