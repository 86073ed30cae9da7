// What is shown of presence, before a wire protocol spells it.

import type { Meta } from "./roster.js";

export type Members = readonly (readonly [member: string, metas: readonly Meta[]])[];

export type PresenceShown =
  | { readonly kind: "state"; readonly members: Members }
  | { readonly kind: "change"; readonly joins: Members; readonly leaves: Members }
  /** Too many to name. */
  | { readonly kind: "count"; readonly count: number };
