// Schemas of the ids on the wire: the one form that newId() and derivedId() write.

import Type from "typebox";
import { ID_SUFFIX, type IdPrefix } from "./ids.js";

const idOf = (prefix: IdPrefix) => Type.String({ pattern: `^${prefix}_${ID_SUFFIX}$`, description: "TypeID" });

export const IntentId = idOf("int");
export const QuoteId = idOf("quo");
export const NodeId = idOf("nod");
export const EventId = idOf("evt");
export const ReceiptId = idOf("rcp");
export const MessageId = idOf("msg");
export const BackendId = idOf("bkd");
export const ReplayId = idOf("rpl");
export const WebhookId = idOf("whk");

/** A line item's id, chosen by the buyer's side and unique within its intent. */
export const LineItemId = Type.String({ pattern: "^[a-z0-9_-]{1,32}$" });
