// Cursors of lists: the last id of a page, opaque to callers, so that its content may change.

import { type IdPrefix, isId, OutcryError } from "@outcry/protocol";

export const writeCursor = (lastId: string): string => Buffer.from(`1 ${lastId}`).toString("base64url");

/** The id behind which the page starts. */
export function readCursor(prefix: IdPrefix, cursor: string): string {
  const [version, id] = Buffer.from(cursor, "base64url").toString().split(" ");
  if (version === "1" && isId(prefix, id)) return id;
  const detail = "is not a next_cursor of this list";
  throw new OutcryError("request_invalid", `The cursor ${detail}.`, { pointers: [{ pointer: "/cursor", detail }] });
}
