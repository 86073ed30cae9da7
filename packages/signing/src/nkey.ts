// NATS's own keys (nats-io/nkeys): Ed25519 seeds in base32. Signed with by node:crypto: 0.1 ms, where the pure JavaScript that
// nats.js brings takes 10 to 15 ms of CPU per handshake, and a second on a starved machine, where the server no longer waits.

import { toBase64Url } from "@outcry/protocol";
import { curve } from "./curve-node.js";

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; // RFC 4648 §6, without padding
const SEED = /^S[OAU][A-Z2-7]{56}$/; // of an operator, an account or a user

/** Signs as the owner of `seed`. Throws for what is no seed; never says the seed. */
export function nkeySigner(seed: string): (data: Uint8Array) => Uint8Array {
  if (!SEED.test(seed)) throw new Error("not an NKey seed: SO, SA or SU and 56 characters of base32");
  const raw = base32Decode(seed).subarray(2, 34); // two bytes of prefix, 32 of seed, two of checksum
  return curve.createSigner(raw).sign;
}

/** What nats.js calls an authenticator: the JWT of the moment, and the server's nonce signed for it. */
export function natsAuthenticator(jwt: () => string, seed: string): (nonce?: string) => { jwt: string; sig: string } {
  const signWithSeed = nkeySigner(seed);
  return (nonce = "") => ({ jwt: jwt(), sig: toBase64Url(signWithSeed(new TextEncoder().encode(nonce))) });
}

export function base32Decode(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let bits = 0;
  let count = 0;
  let at = 0;
  for (const character of text) {
    bits = ((bits << 5) | BASE32.indexOf(character)) & 0xfff;
    count += 5;
    if (count < 8) continue;
    count -= 8;
    bytes[at++] = bits >> count;
  }
  return bytes;
}
