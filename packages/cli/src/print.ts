// Output: aligned columns for people, one JSON value a line for scripts (the REST schemas as they came).

import { isOutcryError, type Money } from "@outcry/protocol";
import { CheckFailed, UsageError } from "./exit-codes.js";

export interface PrintStyle {
  readonly json: boolean;
  readonly color: boolean;
  /** Of the terminal; undefined when the output is a file or a pipe. */
  readonly columns: number | undefined;
}

const COLORS = { green: 32, yellow: 33, red: 31, dim: 2 } as const;

export class Printer {
  readonly #out: (text: string) => void;
  readonly style: PrintStyle;

  constructor(out: (text: string) => void, style: PrintStyle) {
    this.#out = out;
    this.style = style;
  }

  get json(): boolean {
    return this.style.json;
  }

  paint(text: string, color: keyof typeof COLORS): string {
    return this.style.color && !this.json ? `\u001b[${COLORS[color]}m${text}\u001b[0m` : text;
  }

  /** Replaces what is on the terminal's screen. */
  screen(lines: readonly string[]): void {
    this.#out(`\u001b[H\u001b[2J${lines.join("\n")}\n`);
  }

  /** Text as it is: a script, a key. */
  raw(text: string): void {
    this.#out(text);
  }

  /** One thing: its JSON, or the lines about it. */
  one(value: unknown, lines: readonly string[]): void {
    if (this.json) this.#out(`${JSON.stringify(value)}\n`);
    else for (const line of lines) this.#out(`${line}\n`);
  }

  /** Many of a kind: a JSON line each, or a table. */
  list<T>(values: readonly T[], columns: Readonly<Record<string, (value: T) => Cell>>): void {
    if (this.json) for (const value of values) this.#out(`${JSON.stringify(value)}\n`);
    else this.#out(table(values, columns));
  }

  /** Said to people only. */
  note(line: string): void {
    if (!this.json) this.#out(`${line}\n`);
  }
}

export type Cell = string | number | undefined;

export function table<T>(values: readonly T[], columns: Readonly<Record<string, (value: T) => Cell>>): string {
  const cell = (value: Cell): string => printable(value === undefined ? "-" : String(value));
  const rows = [
    Object.keys(columns),
    ...values.map((value) => Object.values(columns).map((read) => cell(read(value)))),
  ];
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  return rows
    .map(
      (row) =>
        `${row
          .map((text, at) => text.padEnd(widths[at]!))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

/** Names and reasons come from others: control characters must not reach the terminal. */
export const printable = (text: string): string => text.replaceAll(/\p{Cc}/gu, "�");

/** `12.50 EUR`, with as many digits as the currency has. */
export function money({ amount_minor, currency }: Money): string {
  const { maximumFractionDigits: digits = 2 } = new Intl.NumberFormat("en", {
    style: "currency",
    currency,
  }).resolvedOptions();
  const text = String(amount_minor).padStart(digits + 1, "0");
  return `${digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`} ${currency}`;
}

/** What went wrong and what to do about it. */
export function describeError(error: unknown): string {
  if (error instanceof UsageError || error instanceof CheckFailed) return `outcry: ${error.message}\n`;
  if (!isOutcryError(error)) return `outcry: ${error instanceof Error ? error.message : String(error)}\n`;
  const { requestId } = error as { requestId?: string };
  const lines = [
    `outcry: ${error.code}: ${error.detail}`,
    ...error.pointers.map(({ pointer, detail }) => `  ${pointer || "/"}: ${detail}`),
    `  ${error.hint}`,
    ...(requestId === undefined ? [] : [`  request ${requestId}`]),
  ];
  return `${lines.map(printable).join("\n")}\n`;
}
