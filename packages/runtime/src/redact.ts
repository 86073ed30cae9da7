// What a log line may not hold: keys, tokens, who the buyer is, what is wanted. Fields are known by name at any depth, secrets
// in free text by their shape.

const REDACTED = "[redacted]";
const DEPTH_MAX = 8; // deeper values are cut: a log line is no dump
const ITEMS_MAX = 100; // of one array
const TEXT_CHARS_MAX = 4_096;

/** Lower case, without `_` and `-`: `api_key`, `apiKey` and `API-KEY` are one field. */
const SENSITIVE_FIELDS = fieldKeys(`
  authorization proxy_authorization cookie set_cookie password passphrase secret client_secret token
  access_token refresh_token gateway_token auth_token ticket invite invite_code nonce api_key admin_key
  private_key signing_key cursor_secret secret_key key_material seed jwt creds credentials user_jwt
  account_jwt operator_seed account_seed nkey_seed d jwk private_jwk pem buyer buyer_id buyer_email
  customer email phone postal_address shipping_address ship_to idempotency_key payload body line_items
  envelope record raw redis_url nats_creds
`);

/** Sensitive as a whole value, harmless as an id: `intent: "int_…"` stays. */
const SENSITIVE_OBJECTS = fieldKeys("intent quote offer config headers");

// Each shape with its source: NKEYS seeds (nats-io/nkeys), JWS compact (RFC 7515), PEM (RFC 7468), bearer (RFC 6750), URL userinfo (RFC 3986), webhook secrets (Standard Webhooks), our API keys.
const SECRET_SHAPES: readonly [RegExp, string][] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, REDACTED],
  [/\bS[AUONCX][A-Z2-7]{56}\b/g, REDACTED],
  [/\beyJ[\w-]{5,}\.[\w-]*\.[\w-]+/g, REDACTED],
  [/\b(bearer|basic)\s+[\w~+/.=-]{6,}/gi, `$1 ${REDACTED}`],
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi, `$1${REDACTED}@`],
  [/([?&](?:api_key|apikey|token|access_token|ticket|key)=)[^&\s"]+/gi, `$1${REDACTED}`],
  [/"d"\s*:\s*"[\w-]{16,}"/g, `"d":"${REDACTED}"`],
  [/\bwhsec_[\w+/=-]{16,}/g, REDACTED],
  [/\b(?:ock|oci)_[0-9a-z]{26}_[\w-]{16,}/g, REDACTED],
];

export function redactText(text: string): string {
  let clean = text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX)}…` : text;
  for (const [shape, replacement] of SECRET_SHAPES) clean = clean.replace(shape, replacement);
  return clean;
}

/** A copy that is safe to log. `extra` names further sensitive fields. */
export function redact(value: unknown, extra: ReadonlySet<string> = new Set(), depth = 0): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return `[${value.length} bytes]`;
  if (value instanceof Date) return value;
  if (depth >= DEPTH_MAX) return "[too deep]";
  if (value instanceof Error) return redactError(value, extra, depth);
  if (value instanceof Map || value instanceof Set) return redact([...value], extra, depth + 1);
  if (Array.isArray(value)) return value.slice(0, ITEMS_MAX).map((item) => redact(item, extra, depth + 1));
  return redactFields(value, extra, depth);
}

function redactFields(value: object, extra: ReadonlySet<string>, depth: number): Record<string, unknown> {
  const clean: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) {
    const key = fieldKey(name);
    const hidden =
      SENSITIVE_FIELDS.has(key) || extra.has(key) || (SENSITIVE_OBJECTS.has(key) && typeof field === "object");
    clean[name] = hidden && field !== undefined && field !== null ? REDACTED : redact(field, extra, depth + 1);
  }
  return clean;
}

function redactError(error: Error, extra: ReadonlySet<string>, depth: number): Record<string, unknown> {
  return {
    type: error.name,
    message: redactText(error.message),
    ...redactFields(error, extra, depth),
    ...(error.stack ? { stack: redactText(error.stack) } : {}),
    ...(error.cause === undefined ? {} : { cause: redact(error.cause, extra, depth + 1) }),
  };
}

function fieldKeys(names: string): ReadonlySet<string> {
  return new Set(names.trim().split(/\s+/).map(fieldKey));
}

export function fieldKey(name: string): string {
  return name.toLowerCase().replace(/[_-]/g, "");
}
