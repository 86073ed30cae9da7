// Sockets of `outcry.v1`: the subprotocol may be left out, the token comes in the first message (docs/gateway-protocol.md §1, §2).

import type { SocketKind } from "../transport/accept-sockets.js";
import { SUBPROTOCOL } from "./native-format.js";
import { NativeProtocol } from "./native-protocol.js";

export const nativeSocket: SocketKind = {
  faultOf({ headers }) {
    const offered = headers["sec-websocket-protocol"];
    const isOurs = offered === undefined || offered.split(",").some((name) => name.trim() === SUBPROTOCOL);
    return isOurs ? undefined : `the subprotocol is ${SUBPROTOCOL}`;
  },
  select: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  speak: (peer) => new NativeProtocol(peer),
};
