// Whether a listener may be opened as configured: beyond loopback only with TLS, or where the operator says that a proxy has it.

import { BlockList, isIP } from "node:net";

export interface ListenerSettings {
  host: string;
  tlsCertFile?: string | undefined;
  allowPlaintext?: boolean | undefined;
}

export type ListenerVerdict = { kind: "allowed" } | { kind: "refused"; reason: string; fix: string };

const loopback = (): BlockList => {
  const list = new BlockList();
  list.addSubnet("127.0.0.0", 8, "ipv4");
  list.addAddress("::1", "ipv6");
  return list;
};

export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "");
  if (bare === "localhost") return true;
  const family = isIP(bare);
  return family !== 0 && loopback().check(bare, family === 4 ? "ipv4" : "ipv6");
}

export function checkListener({ host, tlsCertFile, allowPlaintext }: ListenerSettings): ListenerVerdict {
  if (isLoopback(host) || tlsCertFile !== undefined || allowPlaintext) return { kind: "allowed" };
  return {
    kind: "refused",
    reason: `OUTCRY_HOST=${host} is reachable from other machines, and there is no TLS: keys would travel in the clear.`,
    fix: "Set OUTCRY_TLS_CERT_FILE and OUTCRY_TLS_KEY_FILE; or OUTCRY_ALLOW_PLAINTEXT=true where a proxy terminates TLS.",
  };
}
