// Where each wire protocol is spoken, and how an operator says otherwise.

import { OutcryError } from "@outcry/protocol";
import type { SocketProtocol } from "@outcry/ws-gateway";

/** The clients of Phoenix and Centrifugo append or expect these by custom. */
export const GATEWAY_PATHS = {
  native: "/v1/ws",
  phoenix: "/socket/websocket",
  centrifugo: "/connection/websocket",
  longPoll: "/socket/longpoll",
  stream: "/v1/stream",
} as const satisfies Record<SocketProtocol | "longPoll" | "stream", string>;

export type GatewayPaths = Readonly<Record<keyof typeof GATEWAY_PATHS, string>>;

const PATH = /^(\/[A-Za-z0-9._~-]+)+$/;

/** From `phoenix=/realtime/websocket,stream=/events`; the others stay. Throws config_invalid. */
export function readPaths(text: string): GatewayPaths {
  const paths: Record<string, string> = { ...GATEWAY_PATHS };
  for (const part of text.split(",")) {
    const [name = "", path = "", ...rest] = part.split("=").map((piece) => piece.trim());
    if (!Object.hasOwn(GATEWAY_PATHS, name))
      throw wrong(`${JSON.stringify(name)} is none of ${Object.keys(GATEWAY_PATHS).join(", ")}`);
    if (rest.length > 0 || !PATH.test(path))
      throw wrong(`${JSON.stringify(path)} is no path such as ${GATEWAY_PATHS.phoenix}`);
    paths[name] = path;
  }
  if (new Set(Object.values(paths)).size < Object.keys(paths).length) throw wrong("two of the paths are the same");
  return paths as unknown as GatewayPaths;
}

const wrong = (what: string): OutcryError => new OutcryError("config_invalid", `OUTCRY_GATEWAY_PATHS: ${what}`);
