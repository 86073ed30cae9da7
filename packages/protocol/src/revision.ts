// Revisions of an intent: 0 as it was posted, n after its n-th amendment (ADR-12). On the wire 0 is left out.

import Type from "typebox";

export const Revision = Type.Integer({ minimum: 1, description: "of an amended intent; absent: as it was posted" });

/** The member of a message or event that is about this revision. */
export const atRevision = (revision: number): { revision?: number } => (revision === 0 ? {} : { revision });

export const revisionOf = ({ revision = 0 }: { revision?: number | undefined }): number => revision;

/** The last part of an id that each revision has of its own; none for the first, whose ids are older than revisions. */
export const revisionKey = (revision: number): string[] => (revision === 0 ? [] : [`rev.${revision}`]);
