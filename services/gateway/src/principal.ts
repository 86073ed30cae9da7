// Who a connection stands for.

import type { Principal } from "@outcry/ws-gateway";

export type GatewayPrincipal = Principal &
  (
    | {
        readonly role: "buyer";
        readonly backendId: string;
        readonly buyerId: string;
        readonly channels: ReadonlySet<string>;
        readonly issuedAt: number;
      }
    | { readonly role: "node"; readonly nodeId: string; readonly issuedAt: number }
    | { readonly role: "backend"; readonly backendId: string }
    | { readonly role: "operator" | "admin" }
  ) & {
    /** Of the key that signed its token. */
    readonly kid?: string;
  };
