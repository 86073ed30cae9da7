// A WebSocket upgrade by hand, for answers that are no upgrade.

import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";

export interface UpgradeAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingMessage["headers"];
}

export const HANDSHAKE = {
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

export async function upgrade(url: string, headers: Record<string, string> = {}): Promise<UpgradeAnswer> {
  const sent = request(url.replace("ws:", "http:"), { headers: { ...HANDSHAKE, ...headers } });
  sent.end();
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  let body = "";
  for await (const part of answer) body += String(part);
  return { status: answer.statusCode ?? 0, body, headers: answer.headers };
}
