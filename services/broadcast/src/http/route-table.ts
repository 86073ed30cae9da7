// What is registered, as the app itself sees it: for 405 answers, the API document, and tests that walk every route.

import type { RouteOptions } from "fastify";
import type { App } from "./principal.js";

export interface RouteRow {
  readonly method: string;
  /** As registered: `/v1/nodes/:id`. */
  readonly url: string;
  readonly config: NonNullable<RouteOptions["config"]>;
  readonly schema: RouteOptions["schema"];
}

export type RouteTable = readonly RouteRow[];

/** Collects routes from now on. A route that does not say who may call it is a mistake of ours, found at start. */
export function collectRoutes(app: App): RouteTable {
  const table: RouteRow[] = [];
  app.addHook("onRoute", ({ method, url, config, schema }) => {
    if (config?.roles === undefined) throw new TypeError(`route ${String(method)} ${url} declares no config.roles`);
    for (const one of [method].flat()) table.push({ method: one, url, config, schema });
  });
  return table;
}

/** The route that takes this method at this path. */
export function routeAt(routes: RouteTable, method: string, path: string): RouteRow | undefined {
  return routes.find((route) => route.method === method && fits(route.url, path));
}

/** Methods that some route takes at this path. */
export function methodsOf(routes: RouteTable, path: string): string[] {
  return routes.filter(({ url }) => fits(url, path)).map(({ method }) => method);
}

function fits(pattern: string, path: string): boolean {
  const wanted = pattern.split("/");
  const found = path.split("/");
  return (
    wanted.length === found.length &&
    wanted.every((part, at) => (part.startsWith(":") ? found[at] !== "" : part === found[at]))
  );
}
