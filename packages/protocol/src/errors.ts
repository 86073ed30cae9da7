// The one error table. A code crosses HTTP, NATS and WebSocket borders unchanged; docs/errors.md is generated from it.
// Two conditions with different advice never share a code.

interface ErrorRow {
  /** Stable; its thousands are the range (ERROR_RANGES). */
  readonly number: number;
  readonly httpStatus: number;
  /** True when the same request may succeed later without being changed. */
  readonly temporary: boolean;
  readonly meaning: string;
  readonly whatToDo: string;
}

const row = (number: number, httpStatus: number, temporary: boolean, meaning: string, whatToDo: string): ErrorRow => ({
  number,
  httpStatus,
  temporary,
  meaning,
  whatToDo,
});

/** What the thousands of a number say. */
export const ERROR_RANGES = {
  1: "The text and shape of a message",
  2: "Identity, permission, signatures",
  3: "Intents",
  4: "Answers of nodes",
  5: "Nodes and other resources",
  6: "Sockets and channels",
  9: "Infrastructure",
} as const;

// One row per line: a table is read by columns.
// oxfmt-ignore
export const ERRORS = {
  // 1xxx: the text and shape of a message
  json_syntax: row(1001, 400, false, "The body is not JSON.", "Send one JSON value encoded as UTF-8."),
  json_invalid_utf8: row(1002, 400, false, "The body is not valid UTF-8.", "Encode the body as UTF-8 without a byte order mark."),
  json_lone_surrogate: row(1003, 400, false, "A string holds an unpaired surrogate.", "Send well-formed Unicode text."),
  json_duplicate_key: row(1004, 400, false, "An object repeats a key.", "Send each key once: parsers disagree about which one counts."),
  json_unsafe_integer: row(1005, 400, false, "An integer is beyond 2^53−1.", "Send it as a string, or in a larger unit."),
  json_non_finite: row(1006, 400, false, "A number is too large to be represented.", "Send a finite number."),
  json_too_deep: row(1007, 400, false, "The body is nested too deeply.", "Flatten the value; the depth limit is 32."),
  json_too_large: row(1008, 413, false, "The body is larger than allowed.", "Send less; the error names the limit in bytes."),
  json_forbidden_key: row(1009, 400, false, "An object holds the key `__proto__`.", "Rename the key."),
  json_not_canonical: row(1010, 400, false, "A signed message is not in RFC 8785 canonical form.", "Sign and send the exact bytes that canonicalize() returns."),
  validation_failed: row(1020, 400, false, "The body does not fit the schema.", "Correct each pointer in `errors`."),
  media_type_unsupported: row(1021, 415, false, "The content type is not application/json.", "Send `Content-Type: application/json`."),
  request_invalid: row(1022, 400, false, "The request cannot be understood.", "Compare it with the operation in /openapi.json."),
  version_unknown: row(1023, 400, false, "The protocol or its version is not known here.", "Use a version that the service lists in /openapi.json."),
  message_type_wrong: row(1024, 400, false, "The message is of another type than this place takes.", "Send the type that belongs here."),

  // 2xxx: identity, permission, signatures
  credentials_missing: row(2001, 401, false, "No API key or token was sent.", "Send `Authorization: Bearer <key>`."),
  credentials_invalid: row(2002, 401, false, "The API key or token is not valid.", "Check that it was copied whole and was not revoked."),
  token_expired: row(2003, 401, false, "The token has expired.", "Ask your backend for a new one: tokens live at most 15 minutes."),
  permission_denied: row(2004, 403, false, "This role may not do this.", "Use a key of a role that the operation lists."),
  signature_missing: row(2010, 401, false, "The message carries no signature.", "Send the detached JWS in the Outcry-Signature header."),
  signature_malformed: row(2011, 401, false, "The signature is not a detached JWS with alg, kid and typ in exact base64url.", "Sign with @outcry/signing or any RFC 7515 library."),
  signature_invalid: row(2012, 401, false, "The signature does not verify over the received bytes.", "Sign exactly the bytes that are sent."),
  signature_type_mismatch: row(2013, 401, false, "The signature was made for another message type.", "Set `typ` to `ucp-<type>+jws`."),
  key_unknown: row(2014, 401, false, "The key id is not registered.", "Register the key, or sign with a registered one."),
  key_not_of_sender: row(2015, 401, false, "The key belongs to another party than `sender.id`.", "Sign with a key of the sender."),
  algorithm_unsupported: row(2016, 401, false, "The signature's algorithm is not that of the key.", "Use EdDSA (Ed25519) or ES256 as registered."),
  key_unacceptable: row(2017, 400, false, "The public key is malformed, of small order, or not in its one base64url form.", "Generate a fresh Ed25519 key."),
  message_expired: row(2018, 400, false, "The message's `expires` has passed.", "Make a new message with a later `expires`."),
  message_future_dated: row(2019, 400, false, "The message's `created` lies in the future.", "Set the clock of the sender (NTP)."),
  nonce_invalid: row(2020, 401, false, "The nonce is unknown, used or expired.", "Ask for a new nonce and sign that one."),
  invite_invalid: row(2021, 403, false, "The invite is unknown, used or expired.", "Ask the operator for a new invite."),

  // 3xxx: intents
  idempotency_key_missing: row(3001, 400, false, "POST /v1/intents needs an Idempotency-Key header.", "Send a fresh random key per intent and repeat it on retries."),
  idempotency_key_invalid: row(3002, 400, false, "The Idempotency-Key is empty, too long or not printable ASCII.", "Send 1 to 255 printable ASCII characters without spaces."),
  idempotency_mismatch: row(3003, 409, false, "This Idempotency-Key was used with another body.", "Repeat the first body, or use a new key for a new intent."),
  no_eligible_nodes: row(3004, 422, false, "No node is eligible for this intent.", "The detail names the filter that left none; widen it."),
  targets_too_many: row(3005, 422, false, "More nodes are eligible than one intent may address.", "Narrow it by category, region, capability or targets."),
  deadline_invalid: row(3006, 400, false, "The quote deadline is in the past, too near or too far.", "Choose a deadline inside the limits in the detail."),
  intent_not_found: row(3007, 404, false, "There is no such intent for this caller.", "Check the id and that the key belongs to the posting backend."),
  intent_ended: row(3008, 409, false, "The intent has ended.", "Nothing more can be added to it; post a new one."),
  revision_mismatch: row(3009, 409, false, "The intent is at another revision than `expected_revision`.", "Read the intent, decide again, and amend with the revision it has."),
  revisions_too_many: row(3010, 409, false, "The intent has been amended as often as it may be.", "Close it, and post a new one."),
  amendment_empty: row(3011, 400, false, "The amendment changes nothing.", "Send the members that shall be different; what is left out stands."),

  // 4xxx: answers of nodes
  quote_late: row(4001, 409, false, "The quote was stored after the deadline; it is recorded, not ranked.", "Answer earlier: Outcry-Time-Left-Ms tells how long is left."),
  quote_digest_mismatch: row(4002, 409, false, "The quote is bound to other intent bytes.", "Quote on the digest of the intent as received."),
  quote_currency_mismatch: row(4003, 409, false, "The quote's currency is not the intent's.", "Quote in the intent's `context.currency`."),
  quote_subject_mismatch: row(4004, 403, false, "The quote names another node or intent than its subject.", "Send your own quote on your own subject."),
  quote_not_target: row(4005, 403, false, "The quote answers an intent that was not sent to this node.", "Quote only on intents that you received."),
  quote_intent_unknown: row(4006, 404, false, "The quote answers an intent that is not recorded.", "Set `in_reply_to` to the id of an intent that you received."),
  quote_id_underived: row(4007, 400, false, "The quote id does not derive from intent, node and ordinal.", "Derive it as docs/protocol.md says: `quoteId(intent, node, ordinal)`."),
  quote_ordinal_exceeded: row(4008, 409, false, "The node has used up its quotes on this intent.", "Send no more: `quotes_per_node_max` in the intent is the limit."),
  quote_supersedes_unknown: row(4009, 409, false, "`supersedes` names no earlier quote of this node on this intent.", "Name the id of an earlier ordinal."),
  quote_total_mismatch: row(4010, 400, false, "The total is not the sum of the line items and charges.", "Recompute `total.amount_minor`: the sum of line items and charges."),
  quote_validity_ended: row(4011, 409, false, "The quote's `valid_until` is before it was stored.", "Give it a later `valid_until`."),
  quote_audience_mismatch: row(4012, 403, false, "The quote is addressed to another service.", "Set `audience` to the intent's `sender.id`."),
  quote_line_item_unknown: row(4013, 409, false, "The quote prices a line item that the intent does not have.", "Use the ids of the intent's line items."),
  quote_superseded: row(4014, 409, false, "The quote answers an earlier revision of the intent; it is recorded, not ranked.", "Quote on the newest revision: it was sent to you."),
  ack_digest_mismatch: row(4020, 409, false, "The ack is bound to other intent bytes.", "Acknowledge the digest of the intent as received."),
  ack_intent_unknown: row(4021, 404, false, "The ack answers an intent that is not recorded.", "Acknowledge on the subject of a received intent."),
  ack_not_target: row(4022, 403, false, "The ack answers an intent that was not sent to this node.", "Acknowledge only intents that you received."),
  ack_after_end: row(4023, 409, false, "The ack came after the intent's end.", "Nothing to do; it changes nothing."),
  ack_superseded: row(4024, 409, false, "The ack is bound to an earlier revision of the intent.", "Nothing to do; acknowledge the newest revision."),
  poison_message: row(4030, 500, false, "A message failed at every delivery and was set aside.", "Read its dead letter: it holds payload and cause."),

  // 5xxx: nodes and other resources
  node_not_found: row(5001, 404, false, "There is no such node.", "Check the id in GET /v1/nodes."),
  node_exists: row(5002, 409, false, "A node with this id or key is registered already.", "Use PATCH to change it, or another key."),
  node_suspended: row(5003, 403, false, "The node is suspended.", "Ask the operator to resume it."),
  node_changed: row(5004, 409, true, "The node was changed by someone else meanwhile.", "Read it again and repeat the change."),
  api_key_not_found: row(5005, 404, false, "There is no such API key.", "List the keys with GET /v1/api-keys."),
  route_not_found: row(5006, 404, false, "There is no such route.", "See /openapi.json."),
  method_not_allowed: row(5007, 405, false, "The route does not take this method.", "See /openapi.json."),
  last_admin_key: row(5008, 409, false, "It is the last admin key: without one nobody could make another.", "Make another admin key first, then revoke this one."),
  dead_letter_not_found: row(5020, 404, false, "There is no such dead letter.", "Take the id from GET /v1/dead-letters; letters are kept for 30 days."),
  replay_not_found: row(5021, 404, false, "There is no such replay.", "Take the id from GET /v1/dead-letters/replays."),
  replay_ended: row(5022, 409, false, "The replay has ended.", "Start another one: it takes up what is still open."),
  replays_too_many: row(5023, 409, true, "As many replays are running as may run at once.", "Wait for one to end, or pause or cancel one."),
  signing_key_not_found: row(5030, 404, false, "There is no such signing key.", "List the keys with GET /v1/signing-keys."),
  rotation_unsupported: row(5031, 409, false, "The signing key is named by the configuration.", "Change OUTCRY_SIGNING_KEY and restart; the old key stays published."),
  node_key_not_found: row(5032, 404, false, "The node has no such key.", "List its keys with GET /v1/nodes/{id}."),
  node_key_last: row(5033, 409, false, "It is the node's only key.", "Add another key first."),
  webhook_not_found: row(5040, 404, false, "There is no such webhook for this caller.", "List your own with GET /v1/webhooks."),
  webhook_limit: row(5041, 409, false, "There are too many webhooks.", "Delete one that is not used; one webhook may take every event type."),
  webhook_url_refused: row(5042, 400, false, "This URL may not be called from here.", "Use https on an allowed port, with a public host name that resolves to public addresses only."),

  // 6xxx: sockets and channels
  channel_forbidden: row(6001, 403, false, "The channel does not exist for you.", "Ask for a token that names the channel."),
  channel_invalid: row(6002, 400, false, "The channel name is malformed.", "Use `<kind>:<id>`, for example `intent:int_…`."),
  cursor_invalid: row(6003, 400, false, "The cursor is not one of this channel.", "Subscribe without a cursor and start from the head."),
  frame_invalid: row(6004, 400, false, "The frame is not a known operation.", "See the protocol page of the gateway."),
  subscription_limit: row(6005, 429, false, "Too many subscriptions on one connection.", "Use a wider channel or another connection."),
  cursor_gone: row(6006, 410, false, "Events behind this cursor are no longer kept, or the event log was made anew.", "Read the state of your intents, then go on without `after` from the oldest event kept."),
  connection_not_found: row(6007, 404, false, "No process of the gateway has this connection.", "Take the id from GET /v1/gateway/connections; it may have ended."),
  event_type_reserved: row(6008, 403, false, "Events of this type are written by the service alone.", "Publish the types that docs/gateway-operations.md lists."),

  // 9xxx: infrastructure
  dependency_unavailable: row(9001, 503, true, "A system that this needs does not answer.", "Repeat the same request after Retry-After: the same Idempotency-Key, the same signed bytes."),
  record_full: row(9002, 503, true, "The record is nearly full.", "Operators: raise max_bytes or archive. Callers: retry later."),
  promise_unkept: row(9003, 500, false, "A connected server is not configured to keep a promise.", "Change the named line, or allow it for development."),
  shutting_down: row(9004, 503, true, "The service is stopping.", "Retry with the same Idempotency-Key."),
  timed_out: row(9005, 504, true, "The outcome is unknown.", "Repeat with the same id: it is applied once."),
  config_invalid: row(9006, 500, false, "The configuration has mistakes.", "Correct each named variable."),
  rate_limited: row(9007, 429, true, "A limit of this caller is used up.", "Wait as long as Retry-After says, then repeat the same request; the detail names the limit, the cost and what is left."),
  internal: row(9999, 500, false, "A fault of the service.", "Report the request id."),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** One place of the input that is wrong. `pointer` is an RFC 6901 JSON pointer. */
export interface ErrorPointer {
  pointer: string;
  detail: string;
}

interface OutcryErrorOptions {
  cause?: unknown;
  pointers?: ErrorPointer[];
  /** When the same request may succeed, where that is known. */
  retryAfterMs?: number | undefined;
}

/** An error of the table, with what happened this time. Thrown for broken callers and broken infrastructure only. */
export class OutcryError extends Error {
  override readonly name = "OutcryError";
  readonly code: ErrorCode;
  readonly detail: string;
  readonly pointers: ErrorPointer[];
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, detail: string = ERRORS[code].meaning, options: OutcryErrorOptions = {}) {
    super(`${code}: ${detail}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = detail;
    this.pointers = options.pointers ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }

  get number(): number {
    return ERRORS[this.code].number;
  }
  get httpStatus(): number {
    return ERRORS[this.code].httpStatus;
  }
  get temporary(): boolean {
    return ERRORS[this.code].temporary;
  }
  get hint(): string {
    return ERRORS[this.code].whatToDo;
  }
}

export function isOutcryError(error: unknown, code?: ErrorCode): error is OutcryError {
  return error instanceof OutcryError && (code === undefined || error.code === code);
}

/** True when repeating the same work later may succeed. */
export function isTemporary(error: unknown): boolean {
  return error instanceof OutcryError && error.temporary;
}
