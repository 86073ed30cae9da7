// The intent that a path names, for callers who may see it.

import type { IntentBook, LoadedIntent } from "@outcry/delivery";
import { OutcryError, isId } from "@outcry/protocol";
import Type from "typebox";
import type { Principal } from "./principal.js";

export const IntentParams = Type.Object({ id: Type.String({ maxLength: 64 }) });

/** "Not yours" and "not there" are one answer. */
export async function ownIntent(book: IntentBook, id: string, principal: Principal): Promise<LoadedIntent> {
  const intent = isId("int", id) ? await book.get(id) : undefined;
  const readsAll = principal.role === "operator" || principal.role === "admin";
  if (intent === undefined || !(readsAll || intent.record.backend_id === principal.backendId))
    throw new OutcryError("intent_not_found");
  return intent;
}
