// What a node registers with, looked at once at the border: every key acceptable, every kid its own.

import { checkNodePublicKey } from "@outcry/backbone";
import { derivedId, type ErrorPointer, OutcryError, type PublicKey } from "@outcry/protocol";
import { checkPublicJwk } from "@outcry/signing";

/** Throws key_unacceptable with every wrong key. */
export function requireAcceptableKeys({
  public_keys,
  nats_public_key,
}: {
  public_keys: readonly PublicKey[];
  nats_public_key?: string;
}): void {
  const pointers: ErrorPointer[] = public_keys.flatMap((jwk, at) => {
    const checked = checkPublicJwk(jwk);
    return checked.kind === "ok" ? [] : [{ pointer: `/public_keys/${at}`, detail: checked.detail }];
  });
  public_keys.forEach(({ kid }, at) => {
    const first = public_keys.findIndex((other) => other.kid === kid);
    if (first < at)
      pointers.push({ pointer: `/public_keys/${at}/kid`, detail: `is that of /public_keys/${first} too` });
  });
  const nats = nats_public_key === undefined ? undefined : checkNodePublicKey(nats_public_key);
  if (nats?.kind === "refused") pointers.push({ pointer: "/nats_public_key", detail: nats.reason });
  if (pointers.length > 0)
    throw new OutcryError("key_unacceptable", pointers.map(({ pointer }) => pointer).join(", "), { pointers });
}

/** A node's id follows from its NATS key, so that the one write which creates the node also proves that the key is new. */
export const nodeIdOf = (natsPublicKey: string): string => derivedId("nod", natsPublicKey);
