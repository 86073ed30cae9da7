// Strict JSON (RFC 8259) from bytes: what two parsers could read differently is refused with a code, never repaired.
// parseCanonical also demands the RFC 8785 form, which one pass can see (keys ascend, strings and numbers are spelt one way),
// so nothing is serialised again; canonicalize() is its oracle in the tests. Shapes and meanings are the schemas' business.

import type { ErrorCode } from "./errors.js";
import { LIMITS } from "./limits.js";

export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export type JsonObject = { [key: string]: JsonValue };

export type ParseRefusal = Extract<ErrorCode, `json_${string}`>;
export type Parsed = { kind: "ok"; value: JsonValue } | { kind: "refused"; code: ParseRefusal; detail: string };

export interface ParseLimits {
  bytesMax?: number;
  /** Containers inside one another, the outermost counted; at most `LIMITS.jsonDepthMax`, because reading recurses. */
  depthMax?: number;
}

/** Any strict JSON, keys in any order: HTTP bodies and other dialects. */
export function parseStrict(bytes: Uint8Array, limits: ParseLimits = {}): Parsed {
  return read(bytes, limits, false);
}

/** Strict JSON in its canonical form alone: signed messages. Refuses what parseStrict refuses, with the same code, and every other spelling. */
export function parseCanonical(bytes: Uint8Array, limits: ParseLimits = {}): Parsed {
  return read(bytes, limits, true);
}

// RFC 8259 §8.1 lets a parser ignore a byte order mark; ignoreBOM keeps it in the text, where it is a syntax error.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function read(bytes: Uint8Array, limits: ParseLimits, canonical: boolean): Parsed {
  const bytesMax = limits.bytesMax ?? LIMITS.bodyBytesMax;
  if (bytes.length > bytesMax) return refused("json_too_large", `${bytes.length} bytes; the limit is ${bytesMax}`);
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return refused("json_invalid_utf8", `byte ${firstInvalidByte(bytes)} is not UTF-8`);
  }
  const scanner = new Scanner(text, Math.min(limits.depthMax ?? LIMITS.jsonDepthMax, LIMITS.jsonDepthMax));
  const value = scanner.document();
  if (value === undefined) return scanner.refusal!;
  if (canonical && scanner.departsAt >= 0) {
    return refused("json_not_canonical", `RFC 8785 spells it differently at character ${scanner.departsAt}`);
  }
  return { kind: "ok", value };
}

const refused = (code: ParseRefusal, detail: string): Parsed & { kind: "refused" } => ({
  kind: "refused",
  code,
  detail,
});

const LF = 0x0a;
const CR = 0x0d;
const TAB = 0x09;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const LITERALS: Record<number, [word: string, value: boolean | null]> = {
  0x66: ["false", false],
  0x6e: ["null", null],
  0x74: ["true", true],
};
const EXACT_DIGITS_MAX = 15; // below 10^15 each step of value · 10 + digit is exact

const isDigit = (code: number): boolean => code >= ZERO && code <= ZERO + 9;

/** One pass over one text. A reading method returns undefined exactly when it has set `refusal`. */
class Scanner {
  private readonly text: string;
  private readonly depthMax: number;
  private at = 0;
  refusal: (Parsed & { kind: "refused" }) | undefined;
  /** Where the text first departs from canonical form; −1 while it has not. */
  departsAt = -1;

  constructor(text: string, depthMax: number) {
    this.text = text;
    this.depthMax = depthMax;
  }

  document(): JsonValue | undefined {
    const value = this.value(1);
    if (value === undefined) return undefined;
    this.next();
    return this.at < this.text.length ? this.unexpected("text after the value") : value;
  }

  private value(depth: number): JsonValue | undefined {
    const code = this.next();
    if (code === QUOTE) return this.string();
    if (code === OPEN_BRACE) return this.object(depth);
    if (code === OPEN_BRACKET) return this.array(depth);
    if (code === MINUS || isDigit(code)) return this.number(code);
    const literal = LITERALS[code];
    if (literal === undefined || !this.text.startsWith(literal[0], this.at)) return this.unexpected("no value");
    this.at += literal[0].length;
    return literal[1];
  }

  private object(depth: number): JsonObject | undefined {
    if (depth > this.depthMax) return this.refuse("json_too_deep", `more than ${this.depthMax} levels`);
    const object: JsonObject = {};
    let before: string | undefined;
    this.at++;
    let code = this.next();
    if (code === CLOSE_BRACE) {
      this.at++;
      return object;
    }
    for (;;) {
      if (code !== QUOTE) return this.unexpected("no key");
      const keyAt = this.at;
      const key = this.string();
      if (key === undefined) return undefined;
      if (key === "__proto__") return this.refuse("json_forbidden_key", 'key "__proto__"', keyAt);
      // Values are never undefined, so the cheap look decides for all but inherited names such as "constructor".
      if (object[key] !== undefined && Object.hasOwn(object, key)) {
        return this.refuse("json_duplicate_key", `key ${JSON.stringify(key.slice(0, 64))}`, keyAt);
      }
      // RFC 8785 §3.2.3: keys sort by UTF-16 code unit, which is how JavaScript compares strings.
      if (before !== undefined && before > key) this.depart(keyAt);
      before = key;
      if (this.next() !== COLON) return this.unexpected("no colon");
      this.at++;
      const value = this.value(depth + 1);
      if (value === undefined) return undefined;
      object[key] = value;
      code = this.next();
      if (code !== COMMA && code !== CLOSE_BRACE) return this.unexpected("no comma or closing brace");
      this.at++;
      if (code === CLOSE_BRACE) return object;
      code = this.next();
    }
  }

  private array(depth: number): JsonValue[] | undefined {
    if (depth > this.depthMax) return this.refuse("json_too_deep", `more than ${this.depthMax} levels`);
    const array: JsonValue[] = [];
    this.at++;
    if (this.next() === CLOSE_BRACKET) {
      this.at++;
      return array;
    }
    for (;;) {
      const value = this.value(depth + 1);
      if (value === undefined) return undefined;
      array.push(value);
      const code = this.next();
      if (code !== COMMA && code !== CLOSE_BRACKET) return this.unexpected("no comma or closing bracket");
      this.at++;
      if (code === CLOSE_BRACKET) return array;
    }
  }

  private string(): string | undefined {
    const { text } = this;
    const start = this.at + 1;
    for (let end = start; ; end++) {
      const code = text.charCodeAt(end);
      if (code === QUOTE) {
        this.at = end + 1;
        return text.slice(start, end);
      }
      if (code === BACKSLASH) return this.escapedString(end);
      if (!(code >= SPACE)) return this.unexpected("unterminated string or raw control character", end); // NaN at the end of the text
    }
  }

  /** A string with escapes, from its opening quote; `end` is the first backslash. */
  private escapedString(end: number): string | undefined {
    const { text, at: start } = this;
    for (let code = BACKSLASH; code !== QUOTE; code = text.charCodeAt(end)) {
      if (end >= text.length) return this.unexpected("unterminated string", end);
      end += code === BACKSLASH ? 2 : 1;
    }
    this.at = end + 1;
    const raw = text.slice(start, this.at);
    const value = unquote(raw);
    if (value === undefined) return this.unexpected("malformed escape or raw control character in the string", start);
    if (LONE_SURROGATE.test(value)) return this.refuse("json_lone_surrogate", "the string", start);
    if (JSON.stringify(value) !== raw) this.depart(start); // RFC 8785 §3.2.2.2 is ECMAScript's own escaping
    return value;
  }

  private number(first: number): number | undefined {
    const { text, at: start } = this;
    let end = first === MINUS ? start + 1 : start;
    let code = text.charCodeAt(end);
    let value = 0;
    if (!isDigit(code)) return this.unexpected("no digit after the sign", end);
    if (code === ZERO) code = text.charCodeAt(++end);
    else for (; isDigit(code); code = text.charCodeAt(++end)) value = value * 10 + (code - ZERO);
    const plain = code !== DOT && (code | 0x20) !== 0x65 && end - start <= EXACT_DIGITS_MAX;
    if (plain) {
      this.at = end;
      if (first !== MINUS) return value;
      if (value === 0) this.depart(start);
      return value === 0 ? 0 : -value; // "-0" is 0: canonicalize has no other spelling for it
    }
    return this.longNumber(start, end);
  }

  /** A fraction, an exponent or many digits; `end` is behind the integer part. */
  private longNumber(start: number, end: number): number | undefined {
    const { text } = this;
    if (text.charCodeAt(end) === DOT) {
      const digits = this.digits(end + 1);
      if (digits === end + 1) return this.unexpected("no digit after the point", digits);
      end = digits;
    }
    if ((text.charCodeAt(end) | 0x20) === 0x65) {
      const sign = text.charAt(end + 1);
      const from = sign === "+" || sign === "-" ? end + 2 : end + 1;
      end = this.digits(from);
      if (end === from) return this.unexpected("no digit in the exponent", end);
    }
    this.at = end;
    const raw = text.slice(start, end);
    const value = Number(raw);
    if (!Number.isFinite(value)) return this.refuse("json_non_finite", "the number", start);
    // By value, whatever the spelling: every double beyond 2^53 − 1 is an integer that may stand for its neighbour.
    if (Math.abs(value) > Number.MAX_SAFE_INTEGER) return this.refuse("json_unsafe_integer", "the number", start);
    if (String(value) !== raw) this.depart(start); // RFC 8785 §3.2.2.3 is ECMAScript's Number::toString
    return value === 0 ? 0 : value;
  }

  private digits(at: number): number {
    while (isDigit(this.text.charCodeAt(at))) at++;
    return at;
  }

  /** The code unit at the next place that is not white space; NaN at the end. */
  private next(): number {
    let code = this.text.charCodeAt(this.at);
    if (code > SPACE) return code;
    while (code === SPACE || code === LF || code === CR || code === TAB) {
      this.depart(this.at);
      code = this.text.charCodeAt(++this.at);
    }
    return code;
  }

  private depart(at: number): void {
    if (this.departsAt < 0) this.departsAt = at;
  }

  private refuse(code: ParseRefusal, what: string, at = this.at): undefined {
    this.refusal = refused(code, `${what} at character ${at}`);
    return undefined;
  }

  private unexpected(what: string, at = this.at): undefined {
    if (this.text.charCodeAt(at) === 0xfeff) return this.refuse("json_syntax", "byte order mark", at);
    return this.refuse("json_syntax", at >= this.text.length ? `${what}: the text ends` : what, at);
  }
}

const LONE_SURROGATE = /\p{Surrogate}/u; // String.prototype.isWellFormed is newer than some browsers that run this

function unquote(quoted: string): string | undefined {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return undefined;
  }
}

/** Found only for the refusal's text: the first place where decoding with replacement differs from the bytes. */
function firstInvalidByte(bytes: Uint8Array): number {
  let at = 0;
  for (const character of new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)) {
    const point = character.codePointAt(0)!;
    if (point === 0xfffd && !(bytes[at] === 0xef && bytes[at + 1] === 0xbf && bytes[at + 2] === 0xbd)) return at;
    at += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  }
  return at;
}
