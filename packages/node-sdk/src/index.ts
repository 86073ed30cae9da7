export type { DeclineReason, Intent, Quote, QuoteInput, QuoteNotice } from "@outcry/protocol";
export { generateKey, loadKeyFile, saveKeyFile, type SigningKey } from "@outcry/signing";
export type { IntentContext } from "./intent-context.js";
export type {
  CancelHandler,
  CancelNotice,
  CaughtUp,
  DirectConnection,
  DrainReport,
  IntentHandler,
  NodeCounters,
  NodeDescription,
  NodeEvents,
  NodeFault,
  NodeHealth,
  NodeOptions,
  NodeState,
  NodeStatus,
  QuoteReport,
} from "./options.js";
export type { DeclineReply, HandlerReply, HandlerResult, QuoteReply } from "./reply.js";
export { createNode, type SellerNode } from "./seller-node.js";
export type { QuoteOutcome, SignedQuote } from "./send-quote.js";
