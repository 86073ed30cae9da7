// The one table of who may do what with which kind of channel. Which channels of a kind are one's own is channels.ts's business; what is
// not in the table does not exist for that role.

import type { Role } from "@outcry/protocol";

/** How an event looks: `full` is all that is published, `buyer` leaves out what is the marketplace's own business. */
export type View = "full" | "buyer";

export interface Rights {
  readonly view: View;
  /** May be there, seen by the others, and give hints. */
  readonly isPresent: boolean;
  readonly seesPresence: boolean;
}

const full = { view: "full", isPresent: false, seesPresence: false } as const satisfies Rights;
const watches = { ...full, seesPresence: true } as const;
const takesPart = { ...watches, isPresent: true } as const;

export type RightsByRole = Readonly<Partial<Record<Role, Rights>>>;

export const RIGHTS = {
  intent: {
    buyer: { ...takesPart, view: "buyer" },
    backend: takesPart,
    operator: watches,
    admin: watches,
  },
  buyer: {
    buyer: { ...takesPart, view: "buyer" },
    backend: takesPart,
  },
  backend: { backend: watches, operator: watches, admin: watches },
  node: { node: takesPart, operator: watches, admin: watches },
} as const satisfies Record<string, RightsByRole>;

export const rightsOf = (kind: string, role: Role): Rights | undefined =>
  (RIGHTS as Readonly<Record<string, RightsByRole>>)[kind]?.[role];
