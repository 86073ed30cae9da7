// For tests: calls of the API over real connections.

import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { type ApiKeyCreated, check, type NodeCredentials, type NodeRecord, Problem } from "@outcry/protocol";
import type { TSchema } from "typebox";
import type { BroadcastApp } from "./app.js";
import { routeAt } from "./route-table.js";
import type { TestService } from "./service.fixture.js";

/** What the answers under test hold, and a test names: the one it expects is there, the rest is not. */
export type AnyBody = Omit<Problem, "status"> &
  ApiKeyCreated &
  NodeCredentials &
  NodeRecord & {
    data: { id: string; revoked?: string }[];
    has_more: boolean;
    next_cursor?: string;
    node: NodeRecord;
    invite: string;
    token: string;
    challenge: string;
    keys: unknown[];
  };

export interface Answer<T> {
  status: number;
  headers: Record<string, unknown>;
  body: T;
}

/** One call over a real connection. Bodies are JSON unless they are text or bytes already. */
export async function call<T = AnyBody>(
  service: BroadcastApp,
  method: string,
  path: string,
  { as, body, headers = {} }: { as?: string | undefined; body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer<T>> {
  const payload = body === undefined || typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const sent = request({
    host: "127.0.0.1",
    port: await listen(service),
    method,
    path,
    agent: false,
    headers: {
      ...(as === undefined ? {} : { authorization: `Bearer ${as}` }),
      ...(payload === undefined
        ? {}
        : { "content-type": "application/json", "content-length": Buffer.byteLength(payload) }),
      ...headers,
    },
  });
  sent.end(payload);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  let text = "";
  for await (const part of response.setEncoding("utf8")) text += String(part);
  const isJson = /json/.test(response.headers["content-type"] ?? "") && text !== "";
  const answer = {
    status: response.statusCode!,
    headers: response.headers,
    body: (isJson ? JSON.parse(text) : text) as T,
  };
  requireAsDocumented(service, method, path, answer);
  return answer;
}

/** Answers are sent as they are: here each is held against the schema that the API document shows. */
function requireAsDocumented(
  { routes }: BroadcastApp,
  method: string,
  path: string,
  { status, body }: Answer<unknown>,
): void {
  const documented = routeAt(routes, method, path.split("?", 1)[0]!)?.schema?.response as
    | Record<number, TSchema>
    | undefined;
  const schema = status >= 400 ? Problem : status === 204 ? undefined : documented?.[status];
  const checked = schema === undefined ? undefined : check(schema, body);
  if (checked?.kind === "invalid") throw new Error(`${method} ${path} ${status}: ${JSON.stringify(checked.pointers)}`);
}

const listening = new WeakMap<object, Promise<string>>();

/** Port of the app, which listens from the first call on. */
export async function listen({ app }: BroadcastApp): Promise<number> {
  if (!listening.has(app)) listening.set(app, app.listen({ host: "127.0.0.1", port: 0 }));
  await listening.get(app);
  return (app.server.address() as AddressInfo).port;
}

/** A backend's key, or an operator's or admin's. */
export async function makeKey(
  service: TestService,
  admin: string,
  role: "backend" | "operator" | "admin",
): Promise<{ secret: string; id: string; backend_id?: string }> {
  const { status, body } = await call(service, "POST", "/v1/api-keys", {
    as: admin,
    body: { role, name: `a ${role}` },
  });
  if (status !== 201) throw new Error(JSON.stringify(body));
  return body;
}
