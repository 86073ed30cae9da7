// CORS (Fetch standard) by the gateway's list of origins, for every route but probes and metrics, which no page reads. A page of another
// origin gets no header of it, so its browser keeps the answer from it; it could send no credentials of ours with a request that is not
// preflighted, and a request of the API's own origin carries an Origin, too: so nothing is refused for one. Not @fastify/cors: it answers
// preflights by a route of its own that names no roles, for paths and methods that do not exist, and to origins that are not allowed.

import { OutcryError } from "@outcry/protocol";
import { corsHeaders, preflightHeaders } from "@outcry/ws-gateway";
import type { App } from "./principal.js";
import { methodsOf, type RouteTable } from "./route-table.js";

export function useCors(app: App, routes: RouteTable, allowedOrigins: readonly string[]): void {
  app.addHook("onRequest", (request, reply, done) => {
    if (request.routeOptions.config.forMachines === true) return done();
    const { headers, method } = request;
    const own = corsHeaders(headers, allowedOrigins);
    void reply.headers(own);
    if (method !== "OPTIONS" || headers["access-control-request-method"] === undefined) return done();
    const methods = methodsOf(routes, request.url.split("?", 1)[0]!);
    if (methods.length === 0) return done(); // there is no such route, which the page may read
    if (own["Access-Control-Allow-Origin"] === undefined)
      return done(new OutcryError("permission_denied", "Pages of this Origin may not call this API."));
    return void reply.code(204).headers(preflightHeaders(methods)).send();
  });
}
